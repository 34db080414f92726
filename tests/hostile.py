"""What a hostile task is told: what it is to look for, and what is an administrator's in MLflow."""

import hashlib
from typing import Any

import httpx

# What a worker has: its brokers, its role in each database, its account of MLflow.
OWN = {
    "redis_airflow", "redis_trading", "postgres_airflow_results", "postgres_research",
    "mlflow_worker",
}  # fmt: skip


def told_of(mlflow: httpx.Client, secrets: dict[str, str]) -> dict[str, Any]:
    """Make a run and a model as MLflow's administrator, and say what a hostile task looks for."""
    experiment = posted(mlflow, "experiments/create", name="of a person")["experiment_id"]
    run = posted(mlflow, "runs/create", experiment_id=experiment)["run"]["info"]["run_id"]
    posted(mlflow, "registered-models/create", name="of_a_person")
    return {
        "experiment_id": experiment, "run_id": run, "model": "of_a_person", **marks(secrets),
    }  # fmt: skip


def marks(secrets: dict[str, str]) -> dict[str, Any]:
    """Return how each secret of others begins, and by what it is known if it is found whole."""
    others = {
        name: value.rstrip("=") for name, value in secrets.items() if value and name not in OWN
    }
    return {
        "begins": [value[:5] for value in others.values()],
        "digests": {name: hashlib.sha256(v.encode()).hexdigest() for name, v in others.items()},
    }


def posted(mlflow: httpx.Client, path: str, **content: Any) -> Any:
    answer = mlflow.post(f"/{path}", json=content)
    assert answer.is_success, answer.text
    return answer.json()
