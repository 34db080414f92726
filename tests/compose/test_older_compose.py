"""The same file under docker-compose 1.29."""

import os
import shutil

import pytest
import yaml

from tests.compose.conftest import REQUIRE
from tests.compose.project import LONG_RUNNING, ONE_SHOTS, TOOLS, Project, run


def require_older_compose() -> None:
    """Leave a test out where there is no 1.29; in CI that is an error."""
    if not shutil.which("docker-compose") and not os.environ.get(REQUIRE):
        pytest.skip("no docker-compose on PATH")
    version = run("docker-compose", "version", "--short").stdout.strip()
    if not version.startswith("1.") and not os.environ.get(REQUIRE):
        pytest.skip(f"docker-compose on PATH is {version}")
    assert version.startswith("1.29.")


def test_it_accepts_the_file(project: Project) -> None:
    require_older_compose()
    done = run("docker-compose", "config", cwd=project.home, env=project.environment)
    found = yaml.safe_load(done.stdout)
    assert set(found["services"]) == LONG_RUNNING | ONE_SHOTS | TOOLS
    assert found["services"]["mlflow"]["cpus"] == 1.0
    assert "WARNING" not in done.stderr
