"""Secrets for containers: made once, each service handed its own and no other's."""

import json
import os
import stat
import subprocess
from dataclasses import fields, replace
from pathlib import Path

import pytest

from tradewind.errors import SecretsError
from tradewind.stack.containers import handout
from tradewind.stack.containers.handout import (
    OWNERS,
    hand_out,
    keep_logins,
    own_volumes,
    read_share,
)
from tradewind.stack.secrets import Secrets

CHECKOUT = Path(__file__).parents[2]
CONNECTION_ENDS = (
    '", "schema": "1", "extra": {"global_keyprefix": "trading:", "default_queue": "trading", '
    '"acks_late": true}}'
)
WITHOUT_SHARE = {"existing-postgres", "existing-redis", "existing-objects", "adopt", "proxy"}
TEMPLATE = (CHECKOUT / "config" / "users.acl.template").read_text()


@pytest.fixture(autouse=True)
def owners(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Who got what, where the test itself may not give files away."""
    given: dict[str, int] = {}
    monkeypatch.setattr(
        handout, "_own", lambda folder, owner, _group: given.update({folder.name: owner})
    )
    if os.geteuid() != 0:
        monkeypatch.setattr(os, "fchown", lambda *_: None)
    return given


def shares(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def test_each_service_gets_a_closed_folder_with_closed_files(
    tmp_path: Path, owners: dict[str, int]
) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    given = {service: owner for service, owner in OWNERS.items() if service not in WITHOUT_SHARE}
    assert owners == given
    assert len(set(OWNERS.values())) == len(OWNERS)
    assert {p.name for p in tmp_path.iterdir()} == {*given, "secrets.json"}
    for path in tmp_path.rglob("*"):
        # A restore is in the group of `backup`, so that it can read and leave something there.
        modes = (0o770, 0o640) if "backup" in path.parts[-2:] else (0o700, 0o600)
        assert stat.S_IMODE(path.stat().st_mode) == modes[path.is_file()], path


def test_no_secret_is_in_two_shares_that_need_not_share_it(tmp_path: Path) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    whole = json.loads((tmp_path / "secrets.json").read_text())
    assert set(whole) == {field.name for field in fields(Secrets)}
    holders = {
        name: {file.split("/")[0] for file, text in shares(tmp_path).items() if value in text}
        for name, value in whole.items()
    }
    assert whole["redis_login"] == whole["objects_login"] == ""
    assert all(len(found) >= 2 for found in holders.values())
    assert holders["postgres_superuser"] == {"secrets.json", "postgres"}
    assert holders["redis_admin"] == {"secrets.json", "redis"}
    # Redis itself has hashes. Airflow sends tasks to the trading application.
    assert holders["redis_trading"] == {"secrets.json", "trading", "airflow", "airflow-worker"}
    airflows = {"airflow", "airflow-init"}
    assert holders["redis_airflow"] == {"secrets.json", *airflows, "airflow-worker"}
    # What logs in as Airflow's administrator is in no container that runs.
    assert holders["airflow_admin"] == {"secrets.json", "airflow-init", "credentials", "backup"}
    assert holders["postgres_tradewind"] == {
        "secrets.json", "postgres", "trading-migrate", "backup",
    }  # fmt: skip
    assert holders["postgres_airflow"] == {"secrets.json", "postgres", *airflows, "backup"}
    assert holders["minio_root"] == {
        "secrets.json", "minio", "minio-init", "credentials", "backup",
    }  # fmt: skip
    for key in ("airflow_jwt_secret", "airflow_api_secret_key"):
        assert holders[key] == {"secrets.json", *airflows, "backup"}
    # What runs an author's code has its own roles and accounts.
    for service, expected in {
        "airflow-worker": {
            "redis_airflow", "redis_trading", "postgres_airflow_results", "postgres_research",
            "mlflow_worker",
        },
        "airflow-dag-processor": {"postgres_airflow_dags", "airflow_fernet_key"},
        "trading": {"redis_trading", "postgres_trading"},
    }.items():  # fmt: skip
        assert {name for name in holders if whole[name] and service in holders[name]} == expected


def test_the_secret_of_an_identity_providers_client_is_for_both_pages(tmp_path: Path) -> None:
    with pytest.raises(SecretsError, match="set SECRET_OIDC_CLIENT_SECRET, too"):
        hand_out(tmp_path, {"TRADEWIND_OIDC_ISSUER": "x"}, TEMPLATE, tmp_path / "no-data")
    given = {"TRADEWIND_OIDC_ISSUER": "x", "SECRET_OIDC_CLIENT_SECRET": "told to nobody"}
    hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    holders = {file for file, text in shares(tmp_path).items() if "told to nobody" in text}
    assert holders == {
        "secrets.json", "airflow/oidc-client-secret", "mlflow/oidc-client-secret",
        "backup/secrets.json",
    }  # fmt: skip


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    before = {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in tmp_path.rglob("*")}
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    assert {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in tmp_path.rglob("*")} == before


def test_what_a_service_is_to_have_no_longer_is_taken_from_it(tmp_path: Path) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    (tmp_path / "airflow" / "admin").write_text("of an older version")
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    assert [path.name for path in (tmp_path / "airflow").iterdir()] == ["env"]


def test_a_secret_that_is_missing_is_made_and_the_others_stay(tmp_path: Path) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    master = tmp_path / "secrets.json"
    before = json.loads(master.read_text())
    older = {k: v for k, v in before.items() if k != "redis_trading"} | {"of_a_newer_one": "x"}
    master.write_text(json.dumps(older))
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    after = json.loads(master.read_text())
    assert after.pop("redis_trading") != before.pop("redis_trading")
    assert after == before | {"of_a_newer_one": "x"}


def test_what_a_restore_left_is_handed_out_but_for_the_passwords_of_stores(tmp_path: Path) -> None:
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    made = json.loads((tmp_path / "secrets.json").read_text())
    left = {name: f"of the backup: {name}" for name in made}
    (tmp_path / "backup" / "restored.json").write_text(json.dumps(left))
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    stores = ("postgres_", "redis_", "minio_", "objects_")
    now = json.loads((tmp_path / "secrets.json").read_text())
    assert now == {n: made[n] if n.startswith(stores) else left[n] for n in made}
    assert (tmp_path / "airflow-init" / "admin").read_text() == left["airflow_admin"]
    assert not (tmp_path / "backup" / "restored.json").exists()


def test_a_backup_is_given_no_key_that_opens_more_than_it_needs(tmp_path: Path) -> None:
    def given() -> set[str]:
        return set(json.loads((tmp_path / "backup" / "secrets.json").read_text()))

    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    whole = set(json.loads((tmp_path / "secrets.json").read_text()))
    stores = {"postgres_superuser", "redis_admin", "redis_airflow", "redis_trading", "redis_login"}
    stores.add("redis_sentinel_login")
    assert given() == whole - stores
    theirs: dict[str, str | None] = {"TRADEWIND_REDIS_URL": "redis://cache/5"}
    hand_out(tmp_path, theirs, TEMPLATE, tmp_path / "no-data")
    assert given() == whole - {"postgres_superuser", "redis_admin"}


def test_sentinels_are_refused_by_name(tmp_path: Path) -> None:
    given = {"TRADEWIND_REDIS_URL": "sentinel://s1,s2/2?master=desk"}
    with pytest.raises(SecretsError, match="only `tradewind up` follows"):
        hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")


def test_a_password_of_any_characters_reaches_the_service_as_it_is(tmp_path: Path) -> None:
    odd = "a b'c\"d$e%f@g/h:i#j\\k"
    given = {"SECRET_POSTGRES_MLFLOW": odd, "SECRET_REDIS_TRADING": odd, "OTHER": "x"}
    hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    shell = 'set -a; . "$1"; printf %s "$2"; eval "printf %s \\"\\$$2\\""'
    for service, name, expected in (
        ("mlflow", "PGPASSWORD", odd),
        ("trading", "CELERY_BROKER_URL", "%23j%5Ck@redis:6379/1"),
        ("airflow", "AIRFLOW_CONN_TRADING", json.dumps(odd)[1:-1] + CONNECTION_ENDS),
    ):
        done = subprocess.run(
            ["sh", "-c", shell, "sh", str(tmp_path / service / "env"), name],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.endswith(expected)
    assert (tmp_path / "postgres" / "mlflow").read_text() == odd


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"SECRET_AIRFLOW_ADMINN": "x"}, "SECRET_AIRFLOW_ADMINN, which is no secret.*SECRET_AIRF"),
        ({"SECRET_AIRFLOW_FERNET_KEY": "short"}, "32 bytes"),
        ({"SECRET_REDIS_ADMIN": "a\nb"}, "more than one line"),
    ],
)
def test_a_wrong_line_of_dotenv_is_named(
    tmp_path: Path, given: dict[str, str], message: str
) -> None:
    with pytest.raises(SecretsError, match=message):
        hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    assert shares(tmp_path) == {}


def test_new_secrets_are_not_made_for_old_data(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("17")
    with pytest.raises(SecretsError, match="only its passwords open it"):
        hand_out(tmp_path / "secrets", {}, TEMPLATE, data)


def test_every_volume_gets_its_user(tmp_path: Path, owners: dict[str, int]) -> None:
    for volume in ("postgres", "redis", "minio", "scratch", "logs", "state"):
        (tmp_path / volume).mkdir()
    own_volumes(tmp_path)
    assert owners == {
        "postgres": 999, "redis": 10005, "minio": 10004, "scratch": 10002,
        "logs": 10001, "tasks": 10001, "dag-processor": 10009, "state": 10008, "market": 10008,
        "backups": 10016,
    }  # fmt: skip
    # The logs of tasks are written by one service and shown by others, of the same group.
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o775


def test_logs_of_before_can_be_gone_on_with_by_the_others_of_the_group(
    tmp_path: Path, owners: dict[str, int]
) -> None:
    run = tmp_path / "logs" / "tasks" / "dag_id=a"
    run.mkdir(parents=True)
    for folder in (run, run.parent, run.parent.parent):
        folder.chmod(0o755)
    log = run / "attempt=1.log"
    log.touch(0o644)
    (run / "latest").symlink_to("nowhere")
    own_volumes(tmp_path)
    assert owners["tasks"] == 10001
    assert stat.S_IMODE(run.stat().st_mode) == 0o775
    assert stat.S_IMODE(log.stat().st_mode) == 0o664


def test_services_of_a_team_are_handed_out_as_dotenv_names_them(tmp_path: Path) -> None:
    given: dict[str, str | None] = {
        "TRADEWIND_POSTGRES_URL": "postgresql://db/?sslmode=verify-full&sslrootcert=/ca.pem"
        "&prefix=desk_",
        "TRADEWIND_REDIS_URL": "redis://cache/5",
        "TRADEWIND_OBJECTS_URL": "https://s3.example.com/research/mlflow",
        "SECRET_OBJECTS_LOGIN": "key:a secret",
    }
    hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    whole = json.loads((tmp_path / "secrets.json").read_text())
    found = shares(tmp_path)
    assert "@db:5432/desk_airflow?sslmode=verify-full" in found["airflow/env"]
    assert "postgresql+asyncpg://desk_airflow" in found["airflow/env"]
    assert "PGSSLROOTCERT=/ca.pem" in found["mlflow/env"]
    assert "AWS_SECRET_ACCESS_KEY='a secret'" in found["mlflow/env"]
    assert "MLFLOW_ARTIFACTS_DESTINATION=s3://research/mlflow" in found["mlflow/env"]
    assert "redis://trading:" in found["trading/env"]
    assert "@cache:6379/6" in found["trading/env"]
    watching = read_share(tmp_path, "existing-postgres")
    assert watching.postgres_airflow == whole["postgres_airflow"]
    assert {watching.postgres_superuser, watching.redis_trading, watching.airflow_admin} == {""}
    # A login that was adopted is taken up when secrets are handed out next.
    keep_logins(tmp_path, replace(watching, redis_login=":theirs"))
    hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    assert "redis://:theirs@cache:6379/6" in shares(tmp_path)["trading/env"]
    assert json.loads((tmp_path / "secrets.json").read_text())["objects_login"] == "key:a secret"
    hand_out(tmp_path, {}, TEMPLATE, tmp_path / "no-data")
    assert not WITHOUT_SHARE & {path.name for path in tmp_path.iterdir()}


def test_an_address_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    given = {"TRADEWIND_REDIS_URL": "redis://:secret@cache/2"}
    with pytest.raises(SecretsError, match="TRADEWIND_REDIS_URL must have no login in it"):
        hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
    given = {"TRADEWIND_REDIS_URL": "redis://redis/2"}
    with pytest.raises(SecretsError, match=r"by its container .docker ps., such as team-redis-1"):
        hand_out(tmp_path, given, TEMPLATE, tmp_path / "no-data")
