"""Processes that the kernel ends with the one that started them.

A process that is killed ends nothing that it started. Whatever runs code of the user's own, which
may never end, asks for this before it begins.
"""

import ctypes
import os
import signal
from typing import Final

__all__ = ["end_with"]

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; at once if it is gone.

    The kernel waits for the end of the *thread* that started this process. So that thread must live
    as long as its process, or wait for this one.

    Parameters
    ----------
    parent : int
        Id of the process that started this one, found out before this one began.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the kernel was asked
        os.kill(os.getpid(), signal.SIGKILL)
