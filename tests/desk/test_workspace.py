"""`tradewind init`: what is written, and what is refused before anything is."""

import json
import os
from pathlib import Path
from typing import IO, Any

import pytest
from typer.testing import CliRunner

from tradewind.cli import app
from tradewind.desk.containers import container_files, write_containers
from tradewind.desk.front_door import Desk
from tradewind.desk.workspace import make_workspace
from tradewind.errors import WorkspaceError
from tradewind.settings import load_settings

FILES = (
    ".env.example", ".gitignore", "README.md", "dags/README.md", "requirements.txt",
    "sources/sample.yaml", "strategies/momentum.yaml", "tests/test_files.py",
)  # fmt: skip


def files_of(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*")}


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)


@pytest.mark.parametrize("name", ["desk", "my désk #1 (%e)", "-x", "a'b\"c"])
def test_a_workspace_is_found_from_any_folder_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    made = make_workspace(tmp_path / "new" / name)
    assert made.folder == tmp_path / "new" / name
    assert made.files == tuple(sorted(FILES))
    assert {str(p.relative_to(made.folder)) for p in made.folder.rglob("*") if p.is_file()} == set(
        FILES
    )
    monkeypatch.chdir(made.folder / "tests")
    assert load_settings().home == made.folder
    desk = Desk()
    assert [each.name for each in desk.strategies()] == ["momentum"]
    assert [each.name for each in desk.sources()] == ["sample"]
    assert desk.bars("sample", ["IBM"]).height > 3000


def test_a_folder_with_other_files_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / "mine.py").write_text("mine")
    made = make_workspace(tmp_path)
    assert files_of(tmp_path) > {"strategies/mine.py", *made.files}
    assert (tmp_path / "strategies" / "mine.py").read_text() == "mine"


def test_what_is_there_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    before = files_of(tmp_path)
    with pytest.raises(WorkspaceError, match=r"has \.gitignore, README\.md already: nothing was"):
        make_workspace(tmp_path)
    assert files_of(tmp_path) == before
    assert (tmp_path / "README.md").read_text() == "mine"
    with pytest.raises(WorkspaceError, match=r"strategies/momentum\.yaml"):
        make_workspace(Path(__file__).parents[2])  # the checkout is one


@pytest.mark.parametrize("name", ["a[b", "%41", "a$HOME"])
def test_a_name_that_no_stack_can_run_under_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WorkspaceError, match="a stack cannot run in a folder of this name"):
        make_workspace(tmp_path / name)
    assert files_of(tmp_path) == set()


def test_a_disk_that_refuses_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(path: Path, mode: str = "r", *rest: Any, **more: Any) -> IO[Any]:
        if mode == "xb" and path.name == "sample.yaml":
            raise OSError(28, os.strerror(28), str(path))
        return real(path, mode, *rest, **more)

    (tmp_path / "dags").mkdir()
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(WorkspaceError, match=r"sample\.yaml: No space left.*Nothing was left"):
        make_workspace(tmp_path)
    assert files_of(tmp_path) == {"dags"}


def test_a_file_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "desk").write_text("a file")
    with pytest.raises(WorkspaceError, match=r"cannot write .*desk"):
        make_workspace(tmp_path / "desk")
    assert files_of(tmp_path) == {"desk"}


def test_a_development_install_has_no_wheel_for_containers(tmp_path: Path) -> None:
    assert container_files() == {}
    with pytest.raises(WorkspaceError, match=r"development install.*`make wheel` there"):
        write_containers(tmp_path)
    assert files_of(tmp_path) == set()


def test_the_command_tells_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["init", "--json"])
    assert json.loads(done.stdout) == {"folder": str(tmp_path), "files": sorted(FILES)}
    done = CliRunner().invoke(app, ["init", "a b"])
    assert f"cd '{tmp_path / 'a b'}'" in done.stdout
    assert done.exit_code == 0
