"""`tradewind logs` shows the log of a service, and of nothing else."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tradewind.cli import app
from tradewind.errors import StackError
from tradewind.stack.layout import Layout
from tradewind.stack.service_logs import bound_logs


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "state")
    layout.logs_dir.mkdir(parents=True)
    for name in ("mlflow", "postgres"):
        layout.service_log(name).write_text("x\n")
    (layout.logs_dir / "tasks").mkdir()
    (layout.logs_dir / "folder.log").mkdir()
    (tmp_path / "x.log").write_text("not of a service\n")
    (layout.root / "x.log").write_text("not of a service\n")
    return layout


def test_a_service_has_a_log(layout: Layout) -> None:
    assert layout.kept_log("mlflow") == layout.service_log("mlflow")


@pytest.mark.parametrize(
    "name", ["../x", "../../x", "tasks", "folder", "", ".", "mlflow.log", "/etc/passwd", "nope"]
)
def test_what_is_no_service_is_refused_with_those_that_are(layout: Layout, name: str) -> None:
    with pytest.raises(StackError) as refused:
        layout.kept_log(name)
    assert repr(name) in str(refused.value)
    assert "mlflow" in str(refused.value)


def test_a_name_that_is_close_is_suggested(layout: Layout) -> None:
    with pytest.raises(StackError, match="Did you mean postgres"):
        layout.kept_log("postgre")


def test_a_stack_that_was_never_started_has_none(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="`tradewind up`"):
        Layout(tmp_path).kept_log("mlflow")


def test_the_command_says_so(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_STATE_DIR", str(layout.root))
    found = CliRunner().invoke(app, ["logs", "../x"])
    assert isinstance(found.exception, StackError)
    assert "not of a service" not in found.output


def test_a_log_that_is_large_is_moved_away_under_who_writes_it(layout: Layout) -> None:
    log = layout.service_log("mlflow")
    parts = [letter * (10 * 2**20 + 1) for letter in "abcd"]
    with log.open("a") as service:
        for part in parts:
            log.write_text("")
            service.write(part)
            service.flush()
            bound_logs(layout)
        service.write("new\n")
    assert log.read_text() == "new\n"
    assert sorted(path.name for path in layout.logs_dir.glob("mlflow*")) == [
        "mlflow.log", "mlflow.log.1", "mlflow.log.2",
    ]  # fmt: skip
    assert [log.with_name(f"mlflow.log.{n}").read_text() for n in (1, 2)] == parts[:1:-1]
    assert layout.service_log("postgres").read_text() == "x\n"
    assert layout.kept_log("mlflow") == log


def test_on_a_full_disk_a_log_stays_as_it_is(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfile", full)
    log = layout.service_log("mlflow")
    log.write_bytes(b"x" * (11 * 2**20))
    bound_logs(layout)
    assert log.stat().st_size == 11 * 2**20
