"""Schema changes and the administrator: made once a version, before the services that need them.

The last version is stored as the comment of the database itself, and so belongs to the data: a
restored or emptied database is migrated again. To read it takes 0.1 s; to start Airflow only to
find that there is nothing to do takes seven.
"""

import os
import subprocess
from collections.abc import Callable
from importlib.metadata import version

from tradewind.errors import StackError

__all__ = ["migrate_airflow", "migrate_mlflow"]


def migrate_airflow(admin_password: str) -> bool:
    """Bring Airflow's schema to the installed version, and make the user ``admin``.

    The database is the one of ``AIRFLOW__DATABASE__SQL_ALCHEMY_CONN``.

    Returns
    -------
    bool
        Whether there was anything to do.
    """
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    done = " ".join(
        f"{name} {version(name)}" for name in ("apache-airflow", "apache-airflow-providers-fab")
    )

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

    return _once(address, done, work)


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
