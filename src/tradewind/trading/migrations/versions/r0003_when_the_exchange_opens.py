"""Where an account's orders go, and when the exchange opens for the sessions to come.

Revision r0003, after r0002.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go on from the revision before."""
    # Accounts that are open stay at the broker where they are.
    on_paper = op.get_context().config.attributes["on_paper"]  # type: ignore[union-attr]
    op.add_column(
        "accounts",
        sa.Column(
            "execution", sa.Text(), nullable=False, server_default="paper" if on_paper else "live"
        ),
        schema="trading",
    )
    op.alter_column("accounts", "execution", server_default=None, schema="trading")
    op.create_check_constraint(
        op.f("ck_accounts_execution"),
        "accounts",
        "execution IN ('off', 'paper', 'replay', 'live')",
        schema="trading",
    )
    op.create_table(
        "openings",
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("session", sa.Date(), nullable=False),
        sa.Column("opens_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("account", "session", name=op.f("pk_openings")),
        schema="trading",
    )
    op.create_check_constraint(
        op.f("ck_intents_later"), "intents", "trade_session > session", schema="trading"
    )
    op.create_check_constraint(
        op.f("ck_orders_later"), "orders", "session > signal_session", schema="trading"
    )
