"""Real sessions, one after the other, as a vendor delivers them: bars in, positions out.

AAPL splits two for one on 2005-02-28. The strategy is long and short, and trades daily.
"""

import csv
import os
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.stack.airflow import Airflow
from tests.support import wait_until
from tradewind.market.sources import sample
from tradewind.research.backtest.books import Books, keep_books
from tradewind.research.strategy.judging import Backtest

NAME = "daily"
SOURCE = "vendor"
SYMBOLS = ("AAPL", "IBM", "MSFT")
LAST = date(2005, 3, 4)
NEXT = date(2005, 3, 7)
FEW = 10
STRATEGY: dict[str, Any] = {
    "name": NAME,
    "description": "A straight line, long and short, that trades every session",
    "universe": {"source": SOURCE, "symbols": list(SYMBOLS)},
    "horizon": 1,
    "features": [{"return": {"window": 5}}, {"volatility": {"window": 21}}],
    "model": {"kind": "ridge", "alpha": 1.0},
    "walk_forward": {"train": 252, "test": 63},
    "backtest": {
        "positions": "long_short",
        "commission_bps": 1.0,
        "slippage_bps": 4.0,
        "borrow_bps": 50.0,
        "max_gross": 1.0,
    },
    "risk": {"max_gross": 1.2},
    "execution": "replay",
    "gate": dict.fromkeys(
        (
            "min_deflated_sharpe",
            "min_alpha_probability",
            "max_pbo",
            "max_drawdown",
            "min_trades",
            "champion_margin",
        )
    ),
    "monitor": dict.fromkeys(("max_psi", "max_ks", "min_performance")),
}
FILE = {
    "name": SOURCE,
    "description": "a file a day",
    "kind": "files",
    "calendar": "XNYS",
    "backdate": True,
    "schedule": None,
    "options": {
        "path": f"sources/{SOURCE}/*.csv",
        "symbol": {"column": "symbol"},
        "session": {"column": "session", "format": "%Y-%m-%d"},
        "columns": {"split_factor": "split_factor", "adjustment_factor": "adjustment_factor"},
        "adjustment": "factors",
    },
}

Ask = Callable[[str], Sequence[Sequence[object]]]
"""Ask the database `tradewind`."""


def count_asked_for(usual: int) -> int:
    """Return how many sessions are traded: a dozen seconds each, and more on a busy machine."""
    return int(os.environ.get("TRADED_SESSIONS", usual))


def real_bars() -> pl.DataFrame:
    """Return the bars from two years before the first session on."""
    bars = sample.load(SYMBOLS)
    return bars.filter(pl.col("session").is_between(date(2003, 1, 2), LAST))


def sessions(count: int) -> list[date]:
    """Return the session that the account is opened in, and those after it that are traded."""
    return real_bars()["session"].unique().sort().to_list()[-count - 1 :]


def write_files(home: Path, opened: date, strategies: Sequence[dict[str, Any]]) -> None:
    """Write the strategies, their source, and what the vendor has delivered so far."""
    for strategy in strategies:
        path = home / "strategies" / f"{strategy['name']}.yaml"
        path.write_text(yaml.safe_dump(strategy))
    (home / "sources" / SOURCE).mkdir()
    deliver(home, real_bars().filter(pl.col("session") <= opened), "history")
    (home / "sources" / f"{SOURCE}.yaml").write_text(yaml.safe_dump(FILE))


def deliver(home: Path, bars: pl.DataFrame, name: str) -> None:
    """Write bars into a file that is there whole, or not at all."""
    path = home / "sources" / SOURCE / f"{name}.csv"
    with path.with_suffix(".part").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(bars.columns)
        writer.writerows(bars.rows())
    path.with_suffix(".part").rename(path)


def deliver_session(home: Path, session: date) -> None:
    """Let the vendor deliver the file of a session."""
    deliver(home, sample.load(SYMBOLS).filter(pl.col("session") == session), str(session))


def undisturbed(_: int) -> None:
    """Let a session take its course."""


