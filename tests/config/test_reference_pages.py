"""The reference's pages on commands and settings lack nothing: they are made from the code."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import reference_pages
from reference_pages import commands, filled, settings
from tradewind.cli import app
from tradewind.settings import FIELDS, variable

EXAMPLE = Path(__file__).parents[2] / ".env.example"


def leaves(command: Any, name: str) -> dict[str, Any]:
    """Return every command that does something, by how it is called."""
    found: dict[str, Any] = {}
    for word, each in command.commands.items():
        called = f"{name} {word}"
        found |= leaves(each, called) if hasattr(each, "commands") else {called: each}
    return {called: each for called, each in found.items() if not each.hidden}


def test_every_command_has_a_section_with_all_that_it_takes_and_what_that_means() -> None:
    parts = re.split(r"^## (.+)$", commands(), flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    known = leaves(get_command(app), "tradewind")
    assert set(sections) == set(known)
    assert len(known) > 25
    for called, command in known.items():
        rows = dict(re.findall(r"^\| `(.+?)` \| .+ \| (.*) \|$", sections[called], re.MULTILINE))
        assert len(rows) == len(command.params), called
        for name, meaning in rows.items():
            assert re.search(r"\w", meaning), f"say in cli.py what {name} of {called} means (help=)"
        assert str(command.help).partition("\n")[0] in sections[called]


def test_every_setting_that_can_be_given_has_its_line() -> None:
    line = re.compile(r"^\| `(TRADEWIND_\w+)` \| (.+?) \| (.+?) \| (.+) \|$", re.MULTILINE)
    rows = line.findall(settings())
    named = {name for name, *_ in rows}
    assert named == {variable(name) for name in FIELDS} - {
        "TRADEWIND_HOME",
        "TRADEWIND_DATABASE_URL",
    }
    by_name = {name: rest for name, *rest in rows}
    assert by_name["TRADEWIND_AIRFLOW_PORT"][:2] == ["`8080`", "a whole number from 1 to 65535"]
    assert by_name["TRADEWIND_ARTIFACT_STORE"][1] == "one of auto, directory, minio"


def test_a_setting_without_words_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference_pages, "_described", lambda _: {})
    with pytest.raises(ValueError, match="docstring of Settings what state_dir is"):
        settings()


def test_a_page_gets_what_it_asks_for_and_no_more() -> None:
    asked = "before\n\n<!-- .env.example: written by `make docs` -->\n\nafter\n"
    assert EXAMPLE.read_text().rstrip() in filled(asked)
    assert filled("<!-- a remark -->\n") == "<!-- a remark -->\n"
    with pytest.raises(KeyError, match="nothing"):
        filled("<!-- nothing: written by `make docs` -->")
