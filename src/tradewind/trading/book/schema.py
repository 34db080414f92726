"""The tables of the trading book (schema ``trading``) and of the paper broker (``paper``).

Made by Alembic (`tradewind.trading.migrate`); a test holds the two together. A row is written once
and never changed: an order's state is its last event, a position the sum of its bookings. Money is
NUMERIC(38, 2), a price NUMERIC(38, 8). Shares are whole. Rates and weights are the decimal numbers
that they print as.
"""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from tradewind.trading.orders import TRANSITIONS, OrderKind, OrderState

__all__ = [
    "PAPER",
    "SCHEMA",
    "accounts",
    "bookings",
    "equity",
    "events",
    "fills",
    "halts",
    "intents",
    "metadata",
    "openings",
    "order_events",
    "orders",
    "paper_adjustments",
    "paper_executions",
    "paper_order_events",
    "paper_orders",
    "paper_sessions",
    "publications",
    "quotes",
]

SCHEMA: Final = "trading"
PAPER: Final = "paper"

metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

_MONEY: Final = sa.Numeric(38, 2)
_PRICE: Final = sa.Numeric(38, 8)
_EXACT: Final = sa.Numeric()  # as many digits as the number has


def _written_at() -> sa.Column[object]:
    # The clock, not the start of the transaction: rows of one transaction keep their order.
    return sa.Column(
        "created_at",
        sa.DateTime(timezone=True),
        server_default=sa.text("clock_timestamp()"),
        nullable=False,
    )


