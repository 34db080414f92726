"""Airflow's triggerer, which runs no code but that of installed packages and of ``plugins/``.

A task that defers names a class, by its path, and what the class is called with; a DAG file names
the function that is called when a deadline is missed. Airflow imports and calls either, whatever
it is, in a process with the database of Airflow and its keys: ``subprocess.Popen`` would do. Here
it must be a trigger, or a notifier, of code that no task can change. And only the task that asks
for an approval waits for it, and answers it after its time.

``python -m tradewind.orchestration.runtime.triggerer`` takes the arguments of
``airflow triggerer``.
"""

import sys
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from airflow.jobs import triggerer_job_runner
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.triggers.base import BaseTrigger

from tradewind.errors import OrchestrationError
from tradewind.foreign import ForeignNames
from tradewind.settings import load_settings
from tradewind.stack.confined import code_folders

__all__ = ["FOREIGN", "TrustingRunner", "main"]

_RUNNER: Final = "airflow.jobs.triggerer_job_runner:TriggerRunner"
FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-core",
        (
            _RUNNER,
            f"{_RUNNER}.get_trigger_by_classpath",
            f"{_RUNNER}.run_trigger",
            "airflow.triggers.base:BaseTrigger",
            "airflow.triggers.callback:CallbackTrigger",
        ),
        "run no code of a task's choice beside Airflow's keys",
        "the triggerer does not start",
    ),
)
_ALERTS: Final = "tradewind.orchestration.alerts."


class TrustingRunner(TriggerRunner):
    """Airflow's, for triggers of trusted code."""

    def get_trigger_by_classpath(self, classpath: str) -> type[BaseTrigger]:
        """Return the class, imported only where it is code that no task can change.

        Raises
        ------
        OrchestrationError
            If it is other code, or no trigger.
        """
        if classpath not in self.trigger_cache:
            _require_trusted(classpath)
            found: Any = super().get_trigger_by_classpath(classpath)
            if not (isinstance(found, type) and issubclass(found, BaseTrigger)):
                del self.trigger_cache[classpath]
                raise OrchestrationError(f"{classpath} is no trigger")
        return super().get_trigger_by_classpath(classpath)

    async def run_trigger(
        self,
        trigger_id: int,
        trigger: BaseTrigger,
        *rest: Any,  # noqa: ANN401 - as Airflow passes them
        **more: Any,  # noqa: ANN401
    ) -> None:
        """Run a trigger, unless what it is to do is none of its task's business.

        Raises
        ------
        OrchestrationError
            If it calls what is no notifier, or answers for another task.
        """
        from airflow.triggers.callback import CallbackTrigger

        if isinstance(trigger, CallbackTrigger):
            _require_notifier(trigger.callback_path)
        answered = getattr(trigger, "ti_id", None)  # of an approval
        if answered is not None:
            own = getattr(trigger.task_instance, "id", None)
            if str(answered) != str(own):
                raise OrchestrationError(
                    f"the task {own} may not wait for, or answer, the approval {answered}"
                )
        await super().run_trigger(trigger_id, trigger, *rest, **more)


def _require_trusted(path: str) -> None:
    """Refuse what lies elsewhere than code that no task can change, without importing it."""
    folders = code_folders(load_settings())
    if not _lies_in(path, folders):
        raise OrchestrationError(
            f"{path} is not of an installed package or of plugins/: a module that a task could "
            "change is not run beside Airflow's keys. Move it there"
        )


def _require_notifier(path: str) -> None:
    from airflow.sdk import BaseNotifier

    _require_trusted(path)
    if path.startswith(_ALERTS) or _lies_in(path, [load_settings().home / "plugins"]):
        return
    module, _, name = path.rpartition(".")
    found = getattr(import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise OrchestrationError(
            f"{path} is no notifier: a deadline calls a notifier, or a function of a module in "
            "plugins/"
        )


def _lies_in(path: str, folders: Iterable[Path]) -> bool:
    """Tell whether the package that a dotted path begins with lies in one of some folders."""
    try:
        spec = find_spec(path.partition(".")[0])
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = list(spec.submodule_search_locations or [spec.origin or ""])
    known = [folder.resolve() for folder in folders]
    return bool(places) and all(
        any(Path(place).resolve().is_relative_to(folder) for folder in known) for place in places
    )


def main() -> None:
    """Run ``airflow triggerer`` with the arguments of this process.

    Raises
    ------
    OrchestrationError
        If this Airflow has not what is needed to look at triggers.
    """
    if missing := FOREIGN[0].missing():
        raise OrchestrationError(missing)
    from airflow.__main__ import main as airflow

    triggerer_job_runner.TriggerRunner = TrustingRunner  # type: ignore[misc]
    sys.argv = ["airflow", "triggerer", *sys.argv[1:]]
    airflow()


if __name__ == "__main__":
    main()
