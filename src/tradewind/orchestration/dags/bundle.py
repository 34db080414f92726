"""DAG files, each for some dozens of strategy or source files, that change when one of them does.

Airflow parses a DAG file at once when it has changed, and writes all its DAGs in one transaction. A
single DAG file for all strategies would never change, so that it would have to be parsed again and
again. With 1,000 strategies its transaction would outlast the DAG processor's heartbeat.
"""

from pathlib import Path
from typing import Any
from zlib import crc32

from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.sdk import DAG

from tradewind.orchestration.cleaning_request import DAG_ID
from tradewind.orchestration.dags.common import id_of, is_wanted
from tradewind.orchestration.dags.housekeeping_dag import housekeeping_dag
from tradewind.orchestration.dags.ingest_dags import ingest_dags
from tradewind.orchestration.dags.strategy_dags import strategy_dags
from tradewind.settings import load_settings
from tradewind.specs.folders import spec_files

__all__ = ["SpecBundle", "housekeeping_file", "source_file", "strategy_file"]

_TOGETHER = 50  # strategies in a DAG file, about: four DAGs each


class SpecBundle(BaseDagBundle):
    """A folder with a DAG file for each source, and one for each part of the strategies."""

    def __init__(self, **of_bundle: Any) -> None:  # noqa: ANN401 - what Airflow gives any bundle
        super().__init__(**of_bundle)
        self._texts: dict[str, str] = {}
        self._changed: set[str] = set()

    @property
    def path(self) -> Path:
        """Where the DAG files are; each process that needs them may make them."""
        return self.base_dir

    def get_current_version(self) -> None:
        """Return no version: files are read as they are."""

    def initialize(self) -> None:
        """Make the DAG files."""
        self.refresh()
        super().initialize()

    def refresh(self) -> None:
        """Write those DAG files anew whose strategies or sources were changed, added or removed.

        A file that changes while it is parsed counts as parsed for Airflow. So a changed file is
        touched again at the next refresh, and parsed once more.
        """
        with self.lock():  # on one machine all services and tasks share the folder
            self._write(_dag_files())

    def _write(self, texts: dict[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        before = self._texts
        changed = {name for name, text in texts.items() if before.get(name, text) != text}
        for name, text in texts.items():
            file = self.path / name
            if not file.exists() or file.read_text() != text:
                whole = file.with_suffix(".whole")
                whole.write_text(text)
                whole.replace(file)  # never seen half written
        for name in (self._changed - changed) & texts.keys():
            (self.path / name).touch()
        for file in self.path.glob("*.py"):
            if file.name not in texts:
                file.unlink(missing_ok=True)
        self._texts, self._changed = texts, changed


def strategy_file(part: int, parts: int) -> dict[str, DAG]:
    """Return the DAGs of one part of the strategies."""
    return strategy_dags(
        load_settings().strategies_dir, wanted=lambda file: _part(file, parts) == part
    )


def source_file(name: str | None = None) -> dict[str, DAG]:
    """Return the DAGs of the source files with this name in their ids; without a name, of all."""
    return ingest_dags(
        load_settings().sources_dir, wanted=lambda file: name is None or id_of(file) == name
    )


def housekeeping_file() -> dict[str, DAG]:
    """Return the DAG that removes what is old."""
    return housekeeping_dag() if is_wanted(DAG_ID) else {}


def _part(file: Path, parts: int) -> int:
    """Return the part of a file; files whose ids could collide are in the same part."""
    return crc32(id_of(file).encode()) % parts


def _dag_files() -> dict[str, str]:
    settings = load_settings()
    # A source file may take all the time to read that Airflow gives a DAG file, so each has its
    # own.
    sources: dict[str, list[Path]] = {}
    for file in _listed(settings.sources_dir):
        sources.setdefault(id_of(file), []).append(file)
    texts = {
        f"source_{name}.py": _text(f"source_file({name!r})", files)
        for name, files in sources.items()
    } or {"sources.py": _text("source_file()", [])}  # its import error says what is missing
    texts["housekeeping.py"] = _text("housekeeping_file()", [])
    strategies = _listed(settings.strategies_dir)
    code = _listed(settings.strategies_dir, suffix=".py")  # modules that they name must exist
    held: list[list[Path]] = [[] for _ in range(1 + len(strategies) // _TOGETHER)]
    for file in strategies:
        held[_part(file, len(held))].append(file)
    for part, files in enumerate(held):
        texts[f"strategies_{part:03}.py"] = _text(
            f"strategy_file({part}, {len(held)})", [*files, *code]
        )
    return texts


def _listed(folder: Path, *, suffix: str | None = None) -> list[Path]:
    try:
        return spec_files(folder) if suffix is None else sorted(folder.glob(f"*{suffix}"))
    except OSError:
        return []  # the DAG file will say so: as an import error everybody sees it


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0  # it is gone, or a link to nothing: its DAG's page says what is wrong


def _text(call: str, files: list[Path]) -> str:
    """Return the text of a DAG file, which differs whenever one of some files does."""
    changed = "\n".join(f"# {file.name!a} {_changed_at(file)}" for file in files)
    return (
        f"# DAGs for Airflow, made of these files as they were changed last.\n{changed}\n"
        "from tradewind.orchestration.dags import bundle\n\n"
        f"globals().update(bundle.{call})\n"
    )
