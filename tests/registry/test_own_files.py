"""Which files MLflow's server opens, whatever an experiment, a run or a trace names."""

# ruff: noqa: TID253 - what is tried is a part of MLflow's server

from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact import artifact_repository_registry as registry

from tradewind.registry.server.own_files import keep_to_own_files

ENFORCE = "enforce_server_artifact_uri_host_policy"


@pytest.fixture(params=["/srv/artifacts", "file:///srv/artifacts/", "behind-server://mlflow"])
def root(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(registry, ENFORCE, getattr(registry, ENFORCE))  # put back afterwards
    keep_to_own_files(request.param)
    return str(request.param).rstrip("/")


def test_its_own_are_opened(root: str) -> None:
    for address in (root, f"{root}/7/abc/artifacts"):
        if "behind" not in address:  # asks for the logins of a bucket
            assert registry.get_artifact_repository(address).artifact_uri == address
    enforce = getattr(registry, ENFORCE)
    enforce("mlflow-artifacts:/7/abc/artifacts")
    enforce(f"{root}/7/abc/artifacts")


@pytest.mark.parametrize(
    "address",
    [
        "/etc", "file:///etc", "file:/proc/self", "s3://another/bucket", "https://example.org/x",
        "{root}2/x", "{root}/../secrets", "{root}/%2e%2e/secrets", "{root}/a/%252e%252e/b",
        "mlflow-artifacts:/../x",
    ],
)  # fmt: skip
def test_others_are_not(root: str, address: str, tmp_path: Path) -> None:
    with pytest.raises(MlflowException, match="of its own store alone"):
        registry.get_artifact_repository(address.format(root=root))
    with pytest.raises(MlflowException, match="of its own store alone"):
        registry.get_artifact_repository(str(tmp_path))
