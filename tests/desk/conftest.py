import shutil
from pathlib import Path

import pytest

from tradewind.settings import Settings, load_settings

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without a stack."""
    for folder in ("config", "sources", "strategies"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    monkeypatch.delenv("TRADEWIND_HOME", raising=False)
    monkeypatch.delenv("TRADEWIND_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def settings(checkout: Path, monkeypatch: pytest.MonkeyPatch, postgres_url: str) -> Settings:
    """A checkout as a worker sees it: the ledger's address is in its environment."""
    monkeypatch.setenv("TRADEWIND_HOME", str(checkout))
    monkeypatch.setenv("TRADEWIND_DATABASE_URL", postgres_url)
    return load_settings()
