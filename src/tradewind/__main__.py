"""``python -m tradewind`` is ``tradewind``."""

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    del sys.path[0]  # the folder it is called in, whose modules must not shadow any

from tradewind.cli import main

if __name__ == "__main__":
    main()
