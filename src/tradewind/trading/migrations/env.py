"""Alembic's environment: migrates on the connection that `tradewind.trading.migrate` hands in."""

from alembic import context

from tradewind.trading.book.schema import PAPER, SCHEMA, metadata


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    # The database holds tables of others, too: signals, the ledger of trials.
    return kind != "schema" or name in {SCHEMA, PAPER}


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
    include_name=_ours,
)
with context.begin_transaction():
    context.run_migrations()
