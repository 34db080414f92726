"""Cancelling what talks to Redis."""

import asyncio

__all__ = ["heed_cancellation"]


def heed_cancellation() -> None:
    """End a task that was told to, but did not hear it.

    redis-py sends inside `asyncio.wait_for`, which before Python 3.12 forgets a cancellation that
    comes in the moment it is done. An endless loop must ask again.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
