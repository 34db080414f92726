"""Backup and restore on a team's PostgreSQL and Redis, with TLS before both, by command."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.stack.conftest import Stack, make_stack
from tests.stack.team import Team, behind_tls, running_team
from tests.tls import make_authority, tls_before
from tradewind.endpoints import DATABASES
from tradewind.stack.backup.tls import through_tls
from tradewind.stack.layout import Layout
from tradewind.stack.postgres import program
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.servers import postgres_server, redis_server
from tradewind.stack.theirs import connect, redis_client

# One of each kind that a schema may have, in the schemas that ours have.
MADE = """
CREATE SCHEMA trading;
CREATE TYPE mood AS ENUM ('well', 'ill');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE span AS RANGE (subtype = int4);
CREATE TABLE kept (n serial PRIMARY KEY, was mood DEFAULT 'well', many positive);
INSERT INTO kept (many) SELECT g FROM generate_series(1, 1000) g;
CREATE TABLE trading.parted (n int REFERENCES kept) PARTITION BY RANGE (n);
CREATE TABLE trading.part PARTITION OF trading.parted FOR VALUES FROM (1) TO (100);
INSERT INTO trading.parted VALUES (1), (2);
CREATE VIEW seen AS SELECT sum(n) AS sum FROM kept;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM seen;
CREATE SEQUENCE apart START 41;
CREATE FUNCTION twice(positive) RETURNS int LANGUAGE sql AS 'SELECT 2 * $1';
"""
SEEN = """
SELECT (SELECT count(*) FROM kept), (SELECT sum FROM seen), (SELECT count FROM counted),
       (SELECT count(*) FROM trading.parted), twice(21),
       (SELECT count(*) FROM kept WHERE was = 'well')
"""
WELL = (1000, 500500, 1, 2, 42, 1000)


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team") / "theirs") as made:
        yield made


@pytest.fixture(scope="module")
def tls(team: Team) -> Iterator[dict[str, str]]:
    with behind_tls(team) as settings:
        yield settings


def moved_in(home: Path, team: Team, tls: dict[str, str], name: str, number: int) -> Stack:
    """A checkout that has moved in with the team, under names of its own."""
    made = make_stack(home).part("postgres", "redis")
    postgres = f"{tls['TRADEWIND_POSTGRES_URL']}&prefix={name}_"
    broker = tls["TRADEWIND_REDIS_URL"].replace("/2?", f"/{number}?")
    settings = {"TRADEWIND_POSTGRES_URL": postgres, "TRADEWIND_REDIS_URL": broker}
    stack = replace(made, environment={**made.environment, **settings})
    replace(stack, environment={**stack.environment, **team.logins}).ok("adopt", "--apply")
    return stack


def secrets(stack: Stack) -> Secrets:
    return load_secrets(Layout(stack.settings.state))


@contextmanager
def cursor(stack: Stack, database: str) -> Iterator[Any]:
    """Give a cursor of the role that owns a database."""
    server = postgres_server(stack.settings)
    name = server.name(database)
    password = getattr(secrets(stack), f"postgres_{database}")
    connection = connect(server, (name, password), name)
    try:
        with connection, connection.cursor() as made:
            yield made
    finally:
        connection.close()


def ask(stack: Stack, query: str, database: str = "tradewind") -> list[tuple[Any, ...]]:
    with cursor(stack, database) as made:
        made.execute(query)
        return made.fetchall()


@contextmanager
def queues(stack: Stack) -> Iterator[Any]:
    """Give a client of Redis, in the database of the trading application."""
    broker = redis_server(stack.settings, secrets(stack))
    login = broker.user("trading", secrets(stack).redis_trading)
    with redis_client(broker, login, broker.number("trading")) as client:
        yield client


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory, team: Team, tls: dict[str, str]) -> Stack:
    """A system with data."""
    stack = moved_in(tmp_path_factory.mktemp("guest") / "desk", team, tls, "desk", 2)
    for database in DATABASES:
        with cursor(stack, database) as made:
            made.execute(MADE)
    (stack.settings.state / "artifacts" / "model").write_bytes(b"a model")
    return stack


@pytest.fixture(scope="module")
def place(guest: Stack) -> str:
    """Where a backup is."""
    made = guest.json("backup", "kept here")
    assert made["rows"] == dict.fromkeys(DATABASES, 1002)
    return str(guest.home / "kept here")


@pytest.fixture(scope="module")
def other(
    tmp_path_factory: pytest.TempPathFactory, team: Team, tls: dict[str, str], place: str
) -> Stack:
    """Another system there, into which the backup was restored."""
    stack = moved_in(tmp_path_factory.mktemp("other") / "desk", team, tls, "other", 4)
    with queues(stack) as client:
        client.set("trading:waits", "a message of another moment")
        client.set("session", "somebody else's")
    stack.ok("restore", place)
    return stack


def test_it_is_restored_under_other_names_with_other_passwords(
    guest: Stack, other: Stack, team: Team
) -> None:
    for database in DATABASES:
        assert ask(other, SEEN, database) == [WELL]
        assert ask(other, "SELECT nextval('apart'), nextval('kept_n_seq')", database) == [
            (41, 1001)
        ]
    assert (other.settings.state / "artifacts" / "model").read_bytes() == b"a model"
    assert secrets(other).airflow_fernet_key == secrets(guest).airflow_fernet_key
    assert secrets(other).postgres_airflow != secrets(guest).postgres_airflow
    with queues(other) as client:
        assert client.keys() == ["session"]
    owners = team.execute("SELECT DISTINCT tableowner FROM pg_tables", database="other_mlflow")
    assert set(owners) == {("other_mlflow",), ("postgres",)}  # those of the catalogue


def test_data_there_is_not_written_over(other: Stack, place: str) -> None:
    with cursor(other, "tradewind") as made:
        made.execute("DELETE FROM trading.parted")
    refused = other.run("restore", place)
    assert refused.returncode == 1
    assert "there is data in" in refused.stderr
    assert ask(other, "SELECT count(*) FROM trading.parted") == [(0,)]


def test_what_others_have_there_is_neither_lacking_nor_lost(
    other: Stack, team: Team, place: str, tmp_path: Path
) -> None:
    before = team.dump()
    team.execute(
        "CREATE EXTENSION pg_stat_statements",
        "CREATE VIEW theirs AS SELECT count(*) FROM kept",
        database="other_tradewind",
    )
    for words in (("backup", str(tmp_path)), ("restore", place, "--replace")):
        refused = other.run(*words)
        assert refused.returncode == 1
        assert "other_tradewind does not own" in refused.stderr
        assert "public.theirs of role postgres" in refused.stderr
    assert not list(other.settings.state.glob("restoring*"))
    team.execute("DROP VIEW theirs", database="other_tradewind")

    with cursor(other, "tradewind") as made:
        made.execute("CREATE TABLE of_later AS SELECT 1 AS n")
        made.execute("COMMENT ON DATABASE other_tradewind IS 'migrated'")
    told = other.json("restore", place, "--replace")
    assert ask(other, SEEN) == [WELL]
    assert ask(other, "SELECT to_regclass('of_later')::text") == [(None,)]
    noted = "SELECT shobj_description(oid, 'pg_database') FROM pg_database"
    assert ask(other, f"{noted} WHERE datname = current_database()") == [(None,)]
    extensions = ask(
        other, "SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'"
    )
    assert extensions == [(1,)]
    assert team.dump() == before

    # What was there can be had back.
    listed = subprocess.run(
        [program("pg_restore"), "--list", str(Path(told["set_aside"]) / "tradewind.dump")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "TABLE DATA public of_later other_tradewind" in listed.stdout


def test_the_secrets_of_the_backup_open_what_the_system_has_lost_the_keys_of(
    guest: Stack, place: str
) -> None:
    """As after the loss of a machine: the team's services are there, the state directory is not."""
    before = secrets(guest)
    lost = guest.settings.state.rename(guest.home / "lost")
    told = guest.json("restore", place, "--replace")
    assert secrets(guest) == before
    assert ask(guest, SEEN) == [WELL]
    assert Path(told["set_aside"], "mlflow.dump").exists()
    assert (guest.settings.state / "artifacts" / "model").read_bytes() == b"a model"
    assert lost.exists()


