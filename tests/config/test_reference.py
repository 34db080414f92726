"""docs/strategy.md and docs/source.md name every field that a file may have, as the code has it.

A field that is missing there fails with the line to paste, but for what it means.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tradewind.market.sources.alpaca import AlpacaOptions
from tradewind.market.sources.crypto import CcxtOptions
from tradewind.market.sources.databento import DatabentoOptions
from tradewind.market.sources.interactive_brokers import InteractiveBrokersOptions
from tradewind.market.sources.massive import MassiveOptions
from tradewind.market.sources.options import FilesOptions
from tradewind.market.sources.quorum_options import QuorumOptions
from tradewind.market.sources.source import SourceSpec
from tradewind.market.sources.tiingo import TiingoOptions
from tradewind.market.sources.yahoo import YahooOptions
from tradewind.research.strategy.strategy import Strategy
from tradewind.specs.words import allowed, fields_of, kinds, options_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES: dict[str, list[tuple[str, type[BaseModel]]]] = {
    "strategy.md": [("strategy", Strategy)],
    "source.md": [("source", SourceSpec), ("options", FilesOptions)],
    "quorum.md": [("quorum", QuorumOptions)],
    "vendors.md": [("tiingo", TiingoOptions), ("alpaca", AlpacaOptions)],
    "vendors/ccxt.md": [("ccxt", CcxtOptions)],
    "vendors/interactive_brokers.md": [("interactive_brokers", InteractiveBrokersOptions)],
    "vendors/databento.md": [("databento", DatabentoOptions)],
    "vendors/massive.md": [("massive", MassiveOptions)],
    "vendors/yahoo.md": [("yahoo", YahooOptions)],
}
HEAD = "| field | default | allowed | meaning |\n| --- | --- | --- | --- |"


def models(
    name: str, model: type[BaseModel], seen: set[type[BaseModel]]
) -> Iterator[tuple[str, Any]]:
    """Yield the heading of each model's section, with the model."""
    if model in seen:
        return
    seen.add(model)
    yield name, model
    for field, info in fields_of(model).items():
        inner = list(_models_of(info.annotation))
        by_kind = {
            each: kind for one in _annotations(info.annotation) for kind, each in kinds(one).items()
        }
        for each in inner:
            alone = len(inner) == 1
            heading = field if alone else f"{field}: {by_kind.get(each, each.__name__.lower())}"
            yield from models(heading, each, seen)


def _annotations(annotation: Any) -> Iterator[Any]:
    """Yield a type and what is inside it: items of lists, values of mappings."""
    from typing import get_args

    yield annotation
    for inner in get_args(annotation):
        yield from _annotations(inner)


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    found: dict[type[BaseModel], None] = {}
    for one in _annotations(annotation):
        if not hasattr(one, "metadata"):
            found.update(dict.fromkeys(options_of(one)))
    yield from found


def rows(model: type[BaseModel]) -> dict[str, str]:
    """Return, by field, how its line in the table begins."""
    found = {}
    for name, info in fields_of(model).items():
        default = _default(info.get_default(call_default_factory=True))
        inner = list(_models_of(info.annotation))
        words = "see below" if inner and name != "kind" else allowed(info.annotation, info.metadata)
        words = words.replace("|", "\\|")
        found[name] = f"| `{name}` | {default} | {words} |"
    return found


def _default(value: Any) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value is None:
        return "null"
    if value in ((), {}, ""):
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"`{value}`"


def sections(page: str) -> dict[str, str]:
    """Return what stands below each heading of a page."""
    parts = re.split(r"^#{2,3} (.+)$", (DOCS / page).read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


WANTED = [
    (page, heading, model)
    for page, tops in PAGES.items()
    for name, top in tops
    for heading, model in models(name, top, set())
]


@pytest.mark.parametrize(
    ("page", "heading", "model"), WANTED, ids=[f"{p} {h}" for p, h, _ in WANTED]
)
def test_every_field_is_on_the_page_with_its_default_and_what_is_allowed(
    page: str, heading: str, model: type[BaseModel]
) -> None:
    wanted = rows(model)
    there = sections(page).get(heading)
    whole = "\n".join(f"{row} what it means |" for row in wanted.values())
    assert there is not None, f"add to docs/{page}:\n\n### {heading}\n\n{HEAD}\n{whole}"
    table = {m[1]: m[0] for m in re.finditer(r"^\| `(\w+)` \|.*$", there, flags=re.MULTILINE)}
    for name, row in wanted.items():
        assert table.get(name, "").startswith(row), (
            f"put into docs/{page}, section {heading!r}, the line\n{row} what it means |"
        )
        assert re.search(r"\w", table[name].removeprefix(row)), f"say what {heading}.{name} means"
    assert set(table) == set(wanted), f"docs/{page}, section {heading!r}, names what is not there"


def test_there_are_pages_and_sections_to_look_at() -> None:
    headings = {(page, heading) for page, heading, _ in WANTED}
    assert {("strategy.md", "gate"), ("strategy.md", "model: lightgbm")} <= headings
    assert {("strategy.md", "features: momentum"), ("source.md", "csv")} <= headings
    assert {("source.md", "closed"), ("strategy.md", "features: across")} <= headings
    assert len(WANTED) > 20


@pytest.mark.parametrize("page", PAGES)
def test_no_section_is_about_what_is_gone(page: str) -> None:
    with_tables = {name for name, text in sections(page).items() if "| field |" in text}
    assert with_tables == {heading for name, heading, _ in WANTED if name == page}
