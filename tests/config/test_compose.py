"""Rules of compose.yaml that can be read off the file."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values

from tradewind.oidc.provider import SESSION_SECONDS
from tradewind.settings import FIELDS, ONLY_COMPOSE, PREFIX
from tradewind.stack.containers.handout import OIDC_CLIENT_FILE, OWNERS, VOLUME_OWNERS
from tradewind.stack.containers.handout import PREFIX as SECRET
from tradewind.stack.secrets import OF_OTHERS, Secrets
from tradewind.vendor_keys import key_variable

CHECKOUT = Path(__file__).parents[2]
TEXT = (CHECKOUT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
ADDED = "".join(
    (CHECKOUT / f"compose.{name}.yaml").read_text()
    for name in ("postgres", "redis", "objects", "tls", "oidc")
)
OIDC: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.oidc.yaml").read_text())
TLS: dict[str, Any] = yaml.safe_load((CHECKOUT / "compose.tls.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (CHECKOUT / "docker" / "Dockerfile").read_text()
LONG_RUNNING = {
    "postgres", "redis", "minio", "mlflow", "airflow-webserver", "airflow-scheduler",
    "airflow-dag-processor", "airflow-triggerer", "airflow-worker", "trading-worker",
}  # fmt: skip
ONE_SHOTS = {
    "secrets", "credentials", "adopt", "minio-buckets", "mlflow-migrate", "airflow-init",
    "trading-migrate", "postgres-roles", "backup", "backups", "restore",
}  # fmt: skip


def needs(service: str, condition: str) -> set[str]:
    after = SERVICES[service].get("depends_on", {})
    return {name for name, how in after.items() if how["condition"] == condition}


def test_these_are_the_services() -> None:
    assert set(SERVICES) == LONG_RUNNING | ONE_SHOTS


def test_nothing_stands_in_it_that_an_older_compose_refuses() -> None:
    assert set(COMPOSE) - {key for key in COMPOSE if key.startswith("x-")} == {
        "services", "networks", "volumes",
    }  # fmt: skip
    for name, service in SERVICES.items():
        assert "start_interval" not in service.get("healthcheck", {}), name
        assert set(service.get("build", {})) <= {"context", "dockerfile", "target"}, name
    # 1.29 knows `${A:-b}`, but no `${A:+b}` and none inside another.
    assert re.findall(r"\$\{(?![A-Z_]+(:-[^${}]*)?\})", TEXT) == []


@pytest.mark.parametrize("service", sorted(LONG_RUNNING))
def test_what_runs_is_restarted_watched_limited_and_confined(service: str) -> None:
    found = SERVICES[service]
    assert found["restart"] == "unless-stopped"
    assert found["healthcheck"]["test"][0] == "CMD"
    assert found["mem_limit"]
    assert found["stop_grace_period"]


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_every_container_is_confined_and_its_log_is_bounded(service: str) -> None:
    found = SERVICES[service]
    assert found["cap_drop"] == ["ALL"]
    assert found["read_only"] is True
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["logging"]["options"]["max-size"]
    assert found["mem_limit"]
    # Root only where files are given to other users, and then without a network.
    is_root = str(found.get("user", "")).startswith("0")
    assert is_root == (service == "secrets") == ("cap_add" in found)
    if is_root:
        assert found["network_mode"] == "none"


def test_published_is_three_pages_on_the_address_that_the_user_chose() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "airflow-webserver": ["${TRADEWIND_BIND:-127.0.0.1}:${TRADEWIND_AIRFLOW_PORT:-8080}:8080"],
        "mlflow": ["${TRADEWIND_BIND:-127.0.0.1}:${TRADEWIND_MLFLOW_PORT:-5500}:5500"],
        "minio": ["${TRADEWIND_BIND:-127.0.0.1}:${TRADEWIND_MINIO_CONSOLE_PORT:-9001}:9001"],
    }
    assert not [name for name, service in SERVICES.items() if service.get("network_mode") == "host"]


def test_only_who_needs_a_store_shares_its_network() -> None:
    by_network: dict[str, set[str]] = {}
    for name, service in SERVICES.items():
        for network in service.get("networks", []):
            by_network.setdefault(network, set()).add(name)
    airflow = {name for name in LONG_RUNNING if name.startswith("airflow-")}
    assert by_network["database"] == {
        "postgres", "mlflow", "mlflow-migrate", "airflow-init", *airflow,
        "trading-migrate", "trading-worker", "postgres-roles", "backup", "backups", "restore",
    }  # fmt: skip
    assert by_network["broker"] == {
        "redis", "airflow-webserver", "airflow-scheduler", "airflow-triggerer", "airflow-worker",
        "trading-worker",
    }  # fmt: skip
    assert by_network["objects"] == {
        "minio", "mlflow", "minio-buckets", "backup", "backups", "restore",
    }  # fmt: skip
    assert by_network["console"] == {"minio"}
    for network in ("database", "broker", "objects"):
        assert COMPOSE["networks"][network] == {"internal": True}
    assert set(by_network) == set(COMPOSE["networks"])


def test_the_order_is_stores_then_migrations_then_services() -> None:
    healthy, done = "service_healthy", "service_completed_successfully"
    for store in ("postgres", "redis", "minio"):
        assert needs(store, done) == {"secrets"}
    assert needs("mlflow", healthy) == {"postgres", "minio"}
    assert needs("mlflow", done) == {"minio-buckets", "mlflow-migrate"}
    for name in LONG_RUNNING:
        if name.startswith("airflow-"):
            assert needs(name, healthy) == {"postgres", "redis"}
            assert needs(name, done) == {"airflow-init", "trading-migrate"}
    # Migrations say what roles may do: these are there before, also in an older volume.
    assert needs("postgres-roles", healthy) == {"postgres"}
    for name in ("airflow-init", "mlflow-migrate", "trading-migrate"):
        assert needs(name, healthy) == {"postgres"}
        assert needs(name, done) == {"postgres-roles"}
    assert needs("trading-worker", healthy) == {"redis"}
    assert needs("trading-worker", done) == {"trading-migrate"}


# Run by another user than the image's, each reads that one's secrets; airflow-init writes no log
# that is kept.
OTHERWISE = {
    **{
        name: {"SERVICE_USER"}
        for name in ("airflow-dag-processor", "airflow-worker", "minio-buckets", "trading-migrate")
    },
    "airflow-init": {
        "SERVICE_USER",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER",
        "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY",
    },
}


def test_no_key_of_config_is_set_here_or_in_an_image() -> None:
    images = set(re.findall(r"^\s+([A-Z][A-Z0-9_]+)=", DOCKERFILE, flags=re.MULTILINE))
    assert "AIRFLOW__CORE__DAGS_FOLDER" in images
    for name, service in SERVICES.items():
        here = set(service.get("environment", {}))
        file = service.get("env_file")
        there = set(dotenv_values(CHECKOUT / file)) if file else set()
        assert not here & there, name
        if service["image"].startswith("tradewind-"):
            assert images & (here | there) == OTHERWISE.get(name, set()), name


def test_no_secret_is_in_an_environment() -> None:
    for name, service in SERVICES.items():
        for key, value in service.get("environment", {}).items():
            secret = re.search("PASSWORD|SECRET|_KEY|CONN|BROKER_URL|RESULT_BACKEND", key)
            assert secret is None or str(value).startswith("/run/secrets/"), (name, key)


def test_users_are_the_same_everywhere() -> None:
    for service in (
        "postgres", "redis", "minio", "credentials", "airflow-init", "trading-migrate", "backup",
    ):  # fmt: skip
        assert SERVICES[service]["user"] == f"{OWNERS[service]}:{OWNERS[service]}"
    assert SERVICES["postgres-roles"]["user"] == SERVICES["postgres"]["user"]
    owner = OWNERS["minio-init"]
    assert SERVICES["minio-buckets"]["user"] == f"{owner}:{owner}"
    for service in ("airflow-worker", "airflow-dag-processor"):
        assert SERVICES[service]["user"] == f"{OWNERS[service]}:{OWNERS['airflow']}"
        assert SERVICES[service]["environment"]["SERVICE_USER"] == service
    # It writes what belongs to Airflow's user, and reads the folder of the other.
    assert SERVICES["restore"]["user"] == f"{OWNERS['airflow']}:{OWNERS['airflow']}"
    assert SERVICES["restore"]["group_add"] == [str(OWNERS["backup"])]
    for target in ("airflow", "backup", "mlflow", "trading"):
        stage = DOCKERFILE.split(f"\nFROM base AS {target}\n")[1].split("\nFROM ")[0]
        assert f"\nUSER {OWNERS[target]}:{OWNERS[target]}\n" in stage
        assert f"SERVICE_USER={target}" in stage
    volumes = {name.partition("/")[0] for name in VOLUME_OWNERS}
    assert TLS["services"]["proxy"]["user"] == f"{OWNERS['proxy']}:{OWNERS['proxy']}"
    assert volumes - {"backups"} | {"secrets"} == {*COMPOSE["volumes"], *TLS["volumes"]}


def test_an_image_is_built_before_who_else_uses_it() -> None:
    builders: dict[str, set[str]] = {
        service["image"]: set() for service in SERVICES.values() if "build" in service
    }
    assert len(builders) == 4
    for name, service in SERVICES.items():
        if "build" in service:
            builders[service["image"]].add(name)
            assert service["image"].startswith(f"tradewind-{service['build']['target']}:")

    def all_needs(name: str) -> set[str]:
        direct = set(SERVICES[name].get("depends_on", {}))
        return direct.union(*(all_needs(other) for other in direct))

    for name, service in SERVICES.items():
        if service["image"] in builders and "build" not in service:
            assert builders[service["image"]] & all_needs(name), name


def test_the_example_of_dotenv_has_every_variable_and_no_other() -> None:
    example = (CHECKOUT / ".env.example").read_text()
    offered = re.findall(r"^#([A-Z_]+)=(.*)$", example, flags=re.MULTILINE)
    assert not re.findall(r"^[^#\n]", example, flags=re.MULTILINE)
    used = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", TEXT + ADDED))
    used |= dict.fromkeys(re.findall(r"\$\{([A-Z_]+):\?", ADDED), "")
    secrets = {SECRET + name.upper() for name in Secrets.__dataclass_fields__}
    # A checkout is no setting in its own file, and only services have the database's address set.
    settings = {PREFIX + name.upper() for name in FIELDS if name not in {"home", "database_url"}}
    keys = {key_variable(name.removesuffix("_key")) for name in OF_OTHERS if name.endswith("_key")}
    assert {name for name, _ in offered} == set(used) | secrets | settings | keys
    for name in settings:
        default = FIELDS[name.removeprefix(PREFIX).lower()].default
        assert dict(offered)[name] == ("" if default is None else str(default))
    for name, value in offered:
        if name in used and name != "MLFLOW_PUBLIC_HOST":
            assert value == used[name]
    known = {PREFIX + field.upper() for field in FIELDS} | ONLY_COMPOSE
    assert {name for name in used if name.startswith(PREFIX)} <= known
    for name in set(used) & known - ONLY_COMPOSE:
        default = FIELDS[name.removeprefix(PREFIX).lower()].default
        assert used[name] == ("" if default is None else str(default))


def test_both_pages_and_nobody_else_know_the_identity_provider() -> None:
    assert set(OIDC["services"]) == {"airflow-webserver", "mlflow"}
    settings = {PREFIX + name.upper() for name in FIELDS if name.startswith("oidc_")}
    for service in OIDC["services"].values():
        assert settings <= set(service["environment"])
    webserver = OIDC["services"]["airflow-webserver"]["environment"]
    assert int(webserver["AIRFLOW__FAB__SESSION_MAX_LIFETIME_MINUTES"]) * 60 == SESSION_SECONDS
    assert f"{webserver['AIRFLOW__FAB__CONFIG_FILE']}\n" in DOCKERFILE
    for name, service in OIDC["services"].items():
        share = name.partition("-")[0]
        secret = f"/run/secrets/{share}/{OIDC_CLIENT_FILE}"
        assert service["environment"]["TRADEWIND_OIDC_CLIENT_SECRET_FILE"] == secret
