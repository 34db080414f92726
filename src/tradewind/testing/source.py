"""What every source of bars must do, as tests."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar

import polars as pl
import pytest

from tradewind.errors import SourceError
from tradewind.market import actions
from tradewind.market.bars import KEY, SCHEMA
from tradewind.market.ingest import examine
from tradewind.market.sources.offers import (
    OffersActions,
    OffersMembers,
    Promise,
    promise_of,
    takes_since,
)
from tradewind.market.sources.source import Source, SourceSpec, find_source, open_source
from tradewind.settings import load_settings

__all__ = ["SourceContract"]


class SourceContract:
    """Tests of a source.

    What it offers beyond `symbols` and `load` (`tradewind.market.sources.offers`) is tried where it
    is offered.

    Attributes
    ----------
    name : str
        Of its file in ``sources/``.
    symbols : sequence of str
        Those that are asked for, two or more; its first five if not given.
    """

    name: ClassVar[str]
    symbols: ClassVar[Sequence[str]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def spec(cls) -> SourceSpec:
        """Its file."""
        return find_source(cls.name, load_settings().sources_dir)

    @pytest.fixture(scope="class")
    @classmethod
    def source(cls, spec: SourceSpec) -> Source:
        """The source, opened."""
        return open_source(spec)

    @pytest.fixture(scope="class")
    @classmethod
    def asked(cls, source: Source) -> list[str]:
        """Symbols that are asked for."""
        return sorted(cls.symbols or source.symbols()[:5])

    @pytest.fixture(scope="class")
    @classmethod
    def bars(cls, source: Source, asked: list[str]) -> pl.DataFrame:
        """Their bars."""
        return source.load(asked)

    def test_its_symbols_are_sorted_and_each_there_once(self, source: Source) -> None:
        symbols = list(source.symbols())
        assert symbols == sorted(set(symbols))
        assert symbols

    def test_bars_have_their_columns_and_are_sorted(
        self, bars: pl.DataFrame, asked: list[str]
    ) -> None:
        assert dict(bars.select(SCHEMA.names()).schema) == dict(SCHEMA)
        assert bars.select(KEY).equals(bars.select(KEY).sort(KEY))
        assert bars.get_column("symbol").unique().sort().to_list() == asked

    def test_bars_pass_every_rule(self, source: Source, spec: SourceSpec, asked: list[str]) -> None:
        found = examine(source, spec, symbols=asked, known_at=datetime.now(UTC))
        assert [str(each) for each in found if each.severity == "error"] == []

    def test_asked_again_it_says_the_same(
        self, source: Source, bars: pl.DataFrame, asked: list[str]
    ) -> None:
        assert source.load(asked).equals(bars)

    def test_order_and_repetition_of_what_is_asked_for_do_not_matter(
        self, source: Source, bars: pl.DataFrame, asked: list[str]
    ) -> None:
        found = source.load([*reversed(asked), *asked])
        assert found.equals(bars), "bars must come sorted by symbol and session, each once"

    def test_a_symbol_s_bars_are_the_same_alone(
        self, source: Source, bars: pl.DataFrame, asked: list[str]
    ) -> None:
        for symbol in asked:
            assert source.load([symbol]).equals(bars.filter(symbol=symbol))

    def test_factors_are_positive_and_end_at_one(self, bars: pl.DataFrame) -> None:
        factors = bars.select("symbol", "split_factor", "adjustment_factor")
        assert factors.select((pl.exclude("symbol") > 0).all()).row(0) == (True, True)
        last = factors.group_by("symbol").last().drop("symbol")
        assert set(last.unique().rows()) == {(1.0, 1.0)}

    def test_a_symbol_that_is_not_there_is_an_error_with_its_name(self, source: Source) -> None:
        with pytest.raises(SourceError, match="NO SUCH SYMBOL"):
            source.load(["NO SUCH SYMBOL"])

    def test_since_a_session_it_gives_the_end_of_the_whole(
        self, source: Source, bars: pl.DataFrame, asked: list[str]
    ) -> None:
        if not takes_since(source):
            return  # asked for everything each time
        begin = {symbol: bars.filter(symbol=symbol)["session"][-20:][0] for symbol in asked[:-1]}
        first = pl.DataFrame({"symbol": list(begin), "begin": list(begin.values())})
        tail = bars.join(first, on="symbol", how="left").filter(
            pl.col("session") >= pl.col("begin").fill_null(bars["session"].min())
        )
        found = source.load(asked, begin)
        raw = pl.exclude("split_factor", "adjustment_factor")
        assert found.select(raw).equals(tail.drop("begin").select(raw))
        for factor in ("split_factor", "adjustment_factor"):
            apart = (found[factor] / tail[factor] - 1.0).abs().max()
            assert isinstance(apart, float)
            assert apart < 1e-9, f"{factor} must step as it does in the whole history"

    def test_its_promise_is_one(self, source: Source) -> None:
        assert isinstance(getattr(source, "promise", Promise()), Promise)
        assert promise_of(source).overlap >= 0

    def test_its_actions_have_their_columns_and_are_sorted(
        self, source: Source, asked: list[str]
    ) -> None:
        if not isinstance(source, OffersActions):
            return
        found = source.actions(asked)
        assert dict(found.schema) == dict(actions.SCHEMA)
        assert found.equals(found.sort(actions.SORTED_BY))
        assert set(found["kind"]) <= set(actions.KINDS)
        assert set(found["symbol"]) <= set(asked)
        with_value = found.filter(pl.col("kind").is_in(["split", "dividend"]))
        assert with_value.filter((pl.col("value") > 0).not_().fill_null(value=True)).is_empty()

    def test_its_members_of_a_day_are_sorted(self, source: Source, bars: pl.DataFrame) -> None:
        if not isinstance(source, OffersMembers):
            return
        members = list(source.members(bars["session"].sort()[-1]))
        assert members == sorted(set(members))