def test_data_of_the_stack_s_own_moves_to_theirs(
    tmp_path: Path, team: Team, tls: dict[str, str]
) -> None:
    own = make_stack(tmp_path / "own").part("postgres", "databases", "redis")
    own.ok("up", "--detach")
    try:
        for database in DATABASES:
            own.rows(f"{MADE}; COMMIT; SELECT 1", database=database)
        own.ok("backup", str(tmp_path / "kept"))
    finally:
        own.run("down")
    stack = moved_in(tmp_path / "desk", team, tls, "moved", 6)
    stack.ok("restore", str(tmp_path / "kept"))
    for database in DATABASES:
        assert ask(stack, SEEN, database) == [WELL]
    assert secrets(stack).airflow_fernet_key == secrets(own).airflow_fernet_key


def test_who_has_not_moved_in_is_told_to(
    tmp_path: Path, team: Team, tls: dict[str, str], place: str
) -> None:
    made = make_stack(tmp_path / "desk").part("postgres", "redis")
    url = f"{tls['TRADEWIND_POSTGRES_URL']}&prefix=third_"
    stack = replace(made, environment={**made.environment, "TRADEWIND_POSTGRES_URL": url})
    refused = stack.run("restore", place)
    assert refused.returncode == 1
    assert "third_airflow" in refused.stderr
    assert "`tradewind adopt --apply` moves in there" in refused.stderr
    assert not (stack.settings.state / "secrets.json").exists()
    assert team.execute("SELECT datname FROM pg_database WHERE datname ~ '^third'") == []


def query_through(environment: dict[str, str]) -> str:
    """What a program without TLS is answered on its way through ours."""
    with through_tls(environment) as passage:
        done = subprocess.run(
            [program("psql"), "-XAtc", "SELECT 'in'"],
            env={**os.environ, **passage}, capture_output=True, text=True, check=False,
        )  # fmt: skip
    return done.stdout.strip()


def test_tls_is_checked_as_it_was_asked_for(team: Team, tmp_path: Path) -> None:
    false = make_authority(tmp_path / "false")
    login = {"PGUSER": "postgres", "PGPASSWORD": team.postgres.superuser, "PGDATABASE": "postgres"}
    with tls_before(team.authority, team.postgres.port, postgres=True) as port:
        verified = {
            **login, "PGHOST": "localhost", "PGPORT": str(port), "PGSSLMODE": "verify-full",
            "PGSSLROOTCERT": str(team.authority.ca),
        }  # fmt: skip
        assert query_through(verified) == "in"
        assert query_through({**verified, "PGSSLROOTCERT": str(false.ca)}) == ""
        # The certificate is not one for this name, which an authority alone does not see.
        by_another = {**verified, "PGHOST": "0.0.0.0"}  # noqa: S104 - Linux connects it to itself
        assert query_through(by_another) == ""
        assert query_through({**by_another, "PGSSLMODE": "verify-ca"}) == "in"
    plain = {**login, "PGHOST": "127.0.0.1", "PGPORT": str(team.postgres.port)}
    assert query_through({**plain, "PGSSLMODE": "prefer"}) == "in"
    assert query_through({**plain, "PGSSLMODE": "require"}) == ""
