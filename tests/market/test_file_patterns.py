import glob
from pathlib import Path

import pytest

from tradewind.errors import SourceError
from tradewind.market.sources.file_patterns import files_of

FILES = ("a.csv", "b.txt", "x/a.csv", "x/y/a.csv", ".hidden/a.csv", "x/.a.csv", "x/y/[z].csv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "x" / "round").symlink_to(tmp_path)
    (tmp_path / "elsewhere.csv").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize(
    "pattern",
    ["a.csv", "*.csv", "x/*.csv", "x/*/*.csv", "*/a.???", "x/y/[[]z].csv", "n/*.csv", "x"],
)
def test_a_pattern_stands_for_what_it_does_in_a_shell(folder: Path, pattern: str) -> None:
    found = glob.glob(str(folder / pattern))  # noqa: PTH207 - what it is held against
    expected = sorted(Path(name) for name in found if not Path(name).is_dir())
    assert files_of(pattern, folder) == expected
    assert files_of(str(folder / pattern), Path("/elsewhere")) == expected


def test_folders_of_any_depth_are_walked_through_once(folder: Path) -> None:
    found = [path.relative_to(folder).as_posix() for path in files_of("**/a.csv", folder)]
    assert {"a.csv", "x/a.csv", "x/y/a.csv"} <= set(found)
    assert not [name for name in found if "hidden" in name or "round/x/round" in name]


def test_a_walk_has_an_end(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"more than 3 files and folders .*begin options\.path"):
        files_of("**/*.csv", folder, most=3)