def play(
    airflow: Airflow,
    home: Path,
    count: int,
    during: Callable[[int], None] = undisturbed,
    strategies: Sequence[dict[str, Any]] = (STRATEGY,),
) -> list[date]:
    """Train, then trade sessions one after the other; return them with the first.

    `during` is called with the number of each that is traded, when its orders have begun to flow.
    """
    opened, *traded = sessions(count)
    write_files(home, opened, strategies)
    names = [strategy["name"] for strategy in strategies]
    needed = [f"{what}_{name}" for name in names for what in ("train", "execute", "monitor")]
    for dag_id in (f"ingest_{SOURCE}", *needed):
        wait_until(partial(airflow.knows, dag_id), 600)
    run(airflow, f"ingest_{SOURCE}")
    for name in names:
        airflow.patch(f"/dags/monitor_{name}", {"is_paused": True})
        run(airflow, f"train_{name}")
        # The new champion has made signals, and they have opened the account.
        executed(airflow, 0, name=name)
    for number, session in enumerate(traded, start=1):
        deliver_session(home, session)
        run(airflow, f"ingest_{SOURCE}")
        for name in names:
            executed(airflow, number, during, name)
    return [opened, *traded]


def run(airflow: Airflow, dag_id: str) -> None:
    state, tasks = airflow.finished(dag_id, airflow.trigger(dag_id), 1800)
    assert state == "success", tasks


def executed(
    airflow: Airflow,
    number: int,
    during: Callable[[int], None] = undisturbed,
    name: str = NAME,
) -> None:
    """Wait for the end of a strategy's execution of that number."""
    dag_id = f"execute_{name}"
    wait_until(lambda: len(airflow.runs(dag_id)) > number, 1800, of=lambda: airflow.runs(dag_id))
    during(number)
    runs = airflow.runs(dag_id)
    assert len(runs) == number + 1
    assert runs[-1]["run_type"] == "asset_triggered"
    state, tasks = airflow.finished(dag_id, runs[-1]["dag_run_id"], 1800)
    assert state == "success", tasks
    assert set(tasks.values()) == {"success"}


def backtested(ask: Ask, strategy: dict[str, Any]) -> Books:
    """Return the backtest's own books of the stored signals."""
    rows = ask(
        "SELECT symbol, session::text, weight::text FROM signals "
        f"WHERE strategy = '{strategy['name']}' ORDER BY session, symbol"
    )
    weights = pl.DataFrame(
        {
            "symbol": [str(row[0]) for row in rows],
            "session": [date.fromisoformat(str(row[1])) for row in rows],
            "weight": [float(str(row[2])) for row in rows],
        }
    )
    # Of these rules alone: libraries that a model names need not be installed here.
    rules = Backtest.model_validate(strategy["backtest"])
    return keep_books(weights, real_bars(), rules, sizing="close")


def check_book(ask: Ask, strategy: dict[str, Any] = STRATEGY) -> int:
    """Hold the trading book against the backtest's: every booking, position and close.

    Returns the number of bookings.
    """
    name, books = strategy["name"], backtested(ask, strategy)
    days = ask(
        "SELECT session::text, cash::text, positions::text, equity::text FROM trading.equity "
        f"WHERE account = '{name}' ORDER BY session"
    )
    assert [tuple(day) for day in days] == [
        tuple(str(value) for value in row) for row in books.equity.rows()
    ]
    booked = ask(
        "SELECT session::text, symbol, kind, shares::text, price::text, amount::text "
        f"FROM trading.bookings WHERE account = '{name}' AND kind <> 'capital'"
    )
    expected = [tuple(str(value) for value in row) for row in books.ledger.rows()]
    assert sorted(tuple(map(str, row)) for row in booked) == sorted(expected)
    held = ask(
        f"SELECT symbol, sum(shares)::text FROM trading.bookings WHERE account = '{name}' "
        "GROUP BY symbol HAVING sum(shares) <> 0 ORDER BY symbol"
    )
    last = books.positions.filter(pl.col("session") == LAST).sort("symbol")
    assert [tuple(row) for row in held] == [
        (symbol, str(shares)) for symbol, shares in last.select("symbol", "shares").rows()
    ]
    # The split and a short position are in the ten sessions, not in any few of them.
    kinds = {"buy", "commission", "slippage"}
    if strategy is STRATEGY:
        kinds.add("sell")
    if strategy is STRATEGY and len(days) > FEW:
        kinds |= {"split", "borrow"}
    assert kinds <= {row[2] for row in expected}
    return len(expected)
