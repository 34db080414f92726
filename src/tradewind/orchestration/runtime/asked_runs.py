"""Checks a run that is begun by hand: its date must be past, and its numbers readable.

Airflow accepts any. A run with a future logical date waits for it. Our DAGs do one run at a time,
so no other can begin until then: for eight thousand years, if the year was mistyped. A number that
no task can read fails the run in a worker, and only the worker's log says why.

Here the web server refuses it. A run that is made past the web server, as by ``airflow dags
trigger``, fails when it begins (`tradewind.orchestration.runtime.begun_runs`).
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["FIRST", "ChecksAskedRuns", "what_is_wrong", "why_refused"]

_ASKS: Final = re.compile(
    r"/(?:api/v2/(?:dags/[^/]+/dagRuns|assets/[^/]+/materialize|backfills(?:/dry_run)?)"
    r"|execution/dag-runs/[^/]+/[^/]+)$"
)
_LARGEST: Final = 1024 * 1024
_DEEPEST: Final = 50
_MOST: Final = 2**63 - 1  # the largest that all readers of JSON can read
FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
"""The earliest date that a run can be of."""
_CLOCKS_APART: Final = timedelta(minutes=5)
_YEAR: Final = timedelta(days=366)
_AHEAD: Final = {
    "logical_date": _CLOCKS_APART, "run_after": _YEAR, "data_interval_start": _YEAR,
    "data_interval_end": _YEAR, "from_date": _YEAR, "to_date": _YEAR,
}  # fmt: skip
_NO_TEXT: Final = re.compile("[\0\ud800-\udfff]")
_MOMENT: Final = TypeAdapter(datetime)


def why_refused(content: bytes, now: datetime) -> str:
    """Return why a run cannot be begun; empty where it can, or where Airflow says why not.

    Parameters
    ----------
    content : bytes
        What was posted.
    now : datetime
        With a time zone.
    """
    if len(content) > _LARGEST:
        return f"larger than {_LARGEST // 1024} KiB; hand over the name of a file instead"
    try:
        asked = json.loads(content)
    except RecursionError:
        return f"nested too deeply: {_DEEPEST} levels at most"
    except ValueError as error:
        # A number of more digits than Python reads; anything else is not JSON, and Airflow refuses
        # it.
        return f"a number is too large: {error}" if "digits" in str(error) else ""
    return what_is_wrong(asked, now) if isinstance(asked, dict) else ""


def what_is_wrong(asked: Mapping[str, Any], now: datetime) -> str:
    """Return the first thing that is wrong with what a run is asked for with; empty if nothing is.

    Parameters
    ----------
    asked : mapping
        Fields as Airflow's interface names them, such as ``logical_date`` and ``conf``.
    now : datetime
        With a time zone.
    """
    problems = (why for name, value in asked.items() for why in _wrong(value, name, 0))
    dates = (_date(name, asked.get(name), now) for name in _AHEAD)
    return next(problems, "") or next(filter(None, dates), "")


def _wrong(value: Any, place: str, depth: int) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if depth > _DEEPEST:
        yield f"{place[:100]}: nested too deeply: {_DEEPEST} levels at most"
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _wrong(key, f"{place}: a name", depth)
            yield from _wrong(inner, f"{place}.{key}", depth + 1)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _wrong(inner, f"{place}.{number}", depth + 1)
    elif isinstance(value, str) and (found := _NO_TEXT.search(value)):
        yield f"{place}: a text holds \\u{ord(found[0]):04x}, which cannot be stored: take it out"
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{place}: must be a finite number, not {value}; as text it would be kept as it is"
    elif isinstance(value, int) and abs(value) > _MOST:
        yield (
            f"{place}: a whole number has 63 bits at most, this one about "
            f"{abs(value).bit_length()}; write it as text"
        )


def _date(name: str, value: object, now: datetime) -> str:
    if value is None:
        return ""
    try:
        asked = _MOMENT.validate_python(value)
    except ValidationError:
        return ""  # Airflow says so
    asked = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    if asked < FIRST:
        return f"{name}: {value} is before {FIRST.date()}: correct the year"
    if asked - now <= _AHEAD[name]:
        return ""
    if name == "logical_date":
        return (
            f"logical_date: {value} is still to come, and the run would wait for it and let no "
            "other of its DAG begin; leave it empty (null), or name a moment that has been"
        )
    return f"{name}: {value} is more than a year ahead: correct the year"


class ChecksAskedRuns:
    """Middleware of Airflow's web server that answers 400 to a request for an impossible run.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: "ASGIApp") -> None:
        self._app = app

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Check what a request asks for, and pass it on."""
        if scope["type"] != "http" or scope["method"] != "POST" or not _ASKS.search(scope["path"]):
            await self._app(scope, receive, send)
            return
        content, more = b"", True
        while more and len(content) <= _LARGEST:
            message = await receive()
            if message["type"] != "http.request":  # the client has gone
                return
            content += message.get("body", b"")
            more = message.get("more_body", False)
        if why := why_refused(content, datetime.now(UTC)):
            from starlette.responses import JSONResponse  # of the web server alone

            await JSONResponse({"detail": why}, 400)(scope, receive, send)
            return
        given = False

        async def again() -> "Message":
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": content, "more_body": False}

        await self._app(scope, again, send)
