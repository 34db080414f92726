"""Secrets of a state directory: kept as they are, and completed after an upgrade."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from tradewind.errors import SecretsError
from tradewind.stack.layout import Layout
from tradewind.stack.secrets import ADDED, Secrets, ensure_secrets, load_secrets


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    return made


def test_secrets_of_an_earlier_version_are_kept_and_the_missing_made(layout: Layout) -> None:
    older = {name: text for name, text in asdict(Secrets()).items() if name not in ADDED}
    layout.secrets_file.write_text(json.dumps(older))
    layout.secrets_file.chmod(0o600)
    with pytest.raises(SecretsError, match=r"earlier version and lacks .*tradewind up"):
        load_secrets(layout)
    found = asdict(ensure_secrets(layout))
    assert older.items() <= found.items()
    assert all(len(found[name]) >= 32 for name in ADDED)
    assert asdict(load_secrets(layout)) == asdict(ensure_secrets(layout)) == found


@pytest.mark.parametrize("change", [{"of_nobody": "x"}, {"redis_admin": None}])
def test_a_damaged_file_is_not_completed(layout: Layout, change: dict[str, str | None]) -> None:
    content = {**asdict(Secrets()), **change}
    text = json.dumps({name: value for name, value in content.items() if value is not None})
    layout.secrets_file.write_text(text)
    layout.secrets_file.chmod(0o600)
    with pytest.raises(SecretsError, match="damaged"):
        ensure_secrets(layout)
    assert layout.secrets_file.read_text() == text
