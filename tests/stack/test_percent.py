"""Alembic's settings take paths with percent signs, written once or twice."""

from configparser import ConfigParser
from pathlib import Path

import alembic.config
import pytest

from tradewind.stack.percent import allow_percent_signs


@pytest.fixture(autouse=True)
def patched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alembic.config, "ConfigParser", ConfigParser)  # put back afterwards
    allow_percent_signs()


@pytest.mark.parametrize("name", ["50% off", "a%e", "%", "a%é%b"])
def test_a_folder_with_percent_signs_is_found(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    file = folder / "alembic.ini"
    file.write_text("[alembic]\nnext_to_it = %(here)s/versions\n[post_write_hooks]\n")
    config = alembic.config.Config(file)
    config.set_main_option("script_location", str(folder))  # as MLflow writes it
    config.set_main_option("sqlalchemy.url", str(folder).replace("%", "%%"))  # as Airflow does
    assert config.get_main_option("script_location") == str(folder)
    assert config.get_main_option("sqlalchemy.url") == str(folder)
    assert config.get_main_option("next_to_it") == f"{folder}/versions"
    assert config.get_section("post_write_hooks") == {"here": str(folder)}
