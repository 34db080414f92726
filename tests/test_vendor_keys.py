"""Keys of vendors: where they are found, and who gets them."""

from pathlib import Path

import pytest

from tradewind.broker_login import LOGIN, find_login
from tradewind.errors import SettingsError
from tradewind.settings import Settings, load_settings
from tradewind.stack import doors
from tradewind.stack.containers import handout
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import Secrets, save_secrets
from tradewind.stack.services import services
from tradewind.vendor_keys import find_key, given_keys, is_key

CHECKOUT = Path(__file__).parents[1]
KEY, VALUE = "TRADEWIND_TIINGO_KEY", "5ecr3t-0f-a-v3nd0r"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (KEY, "TRADEWIND_HOME"):
        monkeypatch.delenv(name, raising=False)
    for folder in ("strategies", "sources"):
        (tmp_path / folder).mkdir()
    (tmp_path / "config").symlink_to(CHECKOUT / "config")
    return tmp_path


def test_a_key_is_found_in_the_environment_then_in_the_file_then_among_the_secrets(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_key("tiingo", home) is None
    state = home / ".tradewind"
    state.mkdir()
    save_secrets(Layout(state), Secrets(tiingo_key="kept"))
    assert find_key("tiingo", home) == "kept"
    (home / ".env").write_text(f"{KEY}=written\n")
    assert find_key("tiingo", home) == "written"
    monkeypatch.setenv(KEY, "around")
    assert find_key("tiingo", home) == "around"
    assert given_keys(home) == {KEY: "around"}
    (state / "secrets.json").chmod(0o644)  # which the stack refuses to use
    monkeypatch.delenv(KEY)
    (home / ".env").unlink()
    assert find_key("tiingo", home) is None


def test_it_is_no_setting_and_one_of_no_kind_is_refused(home: Path) -> None:
    (home / ".env").write_text(f"{KEY}={VALUE}\n")
    settings = load_settings(home=home)
    assert VALUE not in f"{settings!r}{settings.as_environment()}"
    (home / ".env").write_text(f"TRADEWIND_TINGO_KEY={VALUE}\n")
    with pytest.raises(SettingsError, match="TRADEWIND_TINGO_KEY is no setting") as caught:
        load_settings(home=home)
    assert VALUE not in str(caught.value)
    assert [is_key(name) for name in (KEY, "TRADEWIND_KEY", "OTHER_TIINGO_KEY")] == [
        True,
        False,
        False,
    ]


@pytest.mark.parametrize("place", ["environment", "secrets"])
def test_only_workers_of_the_stack_get_it(
    home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if place == "environment":
        monkeypatch.setenv(KEY, VALUE)
    secrets = Secrets(tiingo_key=VALUE if place == "secrets" else "")
    settings = Settings(home=home, artifact_store="directory")
    settings.state.mkdir()
    having = {
        service.name: service.environment[KEY]
        for service in services(settings, Layout(settings.state), secrets)
        if VALUE in f"{service.environment}{service.command}"
    }
    assert having
    assert set(having.values()) == {VALUE}
    assert all(name.startswith("airflow-worker") for name in having)


@pytest.mark.parametrize("place", ["environment", "secrets"])
def test_only_the_trading_worker_gets_a_broker_s_login(
    home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(LOGIN, raising=False)
    if place == "environment":
        monkeypatch.setenv(LOGIN, VALUE)
    secrets = Secrets(broker_login=VALUE if place == "secrets" else "")
    settings = load_settings(home=home)
    assert VALUE not in f"{settings!r}{settings.as_environment()}"
    settings.state.mkdir()
    save_secrets(Layout(settings.state), secrets)
    having = {
        service.name: service.environment[LOGIN]
        for service in services(settings, Layout(settings.state), secrets)
        if VALUE in f"{service.environment}{service.command}"
    }
    assert having == {"trading-worker": VALUE}
    monkeypatch.setenv("TRADEWIND_HOME", str(home))
    assert find_login() == VALUE
    (settings.state / "secrets.json").chmod(0o644)  # which the stack refuses to use
    monkeypatch.delenv(LOGIN, raising=False)
    assert find_login() is None


def test_the_doctor_takes_no_offence_at_who_has_which(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (KEY, "TRADEWIND_ALPACA_KEY", LOGIN):
        monkeypatch.delenv(name, raising=False)
    secrets = Secrets(tiingo_key="5ecr3t-one", alpaca_key="5ecr3t-two", broker_login="5ecr3t-three")
    settings = load_settings(home=home)
    settings.state.mkdir()
    looked_at = set()
    for service in services(settings, Layout(settings.state), secrets):
        for begin, allowed in doors.HELD.items():
            if service.name.startswith(begin):
                looked_at.add(begin)
                check = doors._held(begin, dict(service.environment), allowed, secrets)
                assert check.ok, check
    assert looked_at == set(doors.HELD)


def test_a_broker_s_login_is_refused_where_tasks_can_read_it(home: Path) -> None:
    (home / ".env").write_text(f"{LOGIN}={VALUE}\n")
    with pytest.raises(SettingsError, match=r"\.env:1: .* may not stand where tasks can") as told:
        load_settings(home=home)
    assert VALUE not in str(told.value)


def test_only_the_trading_worker_s_container_gets_a_broker_s_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handout, "_own", lambda *_: None)
    monkeypatch.setattr("os.fchown", lambda *_: None)
    template = (CHECKOUT / "config" / "users.acl.template").read_text()
    handout.hand_out(tmp_path, {"SECRET_BROKER_LOGIN": VALUE}, template, tmp_path / "no-data")
    having = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and VALUE in path.read_text()
    }
    assert having == {"secrets.json", "trading/env", "backup/secrets.json"}


def test_only_workers_in_containers_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handout, "_own", lambda *_: None)
    monkeypatch.setattr("os.fchown", lambda *_: None)
    template = (CHECKOUT / "config" / "users.acl.template").read_text()
    handout.hand_out(tmp_path, {"SECRET_TIINGO_KEY": VALUE}, template, tmp_path / "no-data")
    having = {
        str(path.relative_to(tmp_path))
        for path in tmp_path.rglob("*")
        if path.is_file() and VALUE in path.read_text()
    }
    # What a backup keeps is what a restore needs.
    assert having == {"secrets.json", "airflow-worker/env", "backup/secrets.json"}
    assert f"{KEY}={VALUE}\n" in (tmp_path / "airflow-worker" / "env").read_text()
