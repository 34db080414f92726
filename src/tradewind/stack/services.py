"""The services of the stack: what each runs, waits for, and is probed by."""

import shutil
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from tradewind.errors import StackError
from tradewind.host.heartbeat import HEARTBEAT_FILE
from tradewind.settings import Settings
from tradewind.stack import (
    minio,
    people,
    postgres,
    probes,
    redis,
    redis_follower,
    rights,
    theirs,
)
from tradewind.stack.backup.service import scheduled
from tradewind.stack.environments import (
    airflow_environment,
    airflow_secrets,
    base_environment,
    broker_secrets,
    dag_processor_secrets,
    database_url,
    desk_secrets,
    logins_by_provider,
    mlflow_environment,
    mlflow_secrets,
    worker_secrets,
)
from tradewind.stack.layout import Layout
from tradewind.stack.ports import Port
from tradewind.stack.secrets import Secrets
from tradewind.stack.servers import object_store, postgres_server, redis_server
from tradewind.stack.service import Service
from tradewind.workers.warm import MODULES as RESEARCH_MODULES

__all__ = ["services"]

# All that is Python is forked by one process, but for what has to do with orders.
FORK_SERVER = "forkserver"
RIGHTS = "postgres-rights"
# Imported once, before any of Airflow's services is forked: what two or more of them need. No
# module that talks to the database when it is imported, starts a thread, or keeps a secret that it
# reads of the environment, as Celery's executor does, may be among them.
# MLflow's and the workers' modules follow while those start; what they share is imported once, too.
AIRFLOW_MODULES = (
    "airflow.__main__",
    "airflow.api_fastapi.execution_api.routes",
    "airflow.cli.commands.api_server_command",
    "airflow.dag_processing.bundles.local",
    "airflow.dag_processing.manager",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.providers.celery.cli.celery_command",
    "airflow.providers.fab.auth_manager.fab_auth_manager",
    "airflow.providers.standard.operators.python",
    "airflow.sdk.definitions.decorators",
    "alembic.config",
    "alembic.runtime.environment",
    "celery.bin.celery",
    "celery.concurrency.prefork",
    "celery.worker.consumer",
    # What DAG files are made of: each of their readers, a task among them, would import it anew.
    "tradewind.orchestration.dags.bundle",
)
MLFLOW_MODULES = ("mlflow.server.auth", "uvicorn_worker")


def services(settings: Settings, layout: Layout, secrets: Secrets) -> list[Service]:
    """Return all services, each after those it needs."""
    base = base_environment(settings)
    mlflow = base | mlflow_environment(settings, layout)
    airflow = base | airflow_environment(settings, layout)
    return [
        *_stores(settings, layout, secrets, base),
        # What a module reads when it is imported is the same for all, so the tasks' choices go
        # first: MLflow's client must not write to standard error, the server may do as it does.
        # Every service is a copy of this process, tasks are copies of theirs: no secret is in it.
        Service(
            FORK_SERVER,
            [sys.executable, "-m", "tradewind.stack.forkserver", *AIRFLOW_MODULES],
            mlflow | airflow,
            forks=True,
        ),
        *_mlflow(settings, layout, secrets, mlflow | mlflow_secrets(settings, layout, secrets)),
        _trading_tables(settings, layout, secrets, base),
        *_airflow(settings, layout, secrets, airflow),
        _trading_worker(settings, layout, secrets, base),
        *scheduled(settings, layout, base),
    ]


