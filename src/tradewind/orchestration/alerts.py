"""Who is told when a run fails or is late: a log line always, a web hook where one is set.

The hook gets ``{"text": ...}``, which Slack, Mattermost, Teams and most others understand. An
alert that cannot be delivered is an error in the log, and never a second failure of the run.
"""

import logging
from typing import Any

from tradewind.settings import load_settings

__all__ = ["run_is_late", "task_failed"]

log = logging.getLogger(__name__)

_TIMEOUT_SECONDS = 10.0


def task_failed(context: Any) -> None:  # noqa: ANN401 - Airflow's context is a wide mapping
    """Tell that a task has failed for good."""
    ti = context["ti"]
    text = (
        f"{ti.dag_id}: task {ti.task_id} failed in run {ti.run_id} (try {ti.try_number}): "
        f"{context.get('exception')!r}"
    )
    log.error("%s", text)
    url = load_settings().alert_url
    if url is None:
        return
    import httpx

    try:
        httpx.post(url, json={"text": text}, timeout=_TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.error("the alert could not be delivered: %s", _told(error))  # noqa: TRY400


def _told(error: Exception) -> str:
    """Return what went wrong without the hook's address, in which most services put a secret."""
    import httpx

    kind = type(error).__name__
    if isinstance(error, httpx.HTTPStatusError):
        return f"{kind} {error.response.status_code}; see TRADEWIND_ALERT_URL"
    return f"{kind}; see TRADEWIND_ALERT_URL"


async def run_is_late(**kwargs: Any) -> None:  # noqa: ANN401 - as Airflow calls it
    """Tell that a run has not ended by its deadline; perhaps it waits for an approval."""
    run = kwargs.get("context", {}).get("dag_run", {})
    text = f"{run.get('dag_id')}: run {run.get('dag_run_id')} has not ended by its deadline"
    log.error("%s", text)
    url = load_settings().alert_url
    if url is None:
        return
    import httpx

    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
            (await client.post(url, json={"text": text})).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        log.error("the alert could not be delivered: %s", _told(error))  # noqa: TRY400
