import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tradewind.errors import SettingsError
from tradewind.settings import Settings, load_settings


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


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("AIRFLOW_PORT", "8_680", "from 1 to 65535, not '8_680': write 8680"),
        ("AIRFLOW_PORT", "\uff18\uff16\uff18\uff10", "write 8680"),
        ("AIRFLOW_PORT", "\u0668\u0666\u0668\u0660", "write 8680"),
        ("AIRFLOW_PORT", "' 8680'", "write 8680"),
        ("AIRFLOW_PORT", "8680.0", "a whole number from 1 to 65535"),
        ("AIRFLOW_PORT", "+8680", "a whole number from 1 to 65535"),
        ("AIRFLOW_PORT", "9" * 300, "a whole number from 1 to 65535"),
        ("AIRFLOW_PORT", "", "a whole number from 1 to 65535, not ''"),
        ("AIRFLOW_WORKER_REPLICAS", "1e1", "a whole number from 1 to 64"),
        ("KEEP_DAYS", "-1", "a whole number from 0 to 36500, not '-1'"),
        ("KEEP_DAYS", "", "a whole number from 0 to 36500, not ''"),
        ("KEEP_DELETED_DAYS", "30 days", "a whole number from 0 to 36500"),
        ("START_TIMEOUT", "inf", "a number of seconds above 0"),
        ("START_TIMEOUT", "nan", "a number of seconds above 0"),
        ("START_TIMEOUT", "1e400", "a number of seconds above 0"),
        ("STATE_DIR", "", "must be a folder, such as .tradewind, not ''"),
        ("STATE_DIR", "~/state", "~ means nothing here: write /"),
        ("STATE_DIR", ".", "holds the workspace"),
        ("STATE_DIR", "/", "holds the workspace"),
        ("STATE_DIR", "strategies/state", "belongs to the workspace"),
        ("STATE_DIR", "sources/../src", "belongs to the workspace"),
        ("STATE_DIR", ".env", "which is a file"),
        ("STATE_DIR", '"a\\tb"', "without control characters"),
        ("MARKET_STORE", "ftp://x", "a folder or s3://bucket/prefix, not 'ftp://x'"),
        ("MARKET_STORE", "s3:/bucket/bars", "a folder or s3://bucket/prefix"),
        ("MARKET_STORE", "s3://", "a folder or s3://bucket/prefix"),
        ("MARKET_STORE", "S3://Desk/bars", "a folder or s3://bucket/prefix"),
        ("MARKET_STORE", "~", "~ means nothing here"),
        ("ARTIFACT_STORE", "minoi", "Did you mean minio?"),
        ("BROKER", "nope", "a broker that is installed (alpaca, ib, paper)"),
        ("BROKER", "papr", "Did you mean paper?"),
        ("BROKER", "https://gateway", "a broker that is installed"),
        ("ALERT_URL", "not an address", "an address such as https://"),
        ("ALERT_URL", "example.com/hook", "write https:// before it"),
        ("ALERT_URL", "ftp://example.com", "an address such as https://"),
        ("ALERT_URL", "https://", "an address such as https://"),
        ("ALERT_URL", "https://example.com:99999/", "an address such as https://"),
        ("MLFLOW_PUBLIC_URL", "mlflow.example.com", "write https:// before it"),
        ("WORKER_MODULES", "torch;rm", "names of Python modules"),
        ("WORKER_MODULES", "my module-x", "not 'module-x'"),
        ("AIRFLOW_PROT", "1", "is no setting. Did you mean TRADEWIND_AIRFLOW_PORT?"),
        ("HOME", "/tmp", "set it in the environment"),
    ],
)
def test_a_setting_is_judged_when_it_is_read(home: Path, name: str, text: str, told: str) -> None:
    (home / ".env").write_text(f"# mine\n\nTRADEWIND_{name}={text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith(f"{home / '.env'}:3: TRADEWIND_{name} ")
    assert told in str(caught.value)


def test_each_wrong_setting_is_told_but_those_that_the_environment_sets(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".env").write_text(
        "TRADEWIND_BROKER=nope\nTRADEWIND_REDIS_PORT=x\ntradewind_mlflow_port=1\n"
    )
    monkeypatch.setenv("TRADEWIND_REDIS_PORT", "7001")
    monkeypatch.setenv("TRADEWIND_ALERT_URL", "x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    told = str(caught.value).splitlines()
    assert [line.removeprefix(f"{home / '.env'}:").split(" ")[0] for line in told] == [
        "1:",
        "3:",
        "TRADEWIND_ALERT_URL",
    ]
    assert "Did you mean TRADEWIND_MLFLOW_PORT?" in told[1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("TRADEWIND_AIRFLOW_PORT=8680\n".encode("utf-16"), ":1: .*UTF-16.*save the file as UTF-8"),
        ("A=1\nB=2\n".encode("utf-16-le"), ":1: .*UTF-16.*save the file as UTF-8"),
        ("A=1\n# Gr\u00f6\u00dfe\n".encode("latin-1"), ":2: .*0xf6, which is '\u00f6' in Latin-1"),
        (b"A=1\n\nTRADEWIND_AIRFLOW_PORT 8680\n", ":3: must be NAME=value, .*, not 'TRADEWIND_AIR"),
        (b"TRADEWIND_AIRFLOW_PORT\n", ":1: TRADEWIND_AIRFLOW_PORT has no value"),
        (b"TRADEWIND_STATE_DIR=a\0b\n", ":1: holds zero bytes"),
        (b"TRADEWIND_AIRFLOW_PORT: 8680\n", ":1: must be NAME=value"),
        (b'TRADEWIND_STATE_DIR="a\n', ":1: must be NAME=value"),
        (
            b"TRADEWIND_REDIS_PORT=1\nA=1\nTRADEWIND_REDIS_PORT=2\n",
            ":3: TRADEWIND_REDIS_PORT is there twice, first in line 1",
        ),
        (b"#" * 70_000, ": cannot be read: larger than 64 KiB"),
    ],
)
def test_a_file_of_settings_that_is_none_is_named_by_line(
    home: Path, content: bytes, told: str
) -> None:
    (home / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=re.escape(str(home / ".env")) + told):
        load_settings()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (Path.mkdir, "it is a folder"),
        (os.mkfifo, "it is a named pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.symlink_to("nowhere"), "it is a link to nowhere, which is not there"),
        (lambda path: path.symlink_to(path), "Too many levels"),
        (lambda path: path.symlink_to("/proc/self/mem"), "cannot be read"),
    ],
)
def test_what_is_no_plain_file_of_settings_is_refused(
    home: Path, make: Callable[[Path], None], told: str
) -> None:
    make(home / ".env")
    with pytest.raises(SettingsError, match=f"{re.escape(str(home / '.env'))}: .*{told}"):
        load_settings()


def test_a_file_of_settings_of_windows_is_read(home: Path) -> None:
    (home / ".env").write_bytes("\ufeffTRADEWIND_AIRFLOW_PORT=8680\r\nA='b'\r\n".encode())
    assert load_settings().airflow_port == 8680


def test_the_settings_of_a_stack_can_be_read_again_by_its_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "a b#\u00fc%\t"
    odd.mkdir()
    for name, value in Settings(home=odd).as_environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings().state == odd / ".tradewind"
