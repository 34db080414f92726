"""The trading book and the paper broker.

Revision r0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go on from the revision before."""
    op.create_table(
        "adjustments",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account", "session", "symbol", name=op.f("pk_adjustments")),
        schema="paper",
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("limit_price", sa.Numeric(precision=38, scale=8), nullable=True),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("shares <> 0", name=op.f("ck_orders_shares")),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_orders")),
        schema="paper",
    )
    op.create_index(
        op.f("ix_orders_account_session"),
        "orders",
        ["account", "session"],
        unique=False,
        schema="paper",
    )
    op.create_table(
        "sessions",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account", "session", name=op.f("pk_sessions")),
        schema="paper",
    )
    op.create_table(
        "accounts",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("capital", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column("commission_bps", sa.Numeric(), nullable=False),
        sa.Column("slippage_bps", sa.Numeric(), nullable=False),
        sa.Column("borrow_bps", sa.Numeric(), nullable=False),
        sa.Column("lot_size", sa.Integer(), nullable=False),
        sa.Column("max_participation", sa.Numeric(), nullable=False),
        sa.Column("max_weight", sa.Numeric(), nullable=False),
        sa.Column("max_gross", sa.Numeric(), nullable=False),
        sa.Column("max_net", sa.Numeric(), nullable=False),
        sa.Column("max_order_volume", sa.Numeric(), nullable=False),
        sa.Column("max_price_move", sa.Numeric(), nullable=False),
        sa.Column("max_signal_age", sa.Integer(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("capital > 0", name=op.f("ck_accounts_capital")),
        sa.CheckConstraint("lot_size > 0", name=op.f("ck_accounts_lot_size")),
        sa.PrimaryKeyConstraint("account", "sequence", name=op.f("pk_accounts")),
        schema="trading",
    )
    op.create_table(
        "bookings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False, comment="empty for the capital"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("amount", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column(
            "reference", sa.Text(), nullable=False, comment="the fill's execution id, or empty"
        ),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('capital', 'split', 'dividend', 'borrow', 'sell', 'buy', 'commission', "
            "'slippage')",
            name=op.f("ck_bookings_kind"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bookings")),
        sa.UniqueConstraint(
            "account",
            "session",
            "symbol",
            "kind",
            "reference",
            name=op.f("uq_bookings_account_session_symbol_kind_reference"),
        ),
        schema="trading",
    )
    op.create_table(
        "equity",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("cash", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column("positions", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column("equity", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("equity = cash + positions", name=op.f("ck_equity_sum")),
        sa.PrimaryKeyConstraint("account", "session", name=op.f("pk_equity")),
        schema="trading",
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=True, comment="null for all"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "kind IN ('fill', 'end_of_day', 'halt', 'resume')", name=op.f("ck_events_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        schema="trading",
    )
    op.create_table(
        "halts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("account", sa.Text(), nullable=True, comment="null for all"),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_halts")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_halts_account_id"), "halts", ["account", "id"], unique=False, schema="trading"
    )
    op.create_table(
        "intents",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("trade_session", sa.Date(), nullable=False),
        sa.Column("weight", sa.Numeric(), nullable=False),
        sa.Column("reference_price", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("target", sa.BigInteger(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("shares = target - held", name=op.f("ck_intents_shares")),
        sa.PrimaryKeyConstraint(
            "account", "session", "symbol", "model_version", name=op.f("pk_intents")
        ),
        sa.UniqueConstraint(
            "account", "session", "symbol", name=op.f("uq_intents_account_session_symbol")
        ),
        schema="trading",
    )
    op.create_table(
        "quotes",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("open", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("close", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("volume", sa.BigInteger(), nullable=False),
        sa.Column("split_numerator", sa.BigInteger(), nullable=False),
        sa.Column("split_denominator", sa.BigInteger(), nullable=False),
        sa.Column("dividend", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("open > 0 AND close > 0", name=op.f("ck_quotes_prices")),
        sa.CheckConstraint(
            "split_numerator > 0 AND split_denominator > 0", name=op.f("ck_quotes_split")
        ),
        sa.CheckConstraint("volume >= 0", name=op.f("ck_quotes_volume")),
        sa.PrimaryKeyConstraint("account", "session", "symbol", name=op.f("pk_quotes")),
        schema="trading",
    )
    op.create_table(
        "executions",
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("commission", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column("slippage", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["paper.orders.client_order_id"],
            name=op.f("fk_executions_client_order_id"),
        ),
        sa.PrimaryKeyConstraint("execution_id", name=op.f("pk_executions")),
        schema="paper",
    )
    op.create_index(
        op.f("ix_executions_account_session"),
        "executions",
        ["account", "session"],
        unique=False,
        schema="paper",
    )
    op.create_table(
        "order_events",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["paper.orders.client_order_id"],
            name=op.f("fk_order_events_client_order_id"),
        ),
        sa.PrimaryKeyConstraint("client_order_id", "sequence", name=op.f("pk_order_events")),
        schema="paper",
    )
    op.create_table(
        "orders",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("signal_session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("limit_price", sa.Numeric(precision=38, scale=8), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "(kind = 'limit') = (limit_price IS NOT NULL)", name=op.f("ck_orders_limit_price")
        ),
        sa.CheckConstraint("kind IN ('market', 'limit')", name=op.f("ck_orders_kind")),
        sa.CheckConstraint("shares <> 0", name=op.f("ck_orders_shares")),
        sa.ForeignKeyConstraint(
            ["account", "signal_session", "symbol", "model_version"],
            [
                "trading.intents.account",
                "trading.intents.session",
                "trading.intents.symbol",
                "trading.intents.model_version",
            ],
            name=op.f("fk_orders_account"),
        ),
        sa.PrimaryKeyConstraint("client_order_id", name=op.f("pk_orders")),
        sa.UniqueConstraint(
            "account",
            "signal_session",
            "symbol",
            "model_version",
            name=op.f("uq_orders_account_signal_session_symbol_model_version"),
        ),
        schema="trading",
    )
    op.create_index(
        op.f("ix_orders_account_session"),
        "orders",
        ["account", "session"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "publications",
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.Text(), nullable=False, comment="on the Redis stream"),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["event_id"], ["trading.events.id"], name=op.f("fk_publications_event_id")
        ),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_publications")),
        schema="trading",
    )
    op.create_table(
        "fills",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("execution_id", sa.Text(), nullable=False),
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("shares", sa.BigInteger(), nullable=False),
        sa.Column("price", sa.Numeric(precision=38, scale=8), nullable=False),
        sa.Column("commission", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column("slippage", sa.Numeric(precision=38, scale=2), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("price > 0", name=op.f("ck_fills_price")),
        sa.CheckConstraint("shares <> 0", name=op.f("ck_fills_shares")),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["trading.orders.client_order_id"],
            name=op.f("fk_fills_client_order_id"),
        ),
        sa.PrimaryKeyConstraint("account", "execution_id", name=op.f("pk_fills")),
        schema="trading",
    )
    op.create_index(
        op.f("ix_fills_client_order_id"),
        "fills",
        ["client_order_id"],
        unique=False,
        schema="trading",
    )
    op.create_table(
        "order_events",
        sa.Column("client_order_id", sa.Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("previous_sequence", sa.Integer(), nullable=True),
        sa.Column("previous_state", sa.Text(), nullable=True),
        sa.Column("reasons", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint(
            "CASE WHEN sequence = 0 THEN state = 'new' AND previous_sequence IS NULL AND "
            "previous_state IS NULL ELSE previous_sequence IS NOT NULL AND previous_state IS "
            "NOT NULL AND previous_sequence = sequence - 1 END",
            name=op.f("ck_order_events_follows"),
        ),
        sa.CheckConstraint(
            "previous_state IS NULL OR (previous_state, state) IN (('new', 'refused'), ('new', "
            "'submitted'), ('new', 'expired'), ('new', 'cancelled'), ('submitted', "
            "'accepted'), ('submitted', 'rejected'), ('submitted', 'expired'), ('submitted', "
            "'cancelled'), ('accepted', 'rejected'), ('accepted', 'partially_filled'), "
            "('accepted', 'filled'), ('accepted', 'expired'), ('accepted', 'cancelled'), "
            "('partially_filled', 'partially_filled'), ('partially_filled', 'filled'), "
            "('partially_filled', 'expired'), ('partially_filled', 'cancelled'))",
            name=op.f("ck_order_events_transition"),
        ),
        sa.CheckConstraint(
            "state IN ('new', 'refused', 'submitted', 'accepted', 'rejected', "
            "'partially_filled', 'filled', 'expired', 'cancelled')",
            name=op.f("ck_order_events_state"),
        ),
        sa.ForeignKeyConstraint(
            ["client_order_id", "previous_sequence", "previous_state"],
            [
                "trading.order_events.client_order_id",
                "trading.order_events.sequence",
                "trading.order_events.state",
            ],
            name="fk_order_events_previous",
        ),
        sa.ForeignKeyConstraint(
            ["client_order_id"],
            ["trading.orders.client_order_id"],
            name=op.f("fk_order_events_client_order_id"),
        ),
        sa.PrimaryKeyConstraint("client_order_id", "sequence", name=op.f("pk_order_events")),
        sa.UniqueConstraint(
            "client_order_id",
            "sequence",
            "state",
            name=op.f("uq_order_events_client_order_id_sequence_state"),
        ),
        schema="trading",
    )
