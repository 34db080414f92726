"""What `import tradewind` gives, and what it does not load."""

import importlib
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import tradewind

HEAVY = {
    "airflow", "deltalake", "httpx", "lightgbm", "matplotlib", "mlflow", "numpy", "optuna",
    "pandas", "polars", "pydantic", "rich", "sklearn", "sqlalchemy", "typer", "yaml",
}  # fmt: skip


def loaded_after(code: str, cwd: Path) -> set[str]:
    """Top packages that a fresh interpreter has after some code."""
    shown = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {shown}"],
        cwd=cwd, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(done.stdout.split())


def test_importing_it_loads_nothing_and_a_desk_nothing_heavy(tmp_path: Path) -> None:
    checkout = Path(__file__).parents[1]
    imported = loaded_after("import tradewind", tmp_path)
    bare = loaded_after("import typing", tmp_path)
    assert imported - bare <= {"importlib", "tradewind"}
    opened = loaded_after(f"import tradewind; tradewind.Desk({str(checkout)!r})", tmp_path)
    assert HEAVY & opened == set()
    used = loaded_after(f"import tradewind; tradewind.Desk({str(checkout)!r}).sources()", tmp_path)
    assert "pydantic" in used  # so the check above can fail


def test_names_are_sorted_there_and_listed() -> None:
    assert tradewind.__all__ == sorted(tradewind.__all__)
    assert set(tradewind.__all__) <= set(dir(tradewind))
    for name in tradewind.__all__:
        assert getattr(tradewind, name) is not None
    with pytest.raises(AttributeError, match="module 'tradewind' has no attribute 'Dsek'"):
        tradewind.Dsek  # type: ignore[attr-defined]  # noqa: B018


def test_the_version_stands_in_one_place() -> None:
    assert importlib.reload(tradewind).__version__ == version("tradewind")


def test_types_are_for_users_too() -> None:
    assert Path(tradewind.__file__).with_name("py.typed").is_file()