def _stores(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    found = [*_postgres(settings, layout, secrets, base), *_redis(settings, layout, secrets, base)]
    store = object_store(settings)
    if store is not None:
        minio.note_theirs(layout)
        found.append(theirs.object_store(store, secrets))
    elif minio.is_chosen(settings, layout):
        found += minio.services(settings, layout, secrets, base)
    return found


def _postgres(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    if settings.postgres_url:
        return [theirs.postgres(postgres_server(settings), secrets)]
    return [
        Service(
            "postgres",
            postgres.server_command(
                str(settings.config_file("postgres/postgresql.conf")),
                layout,
                settings.postgres_port,
            ),
            base,
            prepare=lambda: postgres.create_cluster(layout, secrets),
            probe=probes.postgres(settings.postgres_port, secrets.postgres_superuser),
            ports=(Port(settings.postgres_port, "TRADEWIND_POSTGRES_PORT"),),
            address=f"127.0.0.1:{settings.postgres_port}",
            stop_signal=signal.SIGINT,  # "fast": do not wait for clients to leave
        ),
        Service(
            "databases",
            [],
            needs=("postgres",),
            prepare=lambda: postgres.initialise(
                settings.config_file("postgres/init.sql"), secrets, settings.postgres_port
            ),
        ),
    ]


def _redis(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    access_list = settings.config_file("users.acl.template")
    port = settings.redis_port
    ports = (Port(port, "TRADEWIND_REDIS_PORT"),)
    if settings.redis_url:
        server = redis_server(settings, secrets)
        found = [theirs.redis(server, secrets)]
        if server.sentinels:
            follower = Service(
                theirs.FOLLOWER,
                [sys.executable, "-m", "tradewind.stack.redis_follower", str(port)],
                {**base, redis_follower.LOGIN: secrets.redis_sentinel_login},
                probe=probes.listens(port),
                ports=ports,
                address=f"127.0.0.1:{port}",
            )
            found.insert(0, follower)
        return found
    return [
        Service(
            "redis",
            redis.server_command(str(settings.config_file("redis.conf")), layout, port),
            base,
            prepare=lambda: redis.prepare(access_list.read_text(), layout, secrets),
            probe=probes.redis(port, secrets.redis_admin),
            ports=ports,
            address=f"127.0.0.1:{port}",
        )
    ]


def _mlflow(
    settings: Settings, layout: Layout, secrets: Secrets, environment: Mapping[str, str]
) -> list[Service]:
    if settings.objects_url:
        buckets: tuple[str, ...] = ("objects",)
    else:
        buckets = ("minio-buckets",) if minio.is_chosen(settings, layout) else ()
    return [
        Service(
            "mlflow-migrate",
            [_program("mlflow"), "db", "upgrade", environment["MLFLOW_BACKEND_STORE_URI"]],
            environment,
            needs=(_databases(settings), FORK_SERVER),
            forked_by=FORK_SERVER,
            imports=MLFLOW_MODULES,
            done_file=_marker(settings, layout, "mlflow-migrated"),
            done_value=version("mlflow"),
        ),
        Service(
            "mlflow",
            [sys.executable, "-m", "tradewind.registry.server.serve"],
            environment,
            needs=(FORK_SERVER, "mlflow-migrate", *buckets),
            probe=probes.mlflow_api(settings.mlflow_url, secrets.mlflow_admin),
            ports=(Port(settings.mlflow_port, "TRADEWIND_MLFLOW_PORT"),),
            address=settings.mlflow_url,
            forked_by=FORK_SERVER,
            imports=MLFLOW_MODULES,
        ),
    ]


def _airflow(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    program = _program("airflow")
    environment = {**base, **airflow_secrets(settings, secrets)}
    migrated = (FORK_SERVER, "airflow-migrate")
    ready = (*migrated, "redis", RIGHTS)
    # Making the administrator also writes the roles, and so do these when they start: two that do
    # it in an empty database at one moment break each other's unique keys.
    roles_written = (FORK_SERVER, "airflow-roles")
    marker = f"{version('apache-airflow')} {version('apache-airflow-providers-fab')}"
    long_running = [
        Service(
            "airflow-webserver",
            [program, "api-server", "--host", "127.0.0.1", "--port", str(settings.airflow_port)],
            environment | desk_secrets(settings, secrets) | logins_by_provider(settings),
            needs=(*roles_written, RIGHTS),
            probe=probes.airflow_api(settings.airflow_url),
            ports=(Port(settings.airflow_port, "TRADEWIND_AIRFLOW_PORT"),),
            address=settings.airflow_url,
            forked_by=FORK_SERVER,
        ),
        Service(
            "airflow-scheduler",
            [program, "scheduler", "--skip-serve-logs"],
            environment,
            needs=ready,
            probe=probes.airflow_scheduler(
                f"http://127.0.0.1:{settings.scheduler_health_port}/health", settings.airflow_url
            ),
            follows_the_clock=True,
            ports=(Port(settings.scheduler_health_port, "TRADEWIND_SCHEDULER_HEALTH_PORT"),),
            forked_by=FORK_SERVER,
        ),
        Service(
            "airflow-dag-processor",
            [program, "dag-processor"],
            {
                **base,
                **dag_processor_secrets(settings, secrets),
                HEARTBEAT_FILE: str(layout.heartbeat("airflow-dag-processor")),
            },
            needs=(*roles_written, RIGHTS),
            probe=probes.heartbeat_file(layout.heartbeat("airflow-dag-processor")),
            follows_the_clock=True,
            forked_by=FORK_SERVER,
        ),
        Service(
            "airflow-triggerer",
            # With the keys of Airflow, and what tasks tell it to wait for.
            [
                sys.executable,
                "-m",
                "tradewind.orchestration.runtime.triggerer",
                "--skip-serve-logs",
            ],
            {**environment, HEARTBEAT_FILE: str(layout.heartbeat("airflow-triggerer"))},
            needs=(*migrated, RIGHTS),
            probe=probes.heartbeat_file(layout.heartbeat("airflow-triggerer")),
            follows_the_clock=True,
            forked_by=FORK_SERVER,
        ),
    ]
    for number in range(1, settings.airflow_worker_replicas + 1):
        name = f"airflow-worker-{number}"
        beat = layout.heartbeat(name)
        long_running.append(
            Service(
                name,
                # The log folder is shared, so no worker has to serve its logs.
                [program, "celery", "worker", "--skip-serve-logs", "--without-gossip",
                 "--without-mingle", "--celery-hostname", f"{name}@localhost"],
                {
                    **base,
                    **worker_secrets(settings, secrets),
                    HEARTBEAT_FILE: str(beat),
                },
                needs=ready,
                probe=probes.heartbeat_file(beat),
                grace=60.0,  # a warm shutdown lets a running task finish
                forked_by=FORK_SERVER,
                imports=RESEARCH_MODULES,
            )
        )  # fmt: skip
    return [
        Service(
            "airflow-migrate",
            [program, "db", "migrate"],
            environment,
            needs=(FORK_SERVER, _databases(settings)),
            forked_by=FORK_SERVER,
            done_file=_marker(settings, layout, "airflow-migrated"),
            done_value=marker,
        ),
        Service(
            "airflow-admin",
            [program, "users", "create", "--username", "admin", "--role", "Admin",
             "--firstname", "tradewind", "--lastname", "admin", "--email", "admin@localhost"],
            environment,
            needs=migrated,
            done_file=_marker(settings, layout, "airflow-admin"),
            done_value="created",
            forked_by=FORK_SERVER,
            stdin=f"{secrets.airflow_admin}\n" * 2,
        ),
        Service(
            "airflow-roles",
            [sys.executable, "-m", "tradewind.stack.people"],
            environment,
            needs=(FORK_SERVER, "airflow-admin"),
            done_file=layout.postgres_dir / "airflow-roles",
            done_value=people.mark(),
            forked_by=FORK_SERVER,
        ),
        Service(
            RIGHTS,
            [],
            needs=("airflow-migrate", "mlflow-migrate", "trading-migrate"),
            prepare=lambda: _set_rights(settings, secrets),
        ),
        *long_running,
    ]  # fmt: skip


def _trading_worker(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> Service:
    # Executed, not forked from Airflow's server: what sends orders has none of Airflow's code in
    # its memory. It costs two seconds of CPU, beside a start that takes longer.
    name = "trading-worker"
    beat = layout.heartbeat(name)
    address = redis_server(settings, secrets).url("trading", secrets.redis_trading)
    return Service(
        name,
        [sys.executable, "-m", "tradewind.stack.confined", str(beat), _program("celery"),
         "--app", "tradewind.trading.app", "worker", "--loglevel", "INFO",
         "--without-gossip", "--without-mingle", "--hostname", f"{name}@localhost"],
        {
            **base,
            "TRADEWIND_DATABASE_URL": database_url("trading", settings, secrets),
            "CELERY_BROKER_URL": address,
            "CELERY_RESULT_BACKEND": address,
            HEARTBEAT_FILE: str(beat),
            **broker_secrets(secrets),
        },
        needs=("redis", RIGHTS),
        probe=probes.heartbeat_file(beat),
        grace=60.0,  # a warm shutdown lets a running task finish
    )  # fmt: skip


def _trading_tables(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> Service:
    migrations = Path(__file__).parents[1] / "trading" / "migrations" / "versions"
    return Service(
        "trading-migrate",
        [sys.executable, "-m", "tradewind.trading.migrate"],
        {**base, "TRADEWIND_DATABASE_URL": database_url("tradewind", settings, secrets)},
        needs=(_databases(settings),),
        done_file=_marker(settings, layout, "trading-migrated"),
        # A migration's file is never changed, so their names say what there is to do. The tables
        # of evidence are made beside.
        done_value=" ".join(sorted(["evidence", *(p.stem for p in migrations.glob("*.py"))])),
    )


def _set_rights(settings: Settings, secrets: Secrets) -> None:
    for role in rights.SETTERS:
        rights.set_rights(database_url(role, settings, secrets))


def _databases(settings: Settings) -> str:
    """Name of the service after which the databases are there."""
    return "postgres" if settings.postgres_url else "databases"


def _marker(settings: Settings, layout: Layout, name: str) -> Path | None:
    """Return where a step on the databases says that it was done: beside the data it changed.

    A server of the team's has no such place, so there the step is done at each start.
    """
    return None if settings.postgres_url else layout.postgres_dir / name


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StackError(
            f"`{name}` is not installed beside {sys.executable}: pip install 'tradewind[local]'"
        )
    return found
