"""requirements.txt of a workspace: what it says, what of it cannot be, and what is installed."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import pytest

from tradewind.errors import RequirementsError
from tradewind.own_packages import (
    Line,
    check_requirements,
    hash_of_installed,
    packages_of_tradewind,
    requirements,
    unmet,
)
from tradewind.settings import Settings
from tradewind.stack.doctor import diagnose


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


def write(home: Path, *lines: str) -> None:
    (home / "requirements.txt").write_text("\n".join(lines) + "\n")


def test_remarks_and_empty_lines_say_nothing(home: Path) -> None:
    assert requirements(home) == ()
    write(
        home,
        "# a remark",
        "",
        "xgboost>=3  # trees",
        "a @ https://x/a.whl#sha256=1",
        "b \\",
        " ==1",
    )
    assert requirements(home) == (
        Line(3, "xgboost>=3"),
        Line(4, "a @ https://x/a.whl#sha256=1"),
        Line(5, "b ==1"),
    )
    write(home, "c==1 \\")
    assert requirements(home) == (Line(1, "c==1"),)


def test_what_is_no_plain_text_is_refused(home: Path) -> None:
    (home / "requirements.txt").write_bytes("numpy\n".encode("utf-16"))
    with pytest.raises(RequirementsError, match=r"requirements\.txt: cannot be read: .*UTF-8"):
        requirements(home)
    (home / "requirements.txt").unlink()
    (home / "requirements.txt").mkdir()
    with pytest.raises(RequirementsError, match="it is a folder"):
        requirements(home)


def test_another_version_of_what_tradewind_runs_with_is_refused_and_both_are_named(
    home: Path,
) -> None:
    ours = packages_of_tradewind()
    assert ours["numpy"] == version("numpy")
    assert ours["psycopg2-binary"] == version("psycopg2-binary")
    assert "pytest" not in ours  # of the extra testing
    write(
        home,
        "pytest",
        f"NumPy=={ours['numpy']}",
        "numpy<2",
        "psycopg2_binary==1; python_version<'3'",
    )
    with pytest.raises(RequirementsError) as caught:
        check_requirements(home, requirements(home), ours)
    assert str(caught.value) == (
        f"{home / 'requirements.txt'}:3: numpy<2: tradewind runs with numpy {ours['numpy']} here, "
        "and both cannot be had: ask for a version that this one is in, or leave the line out"
    )


@pytest.mark.parametrize("line", ["-r more.txt", "--requirement=more.txt", "-c bounds.txt"])
def test_another_file_is_refused(home: Path, line: str) -> None:
    write(home, "--index-url https://example.com", line)
    with pytest.raises(RequirementsError, match=r"requirements\.txt:2: .*write them here"):
        check_requirements(home, requirements(home), {})


def test_the_hash_is_of_the_versions_that_are_installed_and_of_all_that_they_need(
    home: Path,
) -> None:
    assert hash_of_installed(home) is None
    write(home, "# nothing")
    assert hash_of_installed(home) is None
    write(home, "threadpoolctl>=1", "joblib; python_version < '3'")
    told = f"threadpoolctl=={version('threadpoolctl')}"
    assert hash_of_installed(home) == hashlib.sha256(told.encode()).hexdigest()
    write(home, "threadpoolctl")  # other words, the same package
    assert hash_of_installed(home) == hashlib.sha256(told.encode()).hexdigest()
    write(home, "threadpoolctl", "not-there-at-all", "./mine.whl")
    told = f"not-there-at-all==\n{told}\n./mine.whl"
    assert hash_of_installed(home) == hashlib.sha256(told.encode()).hexdigest()
    write(home, "polars")
    alone = hash_of_installed(home)
    write(home, "polars[numpy]")
    assert hash_of_installed(home) != alone


def test_what_is_not_as_asked_is_told_by_doctor(home: Path) -> None:
    write(
        home, "joblib", "not-there-at-all", "scipy<1", "./mine.whl", "joblib<1; python_version<'3'"
    )
    told = [
        f"{home}/requirements.txt:2: not-there-at-all: is not installed",
        f"{home}/requirements.txt:3: scipy<1: {version('scipy')} is installed",
    ]
    assert unmet(home) == told
    checks = {check.name: check for check in diagnose(Settings(home=home))}
    assert checks["packages of your own"].problem == "\n".join(told)
    write(home, "joblib")
    checks = {check.name: check for check in diagnose(Settings(home=home))}
    assert checks["packages of your own"].ok


def test_a_login_in_a_line_is_told_to_nobody(home: Path) -> None:
    write(home, "not-there @ git+https://me:s3cret@example.com/a", "-c https://me:s3cret@x/b.txt")
    [told] = unmet(home)
    assert "https://***@example.com/a: is not installed" in told
    with pytest.raises(RequirementsError) as caught:
        check_requirements(home, requirements(home), {})
    assert "s3cret" not in f"{told}{caught.value}"
