from pathlib import Path

import pytest

from tradewind.settings import load_settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    return tmp_path


def test_bars_are_kept_beside_the_other_state(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_settings().market_store == str(home / ".tradewind" / "market")
    monkeypatch.setenv("TRADEWIND_STATE_DIR", "elsewhere")
    assert load_settings().market_store == str(home / "elsewhere" / "market")


@pytest.mark.parametrize(
    ("given", "root"),
    [("bars", "{home}/bars"), ("/srv/bars", "/srv/bars"), ("s3://desk/bars", "s3://desk/bars")],
)
def test_bars_are_kept_where_the_user_says(
    home: Path, monkeypatch: pytest.MonkeyPatch, given: str, root: str
) -> None:
    monkeypatch.setenv("TRADEWIND_MARKET_STORE", given)
    settings = load_settings()
    assert settings.market_store == root.format(home=home)
    assert settings.as_environment()["TRADEWIND_MARKET_STORE"] == settings.market_store


def test_what_is_empty_in_the_environment_is_not_set(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text("TRADEWIND_MLFLOW_PUBLIC_URL=\n")
    monkeypatch.setenv("TRADEWIND_ALERT_URL", "")
    assert (load_settings().alert_url, load_settings().mlflow_public_url) == (None, None)
