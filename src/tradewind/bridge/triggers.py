"""The trigger that waits for a task of another app."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from tradewind.bridge._address import AppAddress
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge._outcome import SUCCESS, Outcome, state_of
from tradewind.bridge._watch import watcher
from tradewind.bridge.hook import CeleryHook
from tradewind.foreign import ForeignNames

__all__ = ["FOREIGN", "CeleryTaskTrigger", "stored_result"]

FOREIGN: Final = (
    ForeignNames(
        "apache-airflow-task-sdk",
        ("airflow.sdk.execution_time.task_runner:RuntimeTaskInstance.get_task_states",),
        "see whether a task still waits for its remote task before that is revoked",
        "a remote task is not revoked when its task is taken back",
    ),
)

# A larger result is fetched by the task that needs it, and does not pass through the database.
_CARRIED_BYTES = 32 * 1024
_DEFERRED = "deferred"
# asyncio itself holds only a weak reference to a task.
_killing: set[asyncio.Task[None]] = set()


class CeleryTaskTrigger(BaseTrigger):
    """Waits until a remote task has ended.

    Parameters
    ----------
    app : str
        Id of the connection.
    remote_id : str
        The task's id in its app.
    ends_task : bool
        Whether a success ends the Airflow task from here, without a worker.
    pushes_result : bool
        Whether the result is pushed as XCom then.
    """

    def __init__(
        self, app: str, remote_id: str, *, ends_task: bool = False, pushes_result: bool = True
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.app = app
        self.remote_id = remote_id
        self.ends_task = ends_task
        self.pushes_result = pushes_result
        self._ended = False

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, with which another triggerer goes on waiting."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "app": self.app,
                "remote_id": self.remote_id,
                "ends_task": self.ends_task,
                "pushes_result": self.pushes_result,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event when the remote task has ended."""
        address = await CeleryHook(self.app).aaddress()
        self.log.info("waiting for %s of %s", self.remote_id, self.app)
        raw = await stored_result(address, self.remote_id)
        self._ended = True
        yield self._event(raw)

    def _event(self, raw: bytes | None) -> TriggerEvent:
        if raw is None:  # only the backend knows it
            return TriggerEvent({"remote_id": self.remote_id, "stored": None})
        state = state_of(raw)
        self.log.info("%s of %s: %s", self.remote_id, self.app, state)
        if len(raw) > _CARRIED_BYTES:
            return TriggerEvent({"remote_id": self.remote_id, "stored": None})
        plain, result = Outcome.plain_result(raw) if state == SUCCESS else (False, None)
        if self.ends_task and plain:
            pushed = self.pushes_result and result is not None
            return TaskSuccessEvent(xcoms={"return_value": result} if pushed else None)
        return TriggerEvent(
            {"remote_id": self.remote_id, "stored": raw.decode(errors="backslashreplace")}
        )

    async def on_kill(self) -> None:
        """Revoke the remote task: a user has cleared or marked the Airflow task."""
        # In a task of its own: Airflow 3.3 cancels this one again in each of its rounds, so that a
        # revoke that takes longer than one would never end.
        killing = asyncio.create_task(self._revoke_unless_deferred())
        _killing.add(killing)
        killing.add_done_callback(_killing.discard)
        await asyncio.shield(killing)

    async def _revoke_unless_deferred(self) -> None:
        # The triggerer also ends triggers that another one has taken over.
        if self._ended or await self._still_deferred():
            return
        self.log.info("revoking %s of %s", self.remote_id, self.app)
        address = await CeleryHook(self.app).aaddress()
        await asyncio.to_thread(_revoke, address, self.remote_id)

    async def _still_deferred(self) -> bool:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        if ti is None:
            return False
        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
            map_index=ti.map_index,
        )
        return any(state == _DEFERRED for run in states.values() for state in run.values())


async def stored_result(address: AppAddress, remote_id: str) -> bytes | None:
    """Wait for the end of a remote task; return None where only Celery can tell the result."""
    if address.has_redis_results:
        return await watcher(address).wait(remote_id)
    while True:
        if await asyncio.to_thread(_has_ended, address, remote_id):
            return None
        await asyncio.sleep(address.poll_seconds)


def _has_ended(address: AppAddress, remote_id: str) -> bool:
    with RemoteApp(address) as app:
        return app.outcome(remote_id) is not None


def _revoke(address: AppAddress, remote_id: str) -> None:
    with RemoteApp(address) as app:
        app.revoke(remote_id)
