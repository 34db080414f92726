"""Schema changes and the administrator: made once a version, before the services that need them.

The last version is stored as the comment of the database itself, and so belongs to the data: a
restored or emptied database is migrated again. To read it takes 0.1 s; to start Airflow only to
find that there is nothing to do takes seven.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context

from tradewind.errors import StackError
from tradewind.stack import people

__all__ = ["end_with", "migrate_airflow", "migrate_mlflow", "migrate_trading"]


def migrate_airflow(admin_password: str) -> bool:
    """Bring Airflow's schema to the installed version, and make the user ``admin`` and the roles.

    The database is the one of ``AIRFLOW__DATABASE__SQL_ALCHEMY_CONN``.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    StackError
        If Airflow refuses; its own message is above it in the log.
    """
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    done = f"apache-airflow {version('apache-airflow')}, roles {people.mark()}"

    def work() -> None:
        # One process for both commands: most of their time is the import of Airflow. Since no
        # command line is used, the password is in none.
        from airflow.cli.cli_parser import get_parser

        parser = get_parser()
        for arguments in (
            ["db", "migrate"],
            ["users", "create", "--username", "admin", "--role", "Admin",
             "--firstname", "tradewind", "--lastname", "admin", "--email", "admin@localhost",
             f"--password={admin_password}"],  # one argument: a password may begin with a hyphen
        ):  # fmt: skip
            parsed = parser.parse_args(arguments)
            parsed.func(parsed)
        people.make_roles()

    return _once(address, done, partial(end_with, work))


def end_with(work: Callable[[], None]) -> None:
    """Do something in a process of its own, so that its connections to the database end with it.

    Airflow leaves some open, in transactions. Rights are set after it, which waits for whoever has
    used a table: it would wait for its own process.

    Raises
    ------
    StackError
        If it fails; its own message is above it in the log.
    """
    child = get_context("fork").Process(target=work)
    child.start()
    child.join()
    if child.exitcode:
        raise StackError(f"the migration of Airflow ended with exit code {child.exitcode}")


def migrate_mlflow() -> bool:
    """Bring MLflow's schema to the installed version.

    The server, database, user and password are those of the ``PG*`` variables.

    Returns
    -------
    bool
        Whether there was anything to do.

    Raises
    ------
    StackError
        If MLflow refuses; its own message is above it in the log.
    """

    def work() -> None:
        ended = subprocess.run(
            ["mlflow", "db", "upgrade", os.environ["MLFLOW_BACKEND_STORE_URI"]], check=False
        )
        if ended.returncode:
            raise StackError(f"`mlflow db upgrade` ended with exit code {ended.returncode}")

    return _once("postgresql:///", f"mlflow {version('mlflow')}", work)


def migrate_trading() -> None:
    """Bring the tables of research and trading to this version.

    The database is the one of ``TRADEWIND_DATABASE_URL``.

    Raises
    ------
    StackError
        If that refuses; its own message is above it in the log.
    """
    ended = subprocess.run([sys.executable, "-m", "tradewind.trading.migrate"], check=False)
    if ended.returncode:
        raise StackError(f"the migration of trading ended with exit code {ended.returncode}")


def _once(address: str, done: str, work: Callable[[], None]) -> bool:
    import psycopg2
    from psycopg2 import sql

    connection = psycopg2.connect(address)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database "
                "WHERE datname = current_database()"
            )
            if cursor.fetchone() == (done,):
                return False
            work()
            database = sql.Identifier(connection.info.dbname)
            statement = sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(done))
            cursor.execute(statement)
            return True
    finally:
        connection.close()
