"""A task of any Celery app as a task of Airflow."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferralTimeout

from tradewind.bridge._attempts import Attempt
from tradewind.bridge._celery import RemoteApp
from tradewind.bridge._outcome import SUCCESS, Outcome
from tradewind.bridge.errors import BridgeError, RemoteTaskFailedError, RemoteTaskRevokedError
from tradewind.bridge.hook import CeleryHook
from tradewind.bridge.triggers import CeleryTaskTrigger, stored_result

__all__ = ["CeleryTaskOperator"]

_STORED = "celery_task"


class CeleryTaskOperator(BaseOperator):
    """Sends a task to a Celery app by name and waits for it without a worker's slot.

    A retry finds the task that an earlier try has sent. It waits for it, or takes its result, and
    sends another only if that one failed. When the Airflow task is cleared, a remote task that
    still runs is revoked, and a new one is sent. When it is marked, or times out, the remote task
    is revoked.

    Parameters
    ----------
    app : str
        Id of a connection of type `celery`.
    task : str
        Name that the task has in its app.
    args, kwargs : sequence, mapping
        The task's arguments; JSON.
    queue : str
        Queue of the *app*; the connection's default if not given. The start of this task runs on
        Airflow's own queue, `airflow_queue`.
    send_options : mapping
        Further options of Celery's `send_task`: `priority`, `countdown`, `expires`, `headers`.
    deferrable : bool
        False where there is no triggerer: the task then waits in a worker's slot.
    final_errors : sequence of str
        Names of remote exceptions that a retry cannot mend: the task fails at once.
    airflow_queue : str
        Queue of Airflow's workers.

    Raises
    ------
    RemoteTaskFailedError
        With the remote exception's type, message and traceback.
    RemoteTaskRevokedError
        If somebody revoked the remote task, or it expired.
    """

    # Not "kwargs": Airflow takes that for a field of its own, and refuses the DAG.
    template_fields: Sequence[str] = ("task", "task_args", "task_kwargs", "celery_queue")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "task_args": "json",
        "task_kwargs": "json",
    }
    ui_color = "#ddf0dd"

    def __init__(
        self,
        *,
        app: str,
        task: str,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        celery_queue: str | None = None,
        send_options: Mapping[str, Any] | None = None,
        deferrable: bool = True,
        final_errors: Sequence[str] = (),
        airflow_queue: str | None = None,
        **rest: Any,
    ) -> None:
        # Not a named parameter: Airflow fills those from a DAG's default_args, where `queue` is
        # Airflow's. `partial` has put the app's queue into `celery_queue`.
        if celery_queue is None:
            celery_queue = rest.pop("queue", None)
        if airflow_queue is not None:
            rest["queue"] = airflow_queue
        super().__init__(**rest)
        self.app = app
        self.task = task
        self.task_args = args
        self.task_kwargs = kwargs or {}
        self.celery_queue = celery_queue or None
        self.send_options = send_options or {}
        self.deferrable = deferrable
        self.final_errors = final_errors
        self._sent: str | None = None
        self._killed = False

    @classmethod
    def partial(
        cls, *, queue: str | None = None, airflow_queue: str | None = None, **kwargs: Any
    ) -> Any:
        """Begin a mapped operator; `queue` is the app's, as in the constructor."""
        if airflow_queue is not None:
            kwargs["queue"] = airflow_queue
        return super().partial(celery_queue=queue or "", **kwargs)

    def execute(self, context: Any) -> Any:
        """Send the task, unless an earlier try has, and wait for it."""
        with CeleryHook(self.app).get_conn() as app:
            remote_id, outcome = self._begin(app, context)
            if outcome is not None:
                return self._finish(app, context, remote_id, outcome)
            if not self.deferrable:
                raw = asyncio.run(stored_result(app.address, remote_id))
                return self._finish(app, context, remote_id, self._outcome(app, remote_id, raw))
        if self._killed:
            raise RemoteTaskRevokedError(
                f"{self.task} ({remote_id}) was revoked: killed by Airflow"
            )
        return self.defer(
            trigger=CeleryTaskTrigger(
                self.app,
                remote_id,
                ends_task=self._nothing_is_left_to_do(),
                pushes_result=bool(self.do_xcom_push),
            ),
            method_name="execute_complete",
            timeout=self._time_left(context),
        )

    def execute_complete(self, context: Any, event: Mapping[str, Any]) -> Any:
        """Return what the remote task returned, or fail as it did."""
        remote_id, stored = event["remote_id"], event["stored"]
        with CeleryHook(self.app).get_conn() as app:
            raw = None if stored is None else stored.encode()
            return self._finish(app, context, remote_id, self._outcome(app, remote_id, raw))

    def resume_execution(
        self,
        next_method: str,
        next_kwargs: dict[str, Any] | None,
        context: Any,
    ) -> Any:
        """Revoke the remote task if the wait for it took too long."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            attempt = Attempt.from_stored(context["task_state_store"].get(_STORED))
            if attempt is not None:
                self.log.info("%s took longer than %s", self.task, self.execution_timeout)
                self._revoke(attempt.remote_id(context["ti"]))
                self._close(context, attempt)
            raise

    def on_kill(self) -> None:
        """Revoke the remote task: the Airflow task is killed, or has run out of time."""
        self._killed = True
        if self._sent is not None:
            self._revoke(self._sent)

    def _begin(self, app: RemoteApp, context: Any) -> tuple[str, Outcome | None]:
        """Find the remote task of an earlier try, or send one; return its id, and how it ended."""
        ti, store = context["ti"], context["task_state_store"]
        found = Attempt.from_stored(store.get(_STORED))
        if found is None:
            attempt = Attempt(ti.max_tries, 1, datetime.now(UTC).isoformat())
        elif found.generation != ti.max_tries:
            old = found.remote_id(ti)
            if not found.ended and app.outcome(old) is None:
                self.log.info("the task was cleared: revoking %s", old)
                app.revoke(old)
            attempt = Attempt(ti.max_tries, 1, found.born)
        elif found.ended:
            attempt = found.next()
        else:
            attempt = found
            remote_id = attempt.remote_id(ti)
            outcome = app.outcome(remote_id)
            if outcome is not None and outcome.state == SUCCESS:
                self.log.info("an earlier try's %s has ended well", remote_id)
                return remote_id, outcome
            if outcome is not None or app.receipt(remote_id) == "revoked":
                self.log.info("an earlier try's %s has not ended well", remote_id)
                attempt = found.next()
        remote_id = attempt.remote_id(ti)
        # Stored before the task is sent: whatever is killed from here on, the next try knows the
        # id.
        store.set(_STORED, attempt.as_stored())
        self._sent = remote_id
        app.send(
            remote_id, self.task, self.task_args, self.task_kwargs,
            queue=self.celery_queue, options=self.send_options,
        )  # fmt: skip
        self.log.info(
            "%s is sent to %s as %s, queue %s",
            self.task, self.app, remote_id, self.celery_queue or app.address.default_queue,
        )  # fmt: skip
        return remote_id, None

    def _finish(
        self,
        app: RemoteApp,
        context: Any,
        remote_id: str,
        outcome: Outcome,
    ) -> Any:
        self._sent = None
        app.settle(remote_id)
        if outcome.state != SUCCESS:
            attempt = Attempt.from_stored(context["task_state_store"].get(_STORED))
            if attempt is not None:
                self._close(context, attempt)
        try:
            return outcome.value(self.task, remote_id)
        except RemoteTaskFailedError as error:
            if error.exc_type in self.final_errors:
                raise AirflowFailException(str(error)) from error
            raise

    @staticmethod
    def _outcome(app: RemoteApp, remote_id: str, raw: bytes | None) -> Outcome:
        if raw is not None:
            return Outcome.from_stored(raw)
        outcome = app.outcome(remote_id)
        if outcome is None:
            raise BridgeError(
                f"the result of {remote_id} is gone: keep results longer (`result_expires`)"
            )
        return outcome

    @staticmethod
    def _close(context: Any, attempt: Attempt) -> None:
        ended = Attempt(attempt.generation, attempt.number, attempt.born, ended=True)
        context["task_state_store"].set(_STORED, ended.as_stored())

    def _revoke(self, remote_id: str) -> None:
        self.log.info("revoking %s of %s", remote_id, self.app)
        with CeleryHook(self.app).get_conn() as app:
            app.revoke(remote_id)

    def _nothing_is_left_to_do(self) -> bool:
        """Whether the triggerer can end the task: after a success no worker has anything to do."""
        hooked = type(self).post_execute is not BaseOperator.post_execute
        return not (
            hooked
            or self._post_execute_hook
            or self.outlets
            or self.on_success_callback
            or self.multiple_outputs
            or type(self).execute_complete is not CeleryTaskOperator.execute_complete
        )

    def _time_left(self, context: Any) -> timedelta | None:
        if self.execution_timeout is None:
            return None
        started = context["ti"].start_date
        gone = datetime.now(UTC) - started if started else timedelta()
        return max(self.execution_timeout - gone, timedelta(seconds=1))
