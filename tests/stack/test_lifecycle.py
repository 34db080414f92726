"""What `up` refuses before it starts anything."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tradewind.cli import app
from tradewind.errors import PortTakenError, RequirementsError, StackError
from tradewind.settings import Settings
from tradewind.stack import lifecycle
from tradewind.stack.layout import Layout

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("start", [lifecycle.run, lifecycle.detach])
@pytest.mark.parametrize("name", ["a[b", "%41", "a%(b"])
def test_a_folder_that_cannot_be_used_is_refused_before_it_is_made(
    tmp_path: Path, start: Callable[[Settings], object], name: str
) -> None:
    settings = Settings(home=CHECKOUT, state_dir=tmp_path / name)
    with pytest.raises(StackError, match="state directory cannot be used under this name"):
        start(settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", [lifecycle.run, lifecycle.detach])
def test_packages_that_cannot_be_had_stop_a_start_before_it_begins(
    tmp_path: Path, start: Callable[[Settings], object]
) -> None:
    (tmp_path / "requirements.txt").write_text("numpy<2\n")
    settings = Settings(home=tmp_path, artifact_store="directory")
    with pytest.raises(RequirementsError, match="numpy<2: tradewind runs with numpy"):
        start(settings)
    assert not Layout(settings.state).secrets_file.exists()
    assert not Layout(settings.state).state_file.exists()


def test_a_start_without_them_does_not_ask_for_them(tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("numpy<2\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = Settings(home=tmp_path, artifact_store="directory", postgres_port=port)
        with pytest.raises(PortTakenError, match=str(port)):  # which is looked at later
            lifecycle.run(settings, install=False)


@pytest.mark.parametrize(("words", "installs"), [([], True), (["--no-install"], False)])
def test_the_command_passes_it_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], installs: bool
) -> None:
    asked: list[bool] = []
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    monkeypatch.setattr(lifecycle, "run", lambda *_, install, on_line: asked.append(install))  # noqa: ARG005
    assert CliRunner().invoke(app, ["up", *words]).exit_code == 0
    assert asked == [installs]
    assert lifecycle.COMMAND[-1] == "--no-install"  # what runs in the background
