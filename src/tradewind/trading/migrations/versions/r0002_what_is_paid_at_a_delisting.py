"""What an account is paid for a symbol whose quotes have ended; it may be nothing.

Revision r0002, after r0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go on from the revision before."""
    op.add_column(
        "accounts",
        # The strategies' own default, for accounts that are open; the next `quote` writes theirs.
        sa.Column("delisting_return", sa.Numeric(), nullable=False, server_default="0"),
        schema="trading",
    )
    op.alter_column("accounts", "delisting_return", server_default=None, schema="trading")
    op.create_check_constraint(
        op.f("ck_accounts_delisting_return"), "accounts", "delisting_return >= -1", schema="trading"
    )
    op.drop_constraint(op.f("ck_fills_price"), "fills", schema="trading", type_="check")
    op.create_check_constraint(op.f("ck_fills_price"), "fills", "price >= 0", schema="trading")
