"""Bring the trading book's tables to the version of this code, and make those of its evidence.

The ledger of trials, the signals and what these were made of are made here, too, by the owner of
the database: who adds to them may then do no more than that.

``python -m tradewind.trading.migrate`` is run at every start of a stack, by as many at once as
like: one migrates, the others wait and find it done. All of it is one transaction, so that a
migration that is killed has not happened.
"""

import os
import sys
from typing import Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tradewind.errors import TradewindError, TradingError
from tradewind.research.trials import ledger_table
from tradewind.trading import signal_inputs, signals
from tradewind.trading.book.database import database_errors, open_database
from tradewind.trading.book.schema import PAPER, SCHEMA
from tradewind.trading.broker import BROKER
from tradewind.trading.broker import PAPER as ON_PAPER

__all__ = ["DATABASE_URL", "migrate", "migration_config"]

DATABASE_URL: Final = "TRADEWIND_DATABASE_URL"
_LOCK: Final = 7_301_002


def migration_config(connection: sa.Connection, broker: str = ON_PAPER) -> Config:
    """Return Alembic's settings for a connection; they need no ini file."""
    config = Config()
    config.set_main_option("script_location", "tradewind.trading:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["on_paper"] = broker == ON_PAPER
    return config


def migrate(url: str, broker: str = ON_PAPER) -> str:
    """Bring the tables to the newest version, and return its name.

    Parameters
    ----------
    url : str
        Of the database, for SQLAlchemy.
    broker : str
        What ``TRADEWIND_BROKER`` says: before accounts had an `execution` of their own, all of
        them traded there.

    Raises
    ------
    TradingError
        If the database refuses or is out of reach, or was migrated by newer code.
    """
    with (
        open_database(url) as engine,
        database_errors("migrating the trading book"),
        engine.begin() as connection,
    ):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        for schema in (SCHEMA, PAPER):
            connection.execute(sa.schema.CreateSchema(schema, if_not_exists=True))
        config = migration_config(connection, broker)
        _refuse_newer(connection, config)
        command.upgrade(config, "head")
        for make in (ledger_table.make, signals.make_table, signal_inputs.make_table):
            make(connection)
        return str(ScriptDirectory.from_config(config).get_current_head())


def _refuse_newer(connection: sa.Connection, config: Config) -> None:
    if not sa.inspect(connection).has_table("alembic_version", schema=SCHEMA):
        return
    table = sa.table("alembic_version", sa.column("version_num"), schema=SCHEMA)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    found = set(connection.execute(sa.select(table.c.version_num)).scalars())
    if found - known:
        raise TradingError(
            f"the trading book is at version {', '.join(sorted(found - known))}, which this code "
            "does not know: it was migrated by a newer tradewind; install that one"
        )


def main() -> int:
    """Migrate the database that the environment names."""
    url = os.environ.get(DATABASE_URL)
    if not url:
        sys.stderr.write(f"{DATABASE_URL} is not set: it names the database of the book\n")
        return 2
    try:
        version = migrate(url, os.environ.get(BROKER) or ON_PAPER)
    except TradewindError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"the trading book is at version {version}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
