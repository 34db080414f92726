"""The services of the stack: what each runs, waits for, and is probed by."""

import os
import shutil
import signal
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from tradewind.errors import StackError
from tradewind.host.heartbeat import HEARTBEAT_FILE
from tradewind.host.proxies import spare_this_machine
from tradewind.host.utf8 import UTF8
from tradewind.oidc.provider import SESSION_SECONDS
from tradewind.settings import Settings
from tradewind.stack import minio, people, postgres, probes, redis, rights, theirs
from tradewind.stack.backup.service import scheduled
from tradewind.stack.layout import Layout
from tradewind.stack.ports import Port
from tradewind.stack.reread import NO_DATABASE
from tradewind.stack.secrets import Secrets, vendor_keys
from tradewind.stack.servers import object_store, postgres_server, redis_server
from tradewind.stack.service import Service
from tradewind.vendor_keys import given_keys
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
WEBSERVER_CONFIG = Path(__file__).parents[1] / "orchestration/runtime/webserver_config.py"
MLFLOW_MODULES = ("mlflow.server.auth", "uvicorn_worker")


def services(settings: Settings, layout: Layout, secrets: Secrets) -> list[Service]:
    """Return all services, each after those it needs."""
    base = _base_environment(settings)
    mlflow = base | _mlflow_environment(settings, layout)
    airflow = base | _airflow_environment(settings, layout)
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
        *_mlflow(settings, layout, secrets, mlflow | _mlflow_secrets(settings, layout, secrets)),
        _trading_tables(settings, layout, secrets, base),
        *_airflow(settings, layout, secrets, airflow),
        _trading_worker(settings, layout, secrets, base),
        *scheduled(settings, layout, base),
    ]


def _stores(
    settings: Settings, layout: Layout, secrets: Secrets, base: Mapping[str, str]
) -> list[Service]:
    found = [*_postgres(settings, layout, secrets, base), _redis(settings, layout, secrets, base)]
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
) -> Service:
    access_list = settings.config_file("users.acl.template")
    if settings.redis_url:
        return theirs.redis(redis_server(settings, secrets), secrets)
    return Service(
        "redis",
        redis.server_command(str(settings.config_file("redis.conf")), layout, settings.redis_port),
        base,
        prepare=lambda: redis.prepare(access_list.read_text(), layout, secrets),
        probe=probes.redis(settings.redis_port, secrets.redis_admin),
        ports=(Port(settings.redis_port, "TRADEWIND_REDIS_PORT"),),
        address=f"127.0.0.1:{settings.redis_port}",
    )


def _mlflow_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    server = postgres_server(settings)
    return _merge(
        _read_config(settings.config_file("mlflow.env")),
        server.environment(),
        {
            "PGDATABASE": server.name("mlflow"),
            "PGUSER": server.name("mlflow"),
            "MLFLOW_HOST": "127.0.0.1",
            "MLFLOW_PORT": str(settings.mlflow_port),
            "MLFLOW_AUTH_CONFIG_PATH": str(settings.config_file("mlflow-auth.ini")),
            "MLFLOW_SERVER_ALLOWED_HOSTS": _hosts(settings.mlflow_page),
            "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": _origin(settings.mlflow_page),
            "MLFLOW_ARTIFACTS_DESTINATION": _files(settings, layout),
        },
    )


def _files(settings: Settings, layout: Layout) -> str:
    """Return where MLflow keeps its files."""
    store = object_store(settings)
    if store is not None:
        return store.destination
    if minio.is_chosen(settings, layout):
        return f"s3://{minio.BUCKET}"
    return layout.artifacts_dir.as_uri()


def _mlflow_secrets(settings: Settings, layout: Layout, secrets: Secrets) -> dict[str, str]:
    login = {
        "PGPASSWORD": secrets.postgres_mlflow,
        "MLFLOW_AUTH_ADMIN_PASSWORD": secrets.mlflow_admin,
        "MLFLOW_WORKER_PASSWORD": secrets.mlflow_worker,
        "MLFLOW_READER_PASSWORD": secrets.mlflow_reader,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.mlflow_flask_secret_key,
    }
    store = object_store(settings)
    if store is not None:
        key, _, secret = secrets.objects_login.partition(":")
        return login | store.environment(key, secret)
    if minio.is_chosen(settings, layout):
        login |= minio.client_environment(settings, minio.MLFLOW_USER, secrets.minio_mlflow)
    return login


def _hosts(page: str) -> str:
    """Return the names under which MLflow may be asked for: else any site could, by DNS rebinding.

    This machine's own, under every port, for who forwards it under another; and the page's.
    """
    here = ("localhost", "127.0.0.1", "[::1]")
    any_port = ("localhost:*", "127.0.0.1:*", "[[]::1]:*")  # patterns, in which [ begins a set
    return ",".join([*here, *any_port, urlsplit(_origin(page)).netloc])


def _origin(page: str) -> str:
    """Return what a browser says it comes from: MLflow takes changes from no other site.

    This machine's own names are taken without. Browsers write a name in lower case, and no port
    where it is the scheme's own.
    """
    site = urlsplit(page)
    name = site.hostname or ""
    name = f"[{name}]" if ":" in name else name
    usual = {"http": 80, "https": 443}.get(site.scheme)
    port = "" if site.port in {None, usual} else f":{site.port}"
    return f"{site.scheme}://{name}{port}"


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
    environment = {**base, **_airflow_secrets(settings, secrets)}
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
            environment | _logins_by_provider(settings),
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
                **_dag_processor_secrets(settings, secrets),
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
                    **_worker_secrets(settings, secrets),
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
            "TRADEWIND_DATABASE_URL": _database("trading", settings, secrets),
            "CELERY_BROKER_URL": address,
            "CELERY_RESULT_BACKEND": address,
            HEARTBEAT_FILE: str(beat),
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
        {**base, "TRADEWIND_DATABASE_URL": _database("tradewind", settings, secrets)},
        needs=(_databases(settings),),
        done_file=_marker(settings, layout, "trading-migrated"),
        # A migration's file is never changed, so their names say what there is to do. The tables
        # of evidence are made beside.
        done_value=" ".join(sorted(["evidence", *(p.stem for p in migrations.glob("*.py"))])),
    )


