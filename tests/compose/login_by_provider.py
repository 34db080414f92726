"""People log in to the pages in containers by a provider outside of them, with a CA of its own.

Part of the campaign: `pytest tests/compose/login_by_provider.py`. What `make test` does of it is in
`tests/stack/test_login.py`, on the local stack.
"""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import yaml

from tests.compose.project import Project, run
from tests.compose.test_older_compose import require_older_compose
from tests.identity_provider import IdentityProvider, running_provider
from tests.tls import make_authority

pytestmark = pytest.mark.disturbs

SECRET = "told to nobody"


@dataclass(frozen=True)
class Site:
    """The project with the provider named in its ``.env``."""

    project: Project
    provider: IdentityProvider


@pytest.fixture(scope="module")
def site(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    found = json.loads(run("docker", "network", "inspect", f"{project.name}_services").stdout)
    host = found[0]["IPAM"]["Config"][0]["Gateway"]  # this machine, for containers and for us
    authority = make_authority(tmp_path_factory.mktemp("tls"), host)
    certificates = project.home / "config" / "certificates"
    shutil.copy(authority.ca, certificates / "provider.pem")
    (certificates / "provider.pem").chmod(0o644)
    with running_provider(host, authority) as provider:
        provider.knows("alice", groups=["quants"])
        env = project.home / ".env"
        before = env.read_text() if env.exists() else None
        env.write_text(
            (before or "") + "COMPOSE_FILE=compose.yaml:compose.oidc.yaml\n"
            f"MLFLOW_PUBLIC_URL=http://localhost:{project.ports['mlflow']}\n"
            f"TRADEWIND_OIDC_ISSUER={provider.url}\n"
            "TRADEWIND_OIDC_CLIENT_ID=desk\n"
            "TRADEWIND_OIDC_ROLES=quants=researcher,ops=admin\n"
            "TRADEWIND_OIDC_CA_FILE=/etc/tradewind/certificates/provider.pem\n"
            f"SECRET_OIDC_CLIENT_SECRET={SECRET}\n"
        )
        env.chmod(0o600)
        try:
            project.up()
            yield Site(project, provider)
        finally:
            env.unlink() if before is None else env.write_text(before)
            project.up()


@pytest.mark.parametrize(
    ("page", "begin", "asked", "logout"),
    [
        ("airflow", "/auth/login/oidc", "/api/v2/dags", "/auth/logout"),
        ("mlflow", "/login/oidc", "/api/2.0/mlflow/users/current", "/logout"),
    ],
)
def test_somebody_comes_in_and_leaves(
    site: Site, page: str, begin: str, asked: str, logout: str
) -> None:
    address = site.project.credentials()[page]["address"]
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as browser:
        assert browser.get(asked).status_code == httpx.codes.UNAUTHORIZED
        begun = browser.get(begin)
        assert begun.status_code == httpx.codes.FOUND, begun.text
        sent = begun.headers["location"]
        assert sent.startswith(site.provider.url)
        entered = browser.get(site.provider.agree(sent, "alice"))
        assert entered.status_code == httpx.codes.FOUND, entered.text
        assert browser.get(asked).is_success
        left = browser.get(logout).headers["location"]
        assert left.startswith(f"{site.provider.url}/oauth2/end_session?")
        assert browser.get(asked).status_code == httpx.codes.UNAUTHORIZED


def test_the_client_s_secret_is_in_no_environment_and_with_no_task(site: Site) -> None:
    holders = set()
    for container in site.project.containers():
        assert SECRET not in json.dumps(container.about), container.name
        words = ("sh", "-c", "cat /run/secrets/*/oidc-client-secret 2>/dev/null || true")
        if container.service != "secrets" and SECRET in site.project.execute(container, *words):
            holders.add(container.service)
    # Airflow's own services share a directory, which those that run users' code do not see.
    assert holders == {"airflow-webserver", "airflow-scheduler", "airflow-triggerer", "mlflow"}


def test_compose_of_before_takes_the_file(site: Site) -> None:
    require_older_compose()
    done = run(
        "docker-compose", "-f", "compose.yaml", "-f", "compose.oidc.yaml", "config",
        cwd=site.project.home, env=site.project.environment,
    )  # fmt: skip
    services = yaml.safe_load(done.stdout)["services"]
    for name in ("airflow-webserver", "mlflow"):
        assert services[name]["environment"]["TRADEWIND_OIDC_ISSUER"] == site.provider.url
    assert SECRET not in done.stdout
