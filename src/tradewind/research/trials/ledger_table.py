"""The table of the ledger of trials; what makes it needs SQLAlchemy and nothing of research."""

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Connection,
    Date,
    DateTime,
    Float,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)

__all__ = ["LEDGER", "make"]

_METADATA: Final = MetaData()
LEDGER: Final = Table(
    "trial_ledger",
    _METADATA,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("strategy", Text, nullable=False),
    Column("configuration", Text, nullable=False),
    Column("snapshot_id", Text, nullable=False),
    Column("data_start", Date, nullable=False),
    Column("data_end", Date, nullable=False),
    Column("symbols", JSON, nullable=False),
    Column("parameters", JSON, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("sharpe", Float(53)),
    Column("n_sessions", Integer, nullable=False),
    Column("failure", Text),
    Column("returns", LargeBinary),
    Column("recorded_at", DateTime(timezone=True), server_default=func.now(), nullable=False),
    UniqueConstraint("strategy", "snapshot_id", "configuration"),
)


def make(connection: Connection) -> None:
    """Make the table where it is missing, in the transaction of a connection."""
    # Two processes that find no table would both make it.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('trial_ledger'))"))
    _METADATA.create_all(connection)
