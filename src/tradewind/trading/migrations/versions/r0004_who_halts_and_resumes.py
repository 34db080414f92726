"""Who halted an account, or let it go on.

Revision r0004, after r0003.
"""

import sqlalchemy as sa
from alembic import op

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go on from the revision before."""
    # Of switches until now nobody knows it.
    op.add_column(
        "halts",
        sa.Column(
            "said_by",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="or empty: not known",
        ),
        schema="trading",
    )
