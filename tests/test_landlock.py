"""What a confined process may no longer do, tried in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.host import landlock

TRY = """
import json, os, subprocess, sys
from pathlib import Path
from tradewind.host.landlock import confine

root, parent = Path(sys.argv[1]), int(sys.argv[2])
enforced = confine([root / "hidden"], [root / "kept"])

def tried(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"

print(json.dumps({
    "enforced": enforced,
    "read what is hidden": tried((root / "hidden" / "file").read_text),
    "by a program it starts": subprocess.run(["cat", root / "hidden" / "file"],
                                             capture_output=True).returncode,
    "write what is hidden": tried(lambda: (root / "hidden" / "new").write_text("x")),
    "link what is hidden": tried(lambda: os.link(root / "hidden" / "file", root / "open" / "file")),
    "make something beside it": tried(lambda: (root / "new").write_text("x")),
    "read what is kept": tried((root / "kept" / "file").read_text),
    "write what is kept": tried(lambda: (root / "kept" / "file").write_text("x")),
    "read what is open": tried((root / "open" / "before").read_text),
    "write what is open": tried(lambda: (root / "open" / "new").write_text("x")),
    "list what is there": tried(lambda: os.listdir(root)),
    "look into another process": tried(Path(f"/proc/{parent}/environ").read_bytes),
    "signal another process": tried(lambda: os.kill(parent, 0)),
    "look into its own": tried(Path("/proc/self/environ").read_bytes),
    "signal one that it started": tried(lambda: subprocess.Popen(["sleep", "60"]).kill()),
}))
"""


@pytest.fixture
def tried(tmp_path: Path) -> dict[str, object]:
    for folder in ("hidden", "kept", "open"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ("before" if folder == "open" else "file")).write_text("text")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRY, str(tmp_path), str(os.getpid())],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_confined_process_does_its_work_and_nothing_else(tried: dict[str, object]) -> None:
    if not landlock.version():  # where the kernel has none, nothing is refused, and it says so
        assert tried.pop("enforced") is False
        return
    signals = "PermissionError" if landlock.version() >= 6 else "done"
    assert tried == {
        "enforced": True,
        "read what is hidden": "PermissionError",
        "by a program it starts": 1,
        "write what is hidden": "PermissionError",
        "link what is hidden": "OSError",
        "make something beside it": "PermissionError",
        "read what is kept": "done",
        "write what is kept": "PermissionError",
        "read what is open": "done",
        "write what is open": "done",
        "list what is there": "done",
        "look into another process": "PermissionError",
        "signal another process": signals,
        "look into its own": "done",
        "signal one that it started": "done",
    }
