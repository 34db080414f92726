"""The one-shot services of compose.yaml: ``python -m tradewind.stack.containers.one_shots NAME``.

Each can be run again without harm: `docker compose up` does so every time.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values

from tradewind.errors import TradewindError

__all__ = ["main"]

SECRETS = Path("/run/secrets")
VOLUMES = Path("/volumes")
PROJECT = Path("/project")
ACCESS_LIST = Path("/etc/tradewind/users.acl.template")


def hand_out_secrets() -> None:
    """Make missing secrets, give each service its own, and the volumes to their users."""
    from tradewind.stack.containers.handout import hand_out, own_volumes

    dotenv = PROJECT / ".env"
    # Read here, not by `env_file`, for `docker inspect` shows the environment that compose sets.
    given = dotenv_values(dotenv, interpolate=False) if dotenv.is_file() else {}
    hand_out(SECRETS, given, ACCESS_LIST.read_text(), VOLUMES / "postgres")
    own_volumes(VOLUMES)


def print_credentials() -> None:
    """Print address, user and password of each web page."""
    logins = json.loads((SECRETS / "credentials" / "logins.json").read_text())
    for page, login in logins.items():
        address = os.environ[f"{page.partition('-')[0].upper()}_ADDRESS"]
        _say(f"{page:13} {address:24} {login['user']:10} {login['password']}")


def create_buckets() -> None:
    """Make MLflow's bucket in MinIO, and the user that may use it and nothing else."""
    from tradewind.stack.minio import create_bucket, create_user

    create_bucket(os.environ)
    create_user(os.environ, os.environ["MINIO_MLFLOW_PASSWORD"])


def initialise_airflow() -> None:
    """Migrate Airflow's database, make its administrator, and set what its other roles may do."""
    from tradewind.stack.containers.migrations import migrate_airflow
    from tradewind.stack.rights import set_rights

    changed = migrate_airflow((SECRETS / "airflow-init" / "admin").read_text())
    set_rights(os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    _say("migrated" if changed else "nothing to migrate")


def migrate_mlflow() -> None:
    """Migrate MLflow's database, and let nobody else in."""
    from tradewind.stack.containers import migrations
    from tradewind.stack.rights import set_rights

    changed = migrations.migrate_mlflow()
    set_rights("postgresql:///")  # of the variables PG*
    _say("migrated" if changed else "nothing to migrate")


def migrate_trading() -> None:
    """Migrate the database of research and trading, and set what its other roles may do."""
    from tradewind.stack.containers.migrations import migrate_trading as migrate
    from tradewind.stack.rights import set_rights

    migrate()
    set_rights(os.environ["TRADEWIND_DATABASE_URL"])


ONE_SHOTS: dict[str, Callable[[], None]] = {
    "secrets": hand_out_secrets,
    "credentials": print_credentials,
    "buckets": create_buckets,
    "airflow-init": initialise_airflow,
    "mlflow-migrate": migrate_mlflow,
    "trading-migrate": migrate_trading,
}


def main(arguments: list[str]) -> int:
    """Run the one-shot that is named, and return the exit code."""
    if len(arguments) != 1 or arguments[0] not in ONE_SHOTS:
        sys.stderr.write(f"error: name one of {', '.join(ONE_SHOTS)}\n")
        return 2
    try:
        ONE_SHOTS[arguments[0]]()
    except TradewindError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
