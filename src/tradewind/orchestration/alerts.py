"""Who is told when a run fails or is late: a log line always, a web hook where one is set.

A task that fails with an error of its own tells it itself. For one that fails before its first
line, or is killed, whoever noticed it does: its supervisor
(`tradewind.orchestration.runtime.task_process`), or the scheduler by way of the triggerer
(`tradewind.orchestration.runtime.unheard`).

The hook gets one JSON object; docs/operations.md has its schema. Its field ``text`` is the whole
message in a line, which Slack, Mattermost and most others show; the other fields are for programs.
An alert that cannot be delivered is an error in the log, and never a second failure of the run.
"""

import logging
import os
import re
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from tradewind.errors import SettingsError
from tradewind.settings import load_settings
from tradewind.strict_json import dumps

__all__ = ["run_is_late", "task_died", "task_failed", "task_never_began"]

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0
_ENDED: Final = frozenset({"success", "failed"})
_REASON: Final = 300  # characters of a reason; the run's page has all of it
_TEXT: Final = 1000
_JSON: Final = {"Content-Type": "application/json"}
_PASSWORD_IN_URL: Final = re.compile(r"(?<=://)[^\s/@]+:[^\s/]*@")
_SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN|_KEY|ALERT_URL")
_SHORTEST_SECRET: Final = 8  # characters; what is shorter would be found in any text


def task_failed(context: Any) -> None:  # noqa: ANN401 - Airflow's context is a wide mapping
    """Tell that a task has failed for good.

    Without an exception it is the DAG processor that asks, for a task which could not do so itself:
    whoever noticed that has told it, with the reason.
    """
    ti, error = context["ti"], context.get("exception")
    if error is not None:
        _tell(_of_task(ti.dag_id, ti.run_id, ti.task_id, ti.try_number, _reason(error)))


def task_died(*, dag_id: str, run_id: str, task_id: str, try_number: int, reason: str) -> None:
    """Tell that a task has failed for good whose process could not tell it."""
    _tell(_of_task(dag_id, run_id, task_id, try_number, _line(reason)))


async def task_never_began(
    *, dag_id: str, run_id: str, task_id: str, try_number: int, reason: str
) -> None:
    """Tell the same in the triggerer, which waits for no answer."""
    await _tell_meanwhile(_of_task(dag_id, run_id, task_id, try_number, _line(reason)))


async def run_is_late(**kwargs: Any) -> None:  # noqa: ANN401 - as Airflow calls it
    """Tell that a run has not ended by its deadline, if so; perhaps it waits for an approval."""
    run = kwargs.get("context", {}).get("dag_run", {})
    if run.get("state") in _ENDED:  # Airflow asks of runs that failed, too
        return
    dag_id, run_id = str(run.get("dag_id")), str(run.get("dag_run_id"))
    payload = _payload(
        "run_late",
        f"{dag_id}: run {run_id} has not ended by its deadline",
        dag_id=dag_id,
        run_id=run_id,
        task_id=None,
        try_number=None,
        reason="not ended by its deadline; perhaps it waits for an approval",
    )
    await _tell_meanwhile(payload)


def _of_task(
    dag_id: str, run_id: str, task_id: str, try_number: int, reason: str
) -> dict[str, Any]:
    return _payload(
        "task_failed",
        f"{dag_id}: task {task_id} failed in run {run_id} (try {try_number})",
        dag_id=dag_id,
        run_id=run_id,
        task_id=task_id,
        try_number=try_number,
        reason=reason,
    )


def _tell(payload: dict[str, Any]) -> None:
    log.error("%s", payload["text"])
    url = _hook()
    if url is None:
        return
    import httpx

    try:
        httpx.post(
            url, content=dumps(payload), headers=_JSON, timeout=_TIMEOUT_SECONDS
        ).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.error("the alert could not be delivered: %s", _told(error))  # noqa: TRY400


async def _tell_meanwhile(payload: dict[str, Any]) -> None:
    log.error("%s", payload["text"])
    url = _hook()
    if url is None:
        return
    import httpx

    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            answer = await client.post(url, content=dumps(payload), headers=_JSON)
            answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.error("the alert could not be delivered: %s", _told(error))  # noqa: TRY400


def _hook() -> str | None:
    try:
        return load_settings().alert_url
    except SettingsError as error:  # changed since the stack was started
        log.error("the alert could not be delivered: %s", error)  # noqa: TRY400
        return None


def _payload(event: str, what: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return what the hook is told; names never change, and what is unknown is null."""
    url = _page(fields["dag_id"], fields["run_id"], fields["task_id"])
    why = f": {fields['reason']}" if event == "task_failed" else ""
    text = f"{_short(what + why, _TEXT - len(url) - 1)} {url}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"text": text, "event": event, **fields, "url": url, "at": at}


def _page(dag_id: str, run_id: str, task_id: str | None) -> str:
    """Return the address of a run, or of its task, on Airflow's page."""
    from airflow.sdk.configuration import conf

    base = str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")
    run = f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return run if task_id is None else f"{run}/tasks/{quote(task_id, safe='')}"


def _reason(error: object) -> str:
    """Return in a line why a task failed, without passwords; a traceback's last line says it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    traceback = lines and lines[0].startswith("Traceback (most recent call last)")
    told = (lines[-1] if traceback else lines[0]) if lines else "without a message"
    return _line(f"{type(error).__name__}: {told}")


def _line(reason: str) -> str:
    return _short(_without_secrets(" ".join(reason.split())), _REASON)


def _without_secrets(text: str) -> str:
    text = _PASSWORD_IN_URL.sub("***@", text)
    for name, value in os.environ.items():
        secrets = [value] if _SECRET_NAME.search(name) else [_password(value)]
        for secret in secrets:
            if secret is not None and len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
    return text


def _password(value: str) -> str | None:
    """Return the password in an address, such as a database's, if it is one and has one."""
    try:
        return urlsplit(value).password if "://" in value else None
    except ValueError:
        return None


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def _told(error: Exception) -> str:
    """Return what went wrong without the hook's address, in which most services put a secret."""
    import httpx

    kind = type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        return f"{kind} {error.response.status_code}; see TRADEWIND_ALERT_URL"
    return f"{kind}; see TRADEWIND_ALERT_URL"
