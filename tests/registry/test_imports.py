import subprocess
import sys

MODULES = (
    "comparison", "evidence", "gate", "promotion", "provenance", "reproduction", "retrieval",
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
