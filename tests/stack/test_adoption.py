"""What `tradewind adopt` finds at a team's services, and what it makes there."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import psycopg2
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from tests.stack.team import PASSWORD, Team, running_team
from tests.support import free_ports
from tests.tls import make_authority, tls_before
from tradewind.errors import StackError
from tradewind.settings import Settings
from tradewind.stack import doors, lifecycle, theirs
from tradewind.stack.adoption import LOGINS, Adoption, adopt
from tradewind.stack.layout import Layout
from tradewind.stack.rights import SETTERS, set_rights
from tradewind.stack.secrets import Secrets, load_secrets
from tradewind.stack.servers import postgres_server, redis_server
from tradewind.stack.shared_redis import shared_redis
from tradewind.stack.theirs import connect
from tradewind.trading.migrate import migrate

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """A Redis with an access list of its own, in a file, and a PostgreSQL."""
    root = tmp_path_factory.mktemp("team")
    acl = root / "users.acl"
    acl.write_text(f"user default on #{sha256(PASSWORD.encode()).hexdigest()} ~* &* +@all\n")
    with running_team(root / "theirs", "--aclfile", str(acl)) as made:
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "config").symlink_to(CHECKOUT / "config")
    return Settings(home=tmp_path)


def told(found: Adoption) -> dict[str, tuple[str, str]]:
    return {each.what: (each.state, each.said) for part in found.parts for each in part.findings}


def secrets_of(settings: Settings) -> Secrets:
    return load_secrets(Layout(settings.state))


def enter(team: Team, role: str, password: str, database: str) -> None:
    psycopg2.connect(
        host="127.0.0.1", port=team.postgres.port, user=role, password=password, dbname=database
    ).close()


def on_postgres(team: Team, settings: Settings, prefix: str) -> Settings:
    url = f"postgresql://127.0.0.1:{team.postgres.port}/?prefix={prefix}"
    return replace(settings, postgres_url=url)


def test_who_may_make_roles_and_databases_need_be_no_superuser(
    team: Team, settings: Settings
) -> None:
    team.execute("CREATE ROLE cloud LOGIN CREATEROLE CREATEDB PASSWORD 'cloud'")
    given = on_postgres(team, settings, "cloud_")
    found = adopt(given, {"ADOPT_POSTGRES_LOGIN": "cloud:cloud"}, apply=True)
    assert found.ready, told(found)
    secrets = secrets_of(given)
    enter(team, "cloud_tradewind", secrets.postgres_tradewind, "cloud_tradewind")
    with pytest.raises(psycopg2.OperationalError, match="permission denied"):
        enter(team, "cloud_tradewind", secrets.postgres_tradewind, "cloud_mlflow")
    again = adopt(given, {}, apply=True)
    assert again.ready
    assert [part.commands for part in again.parts] == [[]]
    # Its owners say what others may do: there is no superuser of ours.
    server = postgres_server(given)
    migrate(server.url("tradewind", secrets.postgres_tradewind))
    for role in SETTERS:
        set_rights(server.url(role, getattr(secrets, f"postgres_{role}")))

    def ask(statement: str) -> None:
        login = "cloud_research", secrets.postgres_research
        with closing(connect(server, login, "cloud_tradewind")) as asking, asking.cursor() as one:
            one.execute(statement)
            asking.commit()

    tried = [
        check for role in ("research", "trading") for check in doors._of_role(given, secrets, role)
    ]
    assert len(tried) > 15
    assert {check.name: check.problem for check in tried if check.problem} == {}
    theirs.probe_postgres(server, secrets)(0.0)  # each role is let in

    ask("CREATE TABLE studies (i int); SELECT FROM studies.studies; SELECT FROM trading.fills")
    owner = "cloud_tradewind", secrets.postgres_tradewind
    with closing(connect(server, owner, "cloud_tradewind")) as asking, asking.cursor() as one:
        one.execute("SELECT FROM studies.studies")  # to back it up
    halt = "INSERT INTO trading.halts (account, halted, reason) VALUES (NULL, {}, 'a test')"
    ask(halt.format("true"))
    for refused in (halt.format("false"), "CREATE TABLE public.trap (i int)"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            ask(refused)


def test_the_commands_it_prints_do_the_same(team: Team, settings: Settings) -> None:
    given = on_postgres(team, settings, "hand_")
    [part] = adopt(given, {}).parts
    team.execute(*part.commands, database="postgres")
    assert adopt(given, {}).ready
    text = "\n".join(part.commands)
    assert not any(str(each) in text for each in vars(secrets_of(given)).values() if each)


def test_names_that_others_have_taken_are_left_alone(team: Team, settings: Settings) -> None:
    team.execute("CREATE ROLE busy_airflow LOGIN PASSWORD 'theirs'", "CREATE DATABASE busy_mlflow")
    given = on_postgres(team, settings, "busy_")
    login = {"ADOPT_POSTGRES_LOGIN": f"postgres:{team.postgres.superuser}"}
    found = adopt(given, login, apply=True)
    assert not found.ready
    said = [each.said for each in found.parts[0].findings if each.what == "names"]
    assert "role busy_airflow is there, with a password that is none of ours" in said[0]
    assert "database busy_mlflow belongs to postgres" in said[1]
    assert all("put prefix=desk_ (or another) into TRADEWIND_POSTGRES_URL" in one for one in said)
    enter(team, "busy_airflow", "theirs", "postgres")
    names = "SELECT count(*) FROM pg_roles WHERE rolname IN ('busy_mlflow', 'busy_tradewind')"
    assert team.execute(names) == [(0,)]


# 12: an earlier version had the owners of the databases alone.
@pytest.mark.parametrize("done", [1, 2, 5, 12, 13])
def test_what_broke_off_is_finished(team: Team, settings: Settings, done: int) -> None:
    prefix = f"broken{done}_"
    given = on_postgres(team, settings, prefix)
    [part] = adopt(given, {}).parts
    team.execute(*part.commands[:done], database="postgres")
    login = {"ADOPT_POSTGRES_LOGIN": f"postgres:{team.postgres.superuser}"}
    found = adopt(given, login, apply=True)
    assert found.ready, told(found)
    closed = f"SELECT datacl::text FROM pg_database WHERE datname LIKE '{prefix}%'"
    assert all("{=" not in acl and ",=" not in acl for (acl,) in team.execute(closed))


def test_a_login_without_the_rights_is_told_which(team: Team, settings: Settings) -> None:
    team.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    given = on_postgres(team, settings, "plain_")
    found = told(adopt(given, {"ADOPT_POSTGRES_LOGIN": "plain:plain"}, apply=True))
    assert found["rights"] == (
        "in the way",
        "plain may not make roles and databases: ALTER ROLE plain CREATEROLE CREATEDB, or give "
        "another login",
    )
    state, said = told(adopt(given, {"ADOPT_POSTGRES_LOGIN": "plain:wrong"}, apply=True))["login"]
    assert (state, "password authentication failed" in said) == ("in the way", True)


def test_few_connections_are_in_the_way(team: Team, settings: Settings) -> None:
    given = on_postgres(team, settings, "few_")
    login = {"ADOPT_POSTGRES_LOGIN": f"postgres:{team.postgres.superuser}"}
    with ExitStack() as held:
        for _ in range(210):
            connection = psycopg2.connect(
                host="127.0.0.1", port=team.postgres.port, user="postgres", dbname="desk",
                password=team.postgres.superuser,
            )  # fmt: skip
            held.callback(connection.close)
        state, said = told(adopt(given, login, apply=True))["connections"]
    assert state == "in the way"
    assert "our services keep about 45: raise max_connections there" in said


def test_a_certificate_of_another_authority_is_refused(
    team: Team, settings: Settings, tmp_path: Path
) -> None:
    real, false = make_authority(tmp_path / "real"), make_authority(tmp_path / "false")
    with (
        tls_before(real, team.postgres.port, postgres=True) as postgres,
        tls_before(real, team.redis_port) as redis,
    ):
        given = replace(
            settings,
            postgres_url=f"postgresql://localhost:{postgres}/?sslmode=verify-full"
            f"&sslrootcert={false.ca}&prefix=tls_",
            redis_url=f"rediss://localhost:{redis}/2?ssl_ca_certs={false.ca}",
        )
        found = adopt(given, team.logins, apply=True)
    said = [each.said for part in found.parts for each in part.findings if each.what == "server"]
    assert "certificate verify failed" in said[0]
    assert "CERTIFICATE_VERIFY_FAILED" in said[1]
    assert secrets_of(given).redis_login == ""


@pytest.mark.parametrize("given_logins", [True, False])
def test_services_out_of_reach_are_said_to_be_and_nothing_is_to_do(
    settings: Settings, given_logins: bool
) -> None:
    [port] = free_ports(1)
    given = replace(
        settings, postgres_url=f"postgresql://127.0.0.1:{port}/",
        redis_url=f"redis://127.0.0.1:{port}/2", objects_url=f"http://127.0.0.1:{port}/research",
    )  # fmt: skip
    logins = dict.fromkeys(LOGINS, "some:body") if given_logins else {}
    found = adopt(given, logins, apply=True)
    for part, setting in zip(found.parts, ("POSTGRES", "REDIS", "OBJECTS"), strict=True):
        assert {each.state for each in part.findings} == {"note", "in the way"}
        [said] = [each.said for each in part.findings if each.what == "server"]
        assert f"TRADEWIND_{setting}_URL has its host" in said
        assert part.commands == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "holds no certificate in PEM"),
        ("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "that can be read"),
    ],
)
def test_a_file_of_a_ca_that_is_none_is_told_with_its_setting(
    settings: Settings, tmp_path: Path, text: str | None, said: str
) -> None:
    ca = tmp_path / "ca.pem"
    if text is not None:
        ca.write_text(text)
    given = replace(
        settings,
        postgres_url=f"postgresql://localhost/?sslmode=verify-full&sslrootcert={ca}",
        redis_url=f"rediss://localhost/2?ssl_ca_certs={ca}",
        objects_url=f"https://localhost/research?ca_bundle={ca}",
    )
    named = (
        "POSTGRES_URL names as sslrootcert",
        "REDIS_URL names as ssl_ca_certs",
        "OBJECTS_URL names as ca_bundle",
    )
    for part, name in zip(adopt(given, {}).parts, named, strict=True):
        [found] = part.findings
        assert (found.what, found.state) == ("CA", "in the way")
        assert f"{ca}, which TRADEWIND_{name}, " in found.said
        assert said in found.said
    with pytest.raises(StackError, match=f"{ca}, which TRADEWIND_POSTGRES_URL names"):
        lifecycle.detach(given)


def test_users_of_redis_outlive_its_restart(team: Team, settings: Settings) -> None:
    given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/4")
    found = adopt(given, team.logins, apply=True)
    assert found.ready, told(found)
    assert "ACL SAVE" in found.parts[0].commands
    team.stop_redis()
    team.start_redis()
    again = adopt(given, {})
    assert again.ready, told(again)
    secrets = secrets_of(given)
    assert secrets.redis_login == ""
    with Redis.from_url(redis_server(given, secrets).url("trading", secrets.redis_trading)) as ours:
        ours.set("trading:any", "1")
        with pytest.raises(NoPermissionError):
            ours.get("airflow:any")
        with pytest.raises(NoPermissionError):
            ours.execute_command("SELECT", 0) and ours.get("session:1")
    checks = list(shared_redis(redis_server(given, secrets), secrets))
    assert [check.name for check in checks if check.problem] == []
    with team.client() as client:
        client.acl_deluser("airflow", "trading")


def test_a_redis_that_throws_keys_away_is_not_used(team: Team, settings: Settings) -> None:
    given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/6")
    with team.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = adopt(given, team.logins, apply=True)
        finally:
            client.config_set("maxmemory-policy", "noeviction")
        assert "CONFIG SET maxmemory-policy noeviction" in told(found)["eviction"][1]
        assert not found.ready
        assert client.acl_users() == ["default"]


@pytest.mark.parametrize(
    ("login", "said"),
    [("", "Authentication required"), (":wrong", "invalid username-password pair")],
)
def test_a_login_that_redis_refuses_is_asked_for(
    team: Team, settings: Settings, login: str, said: str
) -> None:
    given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/4")
    found = told(adopt(given, {"ADOPT_REDIS_LOGIN": login}, apply=True))
    assert found["login"][0] == "in the way"
    assert said in found["login"][1]
    assert "ADOPT_REDIS_LOGIN=user:password" in found["login"][1]


def test_a_number_beyond_the_last_database_is_said(team: Team, settings: Settings) -> None:
    given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/15")
    state, said = told(adopt(given, team.logins, apply=True))["database 16"]
    assert state == "in the way"
    assert "raise `databases`" in said


def test_a_redis_without_any_login_is_used_and_said(tmp_path: Path, settings: Settings) -> None:
    with running_team(tmp_path / "open", "--requirepass", "") as team:
        given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/2")
        found = adopt(given, {}, apply=True)
        assert found.ready, told(found)
        secrets = secrets_of(given)
        checks = {
            check.name: check for check in shared_redis(redis_server(given, secrets), secrets)
        }
        assert "answers who has no login" in checks["redis strangers"].problem


def test_keys_of_others_in_a_database_of_ours_are_found(team: Team, settings: Settings) -> None:
    given = replace(settings, redis_url=f"redis://127.0.0.1:{team.redis_port}/8")
    server = redis_server(given, Secrets(redis_login=f":{PASSWORD}"))
    with team.client(9) as client:
        client.set("stray", "1")
        checks = {each.name: each for each in shared_redis(server, Secrets())}
        client.delete("stray")
    assert "also holds stray" in checks["redis database 9"].problem