def _one_of(column: str, values: type[OrderState] | type[OrderKind] | tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"


# An account's terms. New ones, of a new champion, are a new row: in force for sessions after
# `since`. The first row's `since` is the session after whose close the account was opened.
accounts = sa.Table(
    "accounts",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", sa.Date, nullable=False),
    sa.Column("capital", _MONEY, nullable=False),
    sa.Column("commission_bps", _EXACT, nullable=False),
    sa.Column("slippage_bps", _EXACT, nullable=False),
    sa.Column("borrow_bps", _EXACT, nullable=False),
    sa.Column("lot_size", sa.Integer, nullable=False),
    sa.Column("max_participation", _EXACT, nullable=False),
    sa.Column("max_weight", _EXACT, nullable=False),
    sa.Column("max_gross", _EXACT, nullable=False),
    sa.Column("max_net", _EXACT, nullable=False),
    sa.Column("max_order_volume", _EXACT, nullable=False),
    sa.Column("max_price_move", _EXACT, nullable=False),
    sa.Column("max_signal_age", sa.Integer, nullable=False),
    sa.Column("delisting_return", _EXACT, nullable=False),
    sa.Column("execution", sa.Text, nullable=False),
    _written_at(),
    sa.CheckConstraint("capital > 0", "capital"),
    sa.CheckConstraint("lot_size > 0", "lot_size"),
    sa.CheckConstraint("delisting_return >= -1", "delisting_return"),
    sa.CheckConstraint("execution IN ('off', 'paper', 'replay', 'live')", "execution"),
    schema=SCHEMA,
)

# Of every session of an account, and of some before its first. The split is what one share held at
# the close before has become, the dividend what a share was then paid.
quotes = sa.Table(
    "quotes",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("open", _PRICE, nullable=False),
    sa.Column("close", _PRICE, nullable=False),
    sa.Column("volume", sa.BigInteger, nullable=False),
    sa.Column("split_numerator", sa.BigInteger, nullable=False),
    sa.Column("split_denominator", sa.BigInteger, nullable=False),
    sa.Column("dividend", _PRICE, nullable=False),
    _written_at(),
    sa.CheckConstraint("open > 0 AND close > 0", "prices"),
    sa.CheckConstraint("volume >= 0", "volume"),
    sa.CheckConstraint("split_numerator > 0 AND split_denominator > 0", "split"),
    schema=SCHEMA,
)

# When the exchange opens, of sessions after those that signals were decided on.
openings = sa.Table(
    "openings",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
    _written_at(),
    schema=SCHEMA,
)

# Orders that the account wants after the close of `session`: `shares` is `target` less `held`.
intents = sa.Table(
    "intents",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("model_version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("trade_session", sa.Date, nullable=False),
    sa.Column("weight", _EXACT, nullable=False),
    sa.Column("reference_price", _PRICE, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("target", sa.BigInteger, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    _written_at(),
    # The model version is part of the key; only one version trades a session.
    sa.UniqueConstraint("account", "session", "symbol"),
    sa.CheckConstraint("shares = target - held", "shares"),
    # A decision never trades the session whose close it knows.
    sa.CheckConstraint("trade_session > session", "later"),
    schema=SCHEMA,
)

# `signal_session` is the intent's; `session` the one whose open the order is for.
orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("signal_session", sa.Date, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("model_version", sa.Integer, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("limit_price", _PRICE),
    _written_at(),
    sa.UniqueConstraint("account", "signal_session", "symbol", "model_version"),
    sa.ForeignKeyConstraint(
        ["account", "signal_session", "symbol", "model_version"],
        [intents.c.account, intents.c.session, intents.c.symbol, intents.c.model_version],
    ),
    sa.CheckConstraint("shares <> 0", "shares"),
    sa.CheckConstraint("session > signal_session", "later"),
    sa.CheckConstraint(_one_of("kind", OrderKind), "kind"),
    sa.CheckConstraint("(kind = 'limit') = (limit_price IS NOT NULL)", "limit_price"),
    sa.Index(None, "account", "session"),
    schema=SCHEMA,
)

_LEGAL: Final = ", ".join(
    f"('{before}', '{after}')" for before, following in TRANSITIONS.items() for after in following
)
# Each event names the one before it, so that the database itself refuses an illegal transition.
order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("client_order_id", sa.Text, sa.ForeignKey(orders.c.client_order_id),
              primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("previous_sequence", sa.Integer),
    sa.Column("previous_state", sa.Text),
    sa.Column("reasons", ARRAY(sa.Text), nullable=False),
    _written_at(),
    sa.UniqueConstraint("client_order_id", "sequence", "state"),
    sa.ForeignKeyConstraint(
        ["client_order_id", "previous_sequence", "previous_state"],
        [
            f"{SCHEMA}.order_events.client_order_id",
            f"{SCHEMA}.order_events.sequence",
            f"{SCHEMA}.order_events.state",
        ],
        name="fk_order_events_previous",
    ),
    sa.CheckConstraint(_one_of("state", OrderState), "state"),
    sa.CheckConstraint(
        "CASE WHEN sequence = 0"
        " THEN state = 'new' AND previous_sequence IS NULL AND previous_state IS NULL"
        " ELSE previous_sequence IS NOT NULL AND previous_state IS NOT NULL"
        " AND previous_sequence = sequence - 1 END",
        "follows",
    ),
    sa.CheckConstraint(
        f"previous_state IS NULL OR (previous_state, state) IN ({_LEGAL})", "transition"
    ),
    schema=SCHEMA,
)  # fmt: skip

# Commission and slippage are what they cost: positive, in money. `session` is the broker's. A price
# of zero is paid for a delisted share that is worth nothing.
fills = sa.Table(
    "fills",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("execution_id", sa.Text, primary_key=True),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey(orders.c.client_order_id), nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    sa.Column("price", _PRICE, nullable=False),
    sa.Column("commission", _MONEY, nullable=False),
    sa.Column("slippage", _MONEY, nullable=False),
    _written_at(),
    sa.CheckConstraint("shares <> 0", "shares"),
    sa.CheckConstraint("price >= 0", "price"),
    sa.Index(None, "client_order_id"),
    schema=SCHEMA,
)

# The account's books, as `tradewind.research.backtest.books` keeps them; its capital is the first.
BOOKING_KINDS: Final = (
    "capital", "split", "dividend", "borrow", "sell", "buy", "commission", "slippage"
)  # fmt: skip
bookings = sa.Table(
    "bookings",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False, comment="empty for the capital"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    sa.Column("price", _PRICE, nullable=False),
    sa.Column("amount", _MONEY, nullable=False),
    sa.Column("reference", sa.Text, nullable=False, comment="the fill's execution id, or empty"),
    _written_at(),
    # The database refuses a second booking of the same thing, whoever makes it.
    sa.UniqueConstraint("account", "session", "symbol", "kind", "reference"),
    sa.CheckConstraint(_one_of("kind", BOOKING_KINDS), "kind"),
    schema=SCHEMA,
)

# One row a settled session; it is written last, with all of the session's bookings.
equity = sa.Table(
    "equity",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("cash", _MONEY, nullable=False),
    sa.Column("positions", _MONEY, nullable=False),
    sa.Column("equity", _MONEY, nullable=False),
    _written_at(),
    sa.CheckConstraint("equity = cash + positions", "sum"),
    schema=SCHEMA,
)

# The kill switch. The last row of an account, and the last row without one, say whether it may
# trade.
halts = sa.Table(
    "halts",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("account", sa.Text, comment="null for all"),
    sa.Column("halted", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("said_by", sa.Text, nullable=False, server_default="", comment="or empty: not known"),
    _written_at(),
    sa.Index(None, "account", "id"),
    schema=SCHEMA,
)

# The outbox: an event is written in the transaction that it reports, and published after it.
EVENT_KINDS: Final = ("fill", "end_of_day", "halt", "resume")
events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    sa.Column("account", sa.Text, comment="null for all"),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", JSONB, nullable=False),
    _written_at(),
    sa.CheckConstraint(_one_of("kind", EVENT_KINDS), "kind"),
    schema=SCHEMA,
)

publications = sa.Table(
    "publications",
    metadata,
    sa.Column("event_id", sa.BigInteger, sa.ForeignKey(events.c.id), primary_key=True,
              autoincrement=False),
    sa.Column("entry_id", sa.Text, nullable=False, comment="on the Redis stream"),
    _written_at(),
    schema=SCHEMA,
)  # fmt: skip

# --- The paper broker's own records. They name nothing in the book, as no broker's would.
paper_orders = sa.Table(
    "orders",
    metadata,
    sa.Column("client_order_id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("limit_price", _PRICE),
    sa.Column("session", sa.Date, nullable=False),
    _written_at(),
    sa.CheckConstraint("shares <> 0", "shares"),
    sa.Index(None, "account", "session"),
    schema=PAPER,
)

paper_order_events = sa.Table(
    "order_events",
    metadata,
    sa.Column("client_order_id", sa.Text, sa.ForeignKey(paper_orders.c.client_order_id),
              primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    _written_at(),
    schema=PAPER,
)  # fmt: skip

paper_executions = sa.Table(
    "executions",
    metadata,
    sa.Column("execution_id", sa.Text, primary_key=True),
    sa.Column("client_order_id", sa.Text, sa.ForeignKey(paper_orders.c.client_order_id),
              nullable=False),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("session", sa.Date, nullable=False),
    sa.Column("symbol", sa.Text, nullable=False),
    sa.Column("shares", sa.BigInteger, nullable=False),
    sa.Column("price", _PRICE, nullable=False),
    sa.Column("commission", _MONEY, nullable=False),
    sa.Column("slippage", _MONEY, nullable=False),
    _written_at(),
    sa.Index(None, "account", "session"),
    schema=PAPER,
)  # fmt: skip

# By how many shares a split changed a position.
paper_adjustments = sa.Table(
    "adjustments",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("symbol", sa.Text, primary_key=True),
    sa.Column("shares", sa.BigInteger, nullable=False),
    _written_at(),
    schema=PAPER,
)

# Sessions whose open has been traded; written with its executions, so that none is traded twice.
paper_sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    _written_at(),
    schema=PAPER,
)
