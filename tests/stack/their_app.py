"""A team's Celery app as its documentation begins one: database 0, no prefix, defaults."""

import os

from celery import Celery
from redis import Redis

REDIS = os.environ["THEIR_REDIS"]

app = Celery("their_app", broker=REDIS, backend=REDIS)


@app.task  # type: ignore[untyped-decorator]
def note(number: int) -> int:
    """Write down that this was done; a second time shows."""
    with Redis.from_url(REDIS) as redis:
        redis.hincrby("done", str(number), 1)
    return number
