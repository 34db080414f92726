"""The command speaks UTF-8 in every locale."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import locale, sys
from tradewind.host.utf8 import ensure_utf8
ensure_utf8()
print(locale.getencoding().lower(), sys.getfilesystemencoding(), ascii(sys.argv[1:]))
"""


def run(script: Path, *options: str, **environment: str) -> list[str]:
    rest = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHON", "LANG"))}
    words = [sys.executable, *options, str(script), "ä", "x y"]
    ran = subprocess.run(
        words, env={**rest, **environment}, capture_output=True, text=True, check=True
    )
    return ran.stdout.split(maxsplit=2)


def test_a_locale_that_is_not_utf8_is_left(tmp_path: Path) -> None:
    script = tmp_path / "ü.py"
    script.write_text(PROGRAM)
    told = ["utf-8", "utf-8", "['\\xe4', 'x y']\n"]
    assert run(script, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0") == told
    assert run(script, LC_ALL="POSIX") == told
    assert run(script, LC_ALL="no_such_LOCALE") == told
    assert run(script, LC_ALL="C.UTF-8") == told


def test_who_insists_on_another_encoding_gets_it(tmp_path: Path) -> None:
    script = tmp_path / "plain.py"
    script.write_text(PROGRAM)
    assert run(script, "-X", "utf8=0", LC_ALL="C.UTF-8", PYTHONUTF8="1")[1] == "utf-8"
    assert run(script, "-X", "utf8=0", LC_ALL="C", PYTHONCOERCECLOCALE="0")[1] == "utf-8"
