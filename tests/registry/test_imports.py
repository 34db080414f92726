import subprocess
import sys

MODULES = (
    "comparison", "read_evidence", "gate", "promotion", "provenance", "reproduction", "retrieval",
    "tracking", "versions",
)  # fmt: skip


def test_importing_the_registry_loads_no_mlflow() -> None:
    imports = "; ".join(f"import tradewind.registry.{name}" for name in MODULES)
    heavy = ("lightgbm", "mlflow", "pandas", "polars", "sklearn")
    script = f"import sys; {imports}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"


def test_a_client_of_mlflow_loads_nothing_of_the_servers() -> None:
    script = (
        "import sys, mlflow; mlflow.MlflowClient('http://nowhere').tracking_uri; "
        "from mlflow.tracking._tracking_service import utils; "
        "print('batched-postgresql' in utils._tracking_store_registry._registry, "
        "'tradewind.registry.server.batches' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "True False\n"
