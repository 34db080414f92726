"""What comes with tradewind is found in a wheel and in a checkout."""

from pathlib import Path

import pytest

from tradewind.errors import SettingsError
from tradewind.settings import Settings
from tradewind.shipped import shipped

CHECKOUT = Path(__file__).parents[1]


def test_a_development_install_reads_the_checkout_itself() -> None:
    assert shipped("config/airflow.env") == CHECKOUT / "config" / "airflow.env"


def test_an_installed_package_reads_its_own_and_nothing_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "tradewind"
    (package / "_shipped" / "config").mkdir(parents=True)
    (package / "_shipped" / "config" / "redis.conf").touch()
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "airflow.env").touch()
    assert shipped("config/redis.conf", package) == package / "_shipped" / "config" / "redis.conf"
    with pytest.raises(SettingsError, match=r"_shipped/config/airflow\.env is missing.*again"):
        shipped("config/airflow.env", package)


def test_a_file_in_the_workspace_goes_before_the_one_that_is_shipped(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.config_file("redis.conf") == CHECKOUT / "config" / "redis.conf"
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "redis.conf").touch()
    assert settings.config_file("redis.conf") == tmp_path / "config" / "redis.conf"
    assert settings.config_file("mlflow.env") == CHECKOUT / "config" / "mlflow.env"
