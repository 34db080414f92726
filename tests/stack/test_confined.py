"""What a confined process of the local stack keeps, tried in one of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.host import landlock
from tradewind.stack.layout import Layout

TRY = """
import json, sys
from pathlib import Path
from tradewind.settings import load_settings
from tradewind.stack.confined import confine

settings = load_settings()
confine(settings)
found = {}
for name in sys.argv[1:]:
    path = settings.state / name
    try:
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
        found[name] = "written"
    except PermissionError:
        found[name] = "refused"
print(json.dumps(found))
"""


def written(home: Path, *names: str, **more: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRY, *names], capture_output=True, text=True,
        check=True, env={"TRADEWIND_HOME": str(home), "PATH": "", **more},
    )  # fmt: skip
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    (tmp_path / "plugins").mkdir()
    return tmp_path


def test_what_airflow_reads_at_its_start_is_not_changed(home: Path) -> None:
    Layout(home / ".tradewind").create()
    (home / ".tradewind" / "airflow" / "airflow.cfg").write_text("")
    found = written(
        home, "airflow/airflow.cfg", "airflow/webserver_config.py",
        "airflow/config/airflow_local_settings.py", "airflow/bundles/specs.py", "market/bars",
        "housekeeping/sizes.jsonl", "secrets.json",
    )  # fmt: skip
    if not landlock.version():  # where the kernel has none, nothing is refused
        assert set(found.values()) == {"written"}
        return
    assert found == {
        "airflow/airflow.cfg": "refused",
        "airflow/webserver_config.py": "refused",
        "airflow/config/airflow_local_settings.py": "refused",
        "airflow/bundles/specs.py": "written",
        "market/bars": "written",
        "housekeeping/sizes.jsonl": "written",
        "secrets.json": "refused",
    }


def test_the_secret_of_an_identity_providers_client_is_hidden(home: Path) -> None:
    Layout(home / ".tradewind").create()
    (home / ".tradewind" / "client").write_text("secret")
    (home / ".env").write_text(
        "TRADEWIND_OIDC_ISSUER=https://login.example.com\nTRADEWIND_OIDC_CLIENT_ID=desk\n"
        "TRADEWIND_OIDC_CLIENT_SECRET_FILE=.tradewind/client\nTRADEWIND_OIDC_OTHERS=viewer\n"
    )
    said = "refused" if landlock.version() else "written"
    assert written(home, "client", "market/bars") == {"client": said, "market/bars": "written"}


def test_a_state_directory_of_containers_takes_new_folders(home: Path) -> None:
    """There all that is hidden is another container's, and nobody makes folders beforehand."""
    (home / ".tradewind").mkdir()
    names = ("housekeeping/sizes.jsonl", "matplotlib/fonts.json", "market/bars")
    assert written(home, *names) == dict.fromkeys(names, "written")


def test_settings_and_packages_that_a_workspace_lacks_are_not_made_by_a_task(
    tmp_path: Path,
) -> None:
    """The next start would read them. The state directory is not below, which would close more."""
    desk, state = tmp_path / "desk", tmp_path / "state"
    (desk / "strategies").mkdir(parents=True)
    Layout(state).create()
    names = ("config/airflow.env", "plugins/mine.py", ".env", "requirements.txt")
    found = written(
        desk, *(f"../desk/{name}" for name in (*names, "strategies/mine.py")),
        TRADEWIND_STATE_DIR=str(state),
    )  # fmt: skip
    refused = "refused" if landlock.version() else "written"
    assert found == {
        **{f"../desk/{name}": refused for name in names},
        "../desk/strategies/mine.py": "written",
    }
