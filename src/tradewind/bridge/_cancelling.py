"""Cancelling what talks to Redis."""

import asyncio

__all__ = ["heed_cancellation"]


def heed_cancellation() -> None:
    """End a task whose cancellation was lost.

    redis-py sends inside `asyncio.wait_for`, which before Python 3.12 loses a cancellation that
    comes in the moment it ends. An endless loop must check for it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
