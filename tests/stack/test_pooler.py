"""PgBouncer before a team's PostgreSQL: what `adopt` says of each way in which it can be set."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.pooler import pooler_before
from tests.stack.team import Team, running_team
from tradewind.settings import Settings
from tradewind.stack import pooler
from tradewind.stack.adoption import Finding, adopt
from tradewind.stack.layout import Layout
from tradewind.stack.probes import ProbeFailure
from tradewind.stack.secrets import load_secrets
from tradewind.stack.servers import postgres_server
from tradewind.stack.theirs import probe_postgres

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    with running_team(tmp_path_factory.mktemp("team") / "theirs") as made:
        yield made


@pytest.fixture(scope="module")
def adopted(team: Team, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a desk that has moved in by a pooler that suits it."""
    home = tmp_path_factory.mktemp("desk")
    (home / "config").symlink_to(CHECKOUT / "config")
    # At the server itself: PgBouncer lets in no role that is not there yet.
    found = adopt(by(home, team.postgres.port), team.logins, apply=True)
    assert found.ready, found
    with pooler_before(team) as port:
        settings = by(home, port)
        assert said(settings).state == "note"
        probe(settings)
    return settings


def by(home: Path, port: int) -> Settings:
    return Settings(home=home, postgres_url=f"postgresql://127.0.0.1:{port}/")


def said(settings: Settings) -> Finding:
    """What is said of the pooler by the roles that are there."""
    [part] = adopt(settings, {}).parts
    [found] = [each for each in part.findings if each.what == "pooler"]
    return found


def probe(settings: Settings) -> None:
    """Ask as `tradewind up` does."""
    secrets = load_secrets(Layout(settings.state))
    probe_postgres(postgres_server(settings), secrets)(0.0)


@pytest.mark.parametrize(
    ("changed", "mend"),
    [
        ({"pool_mode": "transaction"}, "pool_mode = session"),
        ({"pool_mode": "transaction", "server_round_robin": "1"}, "pool_mode = session"),
        ({"pool_mode": "statement"}, "pool_mode = session"),
        ({"ignore_startup_parameters": None}, "ignore_startup_parameters = extra_float_digits, op"),
        ({"default_pool_size": "1"}, "gave one role 1 sessions at once"),
        ({"default_pool_size": None}, "default_pool_size = 100"),
        ({"max_client_conn": "20"}, "max_client_conn = 500"),
        ({"server_reset_query": ""}, "server_reset_query = DISCARD ALL"),
    ],
)
def test_what_a_pooler_must_be_set_to_is_said(
    team: Team,
    adopted: Settings,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, str | None],
    mend: str,
) -> None:
    if "default_pool_size" in changed:  # what has no place waits for one
        monkeypatch.setattr(pooler, "_TIMEOUT", 1.0)
    with pooler_before(team, **changed) as port:
        settings = by(adopted.home, port)
        found = said(settings)
        with pytest.raises(ProbeFailure, match=mend.partition("=")[0]):
            probe(settings)
    assert found.state == "in the way"
    assert mend in found.said
