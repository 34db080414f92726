"""A run is asked for with moments that have been and numbers that every reader knows."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.orchestration.runtime.asked_runs import ChecksAskedRuns, why_refused

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TRAIN = "/api/v2/dags/train_momentum/dagRuns"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ('{"logical_date": "9999-12-31T00:00:00Z"}', "logical_date: 9999.* is still to come"),
        ('{"logical_date": "9999-12-31T23:59:59.999999-12:00"}', "logical_date: 9999"),
        ('{"logical_date": "2026-11-30T12:00:00Z"}', "let no other of its DAG begin"),
        ('{"logical_date": 20000000000}', "logical_date: 20000000000 is still to come"),
        ('{"logical_date": "0001-01-01T00:00:00Z"}', "is before 1900-01-01"),
        ('{"logical_date": null, "run_after": "2126-11-29T12:00:00Z"}', "run_after: .*year ahead"),
        ('{"to_date": "9999-12-31T00:00:00Z"}', "to_date: .*year ahead"),
        ('{"conf": {"x": 1%s}}' % ("0" * 400), r"conf\.x: a whole number has 63 bits"),
        ('{"conf": {"x": 1%s}}' % ("0" * 5000), "a number is too large"),
        ('{"conf": {"x": [1, {"y": 1e400}]}}', r"conf\.x\.1\.y: must be a finite number, not inf"),
        ('{"conf": {"x": NaN}}', r"conf\.x: must be a finite number, not nan"),
        ('{"conf": {"x": "a\\u0000b"}}', r"conf\.x: a text holds \\u0000"),
        ('{"conf": {"a\\u0000b": 1}}', r"conf: a name: a text holds \\u0000"),
        ('{"note": "\\ud800"}', r"note: a text holds \\ud800"),
        ('{"conf": %s}' % ('{"a":' * 100 + "1" + "}" * 100), "nested too deeply"),
        ('{"conf": %s}' % ("[" * 200_000), "nested too deeply"),
        ('{"conf": {"x": "%s"}}' % ("x" * 2_000_000), "larger than 1024 KiB"),
    ],
)  # fmt: skip
def test_nonsense_is_refused_by_name(asked: str, told: str) -> None:
    assert re.search(told, why_refused(asked.encode(), NOW))


@pytest.mark.parametrize(
    "asked",
    [
        '{"logical_date": null, "conf": {}}',
        '{"logical_date": "2026-11-29T12:04:00Z"}',  # of a page whose clock is ahead
        '{"logical_date": "2010-01-04T00:00:00Z", "conf": {"x": [1, -2.5, "y", null, true]}}',
        '{"logical_date": "nonsense"}',  # Airflow's to refuse
        '{"run_after": "2026-12-24T00:00:00Z"}',
        "[]",
        "no JSON",
        "",
    ],
)
def test_all_else_is_airflow_s_to_judge(asked: str) -> None:
    assert why_refused(asked.encode(), NOW) == ""


def answer(path: str, body: bytes, *, verb: str = "POST") -> tuple[int, bytes]:
    """Post in two pieces; return status and what the application behind was handed."""
    pieces = [
        {"type": "http.request", "body": body[:5], "more_body": True},
        {"type": "http.request", "body": body[5:], "more_body": False},
    ]
    sent: list[dict[str, Any]] = []
    handed = b""

    async def receive() -> Any:
        return pieces.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(_: Any, receive: Any, send: Any) -> None:
        nonlocal handed
        more = True
        while more:
            message = await receive()
            handed += message["body"]
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})

    scope = {"type": "http", "method": verb, "path": path}
    asyncio.run(ChecksAskedRuns(app)(scope, receive, send))
    return sent[0]["status"], handed or sent[1]["body"]


def test_a_refusal_is_an_answer_of_airflow_s_form() -> None:
    ahead = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    status, body = answer(TRAIN, json.dumps({"logical_date": ahead}).encode())
    assert status == 400
    assert "still to come" in json.loads(body)["detail"]


@pytest.mark.parametrize(
    ("path", "verb"),
    [
        (TRAIN, "POST"),
        ("/api/v2/assets/1/materialize", "POST"),
        ("/execution/dag-runs/a/b", "POST"),
    ],
)
def test_what_is_sound_is_handed_on_whole(path: str, verb: str) -> None:
    body = b'{"logical_date": null, "conf": {"x": 1}}'
    assert answer(path, body, verb=verb) == (200, body)


def test_other_requests_are_handed_on_unread() -> None:
    body = b'{"logical_date": "9999-12-31T00:00:00Z"}'
    assert answer("/api/v2/variables", body) == (200, body)
    assert answer(TRAIN, body, verb="PATCH") == (200, body)
