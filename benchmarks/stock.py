"""Stock Airflow and stock MLflow: the same versions with their defaults, on the same stores.

Only addresses, logins and keys are given, which have no default that works for more than one
process, and no example DAGs are loaded, which ours has not either.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx

from benchmarks.servers import Servers, families, servers
from tests.postgres import RunningPostgres, running_postgres
from tests.redis_server import RedisServer, running_redis
from tests.support import free_ports, wait_until

__all__ = ["Stock", "Stores", "stock_airflow", "stock_mlflow", "stores"]

START_SECONDS = 300


@dataclass(frozen=True)
class Stores:
    """PostgreSQL and Redis with the settings that ours have."""

    postgres: RunningPostgres
    redis: RedisServer

    def pids(self) -> list[int]:
        """Return the processes of both."""
        return families([self.postgres.pid, self.redis.process.pid])


@dataclass(frozen=True)
class Stock:
    """A system that runs and answers, and its administrator's login."""

    address: str
    user: str
    password: str
    servers: Servers

    def pids(self) -> list[int]:
        """Return its processes."""
        return self.servers.pids()


@contextmanager
def stores(folder: Path) -> Iterator[Stores]:
    """Start PostgreSQL and Redis of their own in a folder, and end them."""
    with (
        running_postgres(folder / "postgres") as postgres,
        running_redis(folder / "redis") as redis,
    ):
        yield Stores(postgres, redis)


@contextmanager
def stock_airflow(folder: Path, kept: Stores, dags: Path) -> Iterator[Stock]:
    """Start Airflow with a Celery worker, and end it.

    Parameters
    ----------
    folder : Path
    kept : Stores
    dags : Path
        Folder of DAG files.
    """
    port, worker_logs, trigger_logs = free_ports(3)
    address = f"http://localhost:{port}"
    database = kept.postgres.url_of("airflow")
    redis = f"admin:{quote(kept.redis.secrets.redis_admin, safe='')}@127.0.0.1:{kept.redis.port}"
    given = {
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__BROKER_URL": f"redis://{redis}/0",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_logs),
        # Celery refuses to run as root unless told to, as it may be here.
        "C_FORCE_ROOT": "true",
    }
    with servers("airflow", folder, given) as found:
        found.run("airflow", "db", "migrate")
        for words in ("api-server", "scheduler", "dag-processor", "triggerer", "celery worker"):
            found.start("airflow", *words.split())
        wait_until(lambda: _airflow_is_healthy(address), START_SECONDS, of=lambda: folder)
        passwords = folder / "simple_auth_manager_passwords.json.generated"
        yield Stock(address, "admin", json.loads(passwords.read_text())["admin"], found)


@contextmanager
def stock_mlflow(folder: Path, kept: Stores) -> Iterator[Stock]:
    """Start MLflow's server with logins on, as its page on logins says, and end it."""
    [port] = free_ports(1)
    address = f"http://127.0.0.1:{port}"
    password = secrets.token_urlsafe(16)
    given = {
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
        "MLFLOW_DISABLE_TELEMETRY": "true",  # nobody is to wait for a network
    }
    with servers("mlflow", folder, given) as found:
        found.start(
            "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1",
            "--port", str(port), "--backend-store-uri", kept.postgres.url_of("mlflow"),
        )  # fmt: skip
        stock = Stock(address, "admin", password, found)
        wait_until(lambda: _mlflow_answers(stock), START_SECONDS, of=lambda: folder)
        yield stock


def _airflow_is_healthy(address: str) -> bool:
    with suppress(httpx.HTTPError):
        answer = httpx.get(f"{address}/api/v2/monitor/health", timeout=10)
        wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
        return answer.is_success and all(
            answer.json()[part]["status"] == "healthy" for part in wanted
        )
    return False


def _mlflow_answers(stock: Stock) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(
            f"{stock.address}/api/2.0/mlflow/experiments/search",
            params={"max_results": 1},
            auth=(stock.user, stock.password),
            timeout=10,
        ).is_success
    return False
