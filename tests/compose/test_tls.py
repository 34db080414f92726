"""Both pages behind the proxy that `compose.tls.yaml` adds, under a name of the team's."""

import shutil
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from tests.compose.project import Project, run
from tests.support import free_ports
from tests.tls import make_authority
from tradewind.stack.containers.handout import OWNERS

pytestmark = pytest.mark.disturbs

NAME = "research.desk.test"
ROOT = "/data/caddy/pki/authorities/local/root.crt"


@dataclass(frozen=True)
class Site:
    """A project with the proxy before it, and where its pages are published."""

    project: Project
    airflow: int
    mlflow: int

    def page(self, port: int, ca: Path) -> httpx.Client:
        """Return a browser that asks for a page by its name, and believes one authority."""
        return httpx.Client(
            base_url=f"https://127.0.0.1:{port}",
            headers={"Host": f"{NAME}:{port}"},
            verify=ssl.create_default_context(cafile=ca),
            event_hooks={"request": [lambda it: it.extensions.update(sni_hostname=NAME)]},
            timeout=60, trust_env=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def site(project: Project) -> Iterator[Site]:
    airflow, mlflow = free_ports(2)
    settings = {
        "COMPOSE_FILE": "compose.yaml:compose.tls.yaml",
        "TRADEWIND_TLS_NAME": NAME,
        "TRADEWIND_TLS_BIND": "127.0.0.1",
        "TRADEWIND_TLS_AIRFLOW_PORT": str(airflow),
        "TRADEWIND_TLS_MLFLOW_PORT": str(mlflow),
    }
    made = replace(project, environment=project.environment | settings)
    try:
        made.compose("up", "--detach", "--no-build", "--wait", "proxy")
        yield Site(made, airflow, mlflow)
    finally:
        made.compose("rm", "--stop", "--force", "proxy")
        project.up()
        run("docker", "volume", "rm", f"{project.name}_tls")


@pytest.fixture(scope="module")
def authority(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of the authority that the proxy has made."""
    path = tmp_path_factory.mktemp("tls") / "ca.crt"
    path.write_text(site.project.execute("proxy", "cat", ROOT))
    return path


def test_who_logs_in_to_airflow_stays_on_tls(site: Site, authority: Path) -> None:
    login = site.project.credentials()["airflow"]
    assert login["address"] == f"https://{NAME}:{site.airflow}"
    with site.page(site.airflow, authority) as browser:
        sent = browser.get("/api/v2/auth/login").headers["location"]
        assert sent.startswith(f"https://{NAME}:{site.airflow}/auth/login")
        words = {"username": login["user"], "password": login["password"]}
        answer = browser.post("/auth/token", json=words)
        assert answer.status_code == httpx.codes.CREATED
        form = browser.get("/auth/login/")
        token = form.text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        entered = browser.post(
            "/auth/login/",
            data={**words, "csrf_token": token},
            headers={"Referer": f"https://{NAME}:{site.airflow}/auth/login/"},  # as browsers do
        )
        assert entered.status_code == httpx.codes.FOUND
        cookies = entered.headers.get_list("set-cookie")
        kept = [each for each in cookies if each.startswith("_token=")]
        assert kept
        assert all("secure" in each.lower() for each in kept)


def test_mlflows_page_may_change_things_and_another_site_may_not(
    site: Site, authority: Path
) -> None:
    login = site.project.credentials()["mlflow"]
    assert login["address"] == f"https://{NAME}:{site.mlflow}"
    search = "/ajax-api/2.0/mlflow/experiments/search"
    with site.page(site.mlflow, authority) as browser:
        browser.auth = (login["user"], login["password"])
        for origin, status in ((login["address"], 200), ("https://evil.example", 403)):
            answer = browser.post(search, json={"max_results": 1}, headers={"Origin": origin})
            assert answer.status_code == status, answer.text


def test_nothing_of_it_is_believed_or_spoken_without_tls(site: Site, tmp_path: Path) -> None:
    login = site.project.credentials()["airflow"]
    with (
        site.page(site.airflow, make_authority(tmp_path / "another").ca) as stranger,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        stranger.get("/")
    plain = httpx.get(f"http://127.0.0.1:{site.airflow}/", headers={"Host": NAME})
    assert plain.status_code == httpx.codes.BAD_REQUEST
    assert login["password"] not in site.project.logs(site.project.container("proxy"), lines=1000)


def test_a_certificate_of_ones_own_is_shown_and_a_missing_one_is_said(
    site: Site, tmp_path: Path
) -> None:
    made = make_authority(tmp_path / "ours", NAME)
    folder = tmp_path / "certificates"
    folder.mkdir()
    own = {"TRADEWIND_TLS": "own", "TRADEWIND_CERTIFICATES": str(folder)}
    words = ("up", "--detach", "--no-build", "--no-deps")
    project = replace(site.project, environment=site.project.environment | own)
    project.compose(*words, "proxy")
    refused = project.compose("run", "--rm", "--no-deps", "proxy", check=False)
    assert refused.returncode
    assert "/etc/tradewind/certificates/tls.pem: no such file" in refused.stderr + refused.stdout

    shutil.copy(made.certificate, folder / "tls.pem")
    shutil.copy(made.key, folder / "tls.key")
    run("chown", f"{OWNERS['proxy']}:{OWNERS['proxy']}", str(folder / "tls.key"))
    (folder / "tls.key").chmod(0o400)
    project.compose(*words, "--wait", "proxy")
    with site.page(site.airflow, made.ca) as browser:
        assert browser.get("/api/v2/version").is_success
