"""docs/order.md follows one order from prediction to position; each figure there comes out."""

import datetime as dt
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.trading.books import SESSIONS, Desk
from tradewind.display.trading import explanation
from tradewind.market.sources import sample
from tradewind.research.evaluation.dataset import prepare
from tradewind.research.evaluation.predict import predict, wanted_weights
from tradewind.research.models.model import fit
from tradewind.research.strategy.files import load_strategy
from tradewind.research.strategy.strategy import Strategy
from tradewind.trading.book.accounts import terms_of
from tradewind.trading.book.views import positions
from tradewind.trading.explanation import explain
from tradewind.trading.signals import SignalBook, SignalSet, tranches_of

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "order.md"
DECIDED = dt.date(2013, 2, 15)
TRADED = SESSIONS[SESSIONS.index(DECIDED) + 1]
SYMBOL = "AAPL"


def signals(strategy: Strategy, known: pl.DataFrame) -> tuple[pl.DataFrame, SignalSet]:
    """Return the predictions of the last sessions, and the signals that come of them."""
    model = fit(prepare(known, strategy).latest_rows(), strategy, num_threads=1)
    weights = wanted_weights(model, known, strategy, sessions=strategy.horizon)
    last = weights.filter(pl.col("session") == DECIDED).select("symbol", "weight")
    made = SignalSet(
        strategy=strategy.name,
        session=DECIDED,
        trade_session=TRADED,
        model_version=1,
        snapshot_id="a" * 64,
        weights=dict(last.iter_rows()),
        tranches=tranches_of(weights, strategy.horizon),
    )
    return predict(model, known, strategy, sessions=strategy.horizon), made


def lines(predictions: pl.DataFrame, made: SignalSet) -> list[str]:
    """Return what the page says of predictions and weights."""
    own = predictions.filter(pl.col("symbol") == SYMBOL).select("session", "prediction")
    shares = made.tranches[SYMBOL]
    rows = zip(own.iter_rows(), shares, strict=True)
    return [
        *(f"| {day} | {value:+.4f} | {share:g} |" for (day, value), share in rows),
        f"({' + '.join(f'{each:g}' for each in shares)}) / 5 = {made.weights[SYMBOL]:.2f}",
        *(f"    {symbol:<4}  {'':32}{weight:.2f}\n" for symbol, weight in made.weights.items()
          if symbol != SYMBOL),
        f"The rest, {1 - sum(made.weights.values()):.2f}, stays",
    ]  # fmt: skip


def test_every_figure_of_the_page_comes_out(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    strategy = load_strategy(CHECKOUT / "strategies" / "momentum.yaml")
    desk.bars = sample.load(strategy.universe.symbols).sort("symbol", "session")
    desk.terms = terms_of(strategy)
    predictions, made = signals(strategy, desk.bars.filter(pl.col("session") <= DECIDED))
    SignalBook(desk.url).store(made)
    desk.open(DECIDED)
    desk.submit(DECIDED)
    mine = f"WHERE symbol = '{SYMBOL}'"
    [(order,)] = desk.rows(f"SELECT client_order_id FROM trading.orders {mine}")
    found = explain(desk.engine, str(order))
    explanation(found)
    explained = capsys.readouterr().out
    desk.quote(TRADED)
    desk.settle(TRADED)
    [(shares, price, *costs)] = desk.rows(
        f"SELECT shares, price, commission, slippage FROM trading.fills {mine}"
    )
    [position] = [each for each in positions(desk.engine, strategy.name) if each.symbol == SYMBOL]
    [(worth,)] = desk.rows(f"SELECT equity FROM trading.equity WHERE session = '{TRADED}'")
    traded = sum(made.weights.values())
    close = f"{found.close:.2f}"
    page = PAGE.read_text("utf-8")
    for figure in [
        *lines(predictions, made),
        f"{traded:.2f} x {found.equity:,.2f} x 0.0005 = {found.set_aside:.2f}",
        f"{found.weight:.2f} x ({found.equity:,.2f} - {found.set_aside:.2f}) / {close} = "
        f"{found.wanted:.4f}",
        f"that is {found.whole} shares",
        explained,
        f"{shares} x {price:.2f}           = {Decimal(shares) * price:,.2f}",
        f"commission, {strategy.backtest.commission_bps} bps    = {costs[0]:>10}",
        f"slippage, {strategy.backtest.slippage_bps} bps      = {costs[1]:>10}",
        f"{position.price:.2f}, the position is worth {position.value:,}, and the account",
        f"the account {worth:,}",
        f"{position.weight:.2%}".replace("%", " % of equity is in AAPL"),
    ]:
        assert figure in page, figure