def _airflow_environment(settings: Settings, layout: Layout) -> dict[str, str]:
    return _merge(
        _read_config(settings.config_file("airflow.env")),
        {
            "AIRFLOW_HOME": str(layout.airflow_home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(settings.dags_dir),
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(layout.airflow_home / "bundles"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(settings.home / "plugins"),
            "AIRFLOW__FAB__CONFIG_FILE": str(layout.airflow_home / "webserver_config.py"),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(layout.logs_dir / "tasks"),
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(
                layout.logs_dir / "dag-processor"
            ),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": NO_DATABASE,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
            "AIRFLOW__API__BASE_URL": settings.airflow_page,
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(
                settings.scheduler_health_port
            ),
            "MLFLOW_TRACKING_URI": settings.mlflow_url,
        },
    )


def _logins_by_provider(settings: Settings) -> dict[str, str]:
    """Return what Airflow's page is told where people log in by an identity provider."""
    if settings.oidc_issuer is None:
        return {}
    return {
        "AIRFLOW__FAB__CONFIG_FILE": str(WEBSERVER_CONFIG),
        # At the end of a working day roles are read again: by default a login lasts a month.
        "AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES": str(SESSION_SECONDS // 60),
    }


def _airflow_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return the secrets of Airflow's own services, which run nothing that a user writes."""
    return {
        **postgres_server(settings).for_asyncpg("airflow", secrets.postgres_airflow),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database("airflow", settings, secrets),
        "AIRFLOW__CORE__FERNET_KEY": secrets.airflow_fernet_key,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.airflow_jwt_secret,
        "AIRFLOW__API__SECRET_KEY": secrets.airflow_api_secret_key,
        **_tasks_of_airflow(settings, secrets),
        **_tasks_of_trading(settings, secrets),
    }


def _worker_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what tasks need, in which authors of strategies say what is done."""
    return {
        **_tasks_of_airflow(settings, secrets),
        **_tasks_of_trading(settings, secrets),
        "MLFLOW_TRACKING_USERNAME": "tradewind",
        "MLFLOW_TRACKING_PASSWORD": secrets.mlflow_worker,
        "TRADEWIND_DATABASE_URL": _database("research", settings, secrets),
        **vendor_keys(secrets),
        **given_keys(settings.home),
    }


def _dag_processor_secrets(settings: Settings, secrets: Secrets) -> dict[str, str]:
    """Return what reading DAG files needs, which their authors write."""
    return {
        **postgres_server(settings).for_asyncpg("airflow_dags", secrets.postgres_airflow_dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database("airflow_dags", settings, secrets),
        # What the watchers of streams are told is written with it.
        "AIRFLOW__CORE__FERNET_KEY": secrets.airflow_fernet_key,
    }


def _tasks_of_airflow(settings: Settings, secrets: Secrets) -> dict[str, str]:
    results = _database("airflow_results", settings, secrets)
    return {
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{results}",
        "AIRFLOW__CELERY__BROKER_URL": redis_server(settings, secrets).url(
            "airflow", secrets.redis_airflow
        ),
    }


def _tasks_of_trading(settings: Settings, secrets: Secrets) -> dict[str, str]:
    return {
        "AIRFLOW_CONN_TRADING": redis.airflow_connection(
            redis_server(settings, secrets), "trading", secrets.redis_trading
        )
    }


def _database(role: str, settings: Settings, secrets: Secrets) -> str:
    return postgres_server(settings).url(role, getattr(secrets, f"postgres_{role}"))


def _set_rights(settings: Settings, secrets: Secrets) -> None:
    for role in rights.SETTERS:
        rights.set_rights(_database(role, settings, secrets))


def _databases(settings: Settings) -> str:
    """Name of the service after which the databases are there."""
    return "postgres" if settings.postgres_url else "databases"


def _marker(settings: Settings, layout: Layout, name: str) -> Path | None:
    """Return where a step on the databases says that it was done: beside the data it changed.

    A server of the team's has no such place, so there the step is done at each start.
    """
    return None if settings.postgres_url else layout.postgres_dir / name


def _base_environment(settings: Settings) -> dict[str, str]:
    # What a user's shell says to other Airflows, MLflows and PostgreSQLs is not meant for ours.
    ours = ("AIRFLOW", "MLFLOW", "_MLFLOW", "PG", "AWS_", "TRADEWIND_", "CELERY_", "MINIO_")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    environment = {
        **inherited,
        **settings.as_environment(),
        **UTF8,
        "PYTHONUNBUFFERED": "1",
        # A process title is written over the environment unless told not to.
        "SPT_NOENV": "1",
    }
    spare_this_machine(environment)
    return environment


def _read_config(path: Path) -> dict[str, str]:
    return {k: v for k, v in dotenv_values(path, interpolate=False).items() if v is not None}


def _merge(*parts: Mapping[str, str]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for part in parts:
        if twice := merged.keys() & part.keys():
            raise StackError(f"{', '.join(sorted(twice))}: set in config/ and by the stack")
        merged |= part
    return merged


def _program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise StackError(
            f"`{name}` is not installed beside {sys.executable}: pip install 'tradewind[local]'"
        )
    return found
