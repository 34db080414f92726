"""Tests against the real vendors, for whoever has a key: ``TRADEWIND_LIVE=1 pytest tests/live``.

Without it nothing here is collected: a machine that reaches no vendor has nothing to say about one.
docs/vendors.md says which kinds have met theirs.
"""

import os

collect_ignore_glob = [] if os.environ.get("TRADEWIND_LIVE") == "1" else ["test_*.py"]
