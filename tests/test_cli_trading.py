"""What the command line says of signals and orders, and with which exit code."""

import datetime as dt
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tradewind.cli import app
from tradewind.desk import research, training
from tradewind.settings import Settings, load_settings
from tradewind.trading.signals import SignalSet

REPOSITORY = Path(__file__).parents[1]
SIGNALS = SignalSet(
    strategy="momentum",
    session=dt.date(2013, 3, 1),
    trade_session=dt.date(2013, 3, 4),
    model_version=3,
    snapshot_id="a" * 64,
    weights={"AAPL": 0.5},
)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TRADEWIND_HOME", str(REPOSITORY))
    return load_settings()


@pytest.mark.usefixtures("settings")
def test_signals_without_a_champion_have_an_exit_code_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(research, "signals", lambda *_: None)
    for options in ([], ["--json"], ["--session", "2013-03-01"]):
        assert CliRunner().invoke(app, ["signals", "momentum", *options]).exit_code == 3
    assert CliRunner().invoke(app, ["signals", "momentum", "--session", "soon"]).exit_code == 2


@pytest.mark.usefixtures("settings")
def test_signals_of_old_bars_are_said_to_be_old_beside_what_programs_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(research, "signals", lambda *_: SIGNALS)
    done = CliRunner().invoke(app, ["signals", "momentum", "--json"])
    assert done.exit_code == 0
    assert "warning: the bars end on 2013-03-01, " in done.stderr
    assert "played as the present" in done.stderr  # the shipped strategy says replay
    assert "warning" not in done.stdout


def test_bars_of_today_are_not_old_and_a_model_without_a_file_is_not_judged(
    settings: Settings,
) -> None:
    evening = dt.datetime(2013, 3, 1, 23, tzinfo=dt.UTC)
    assert research.age_of(settings, "momentum", SIGNALS.session, evening) == ""
    later = evening + dt.timedelta(days=3)
    assert "1 session of XNYS ago" in research.age_of(settings, "momentum", SIGNALS.session, later)
    assert research.age_of(settings, "no_such_file", SIGNALS.session, later) == ""
    centuries = dt.datetime(2300, 1, 1, tzinfo=dt.UTC)  # the calendar does not know of
    said = research.age_of(settings, "momentum", SIGNALS.session, centuries)
    assert said.startswith("how old the bars are cannot be said: calendar XNYS")


def test_a_training_says_first_what_it_may_do(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = training.announcement(settings, "momentum")
    assert "on paper, account momentum" in said
    monkeypatch.setattr(training, "trigger", lambda *_: "manual__1")
    done = CliRunner().invoke(app, ["train", "momentum"])
    assert (done.stdout.strip(), done.stderr.strip()) == ("manual__1", said)
