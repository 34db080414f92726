"""Landlock: a process gives up what it may read, write and signal, for itself and what it starts.

The kernel's sandbox for programs without rights of their own (Linux 5.13; signals: 6.12). It knows
no exception from a folder, only folders that stay open. So every folder beside the way to what is
hidden stays open, as it is at that moment: what is made in one on that way afterwards cannot be
used, and nothing can be made there.
"""

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["confine", "version"]

# Numbers of the kernel's interface; the same on all machines.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVILEGES: Final = 38
# Rights to files that an ABI knows, as bits: executing, writing, reading, then those to folders.
_BITS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_READ_DIR: Final = 1 << 3
_READING: Final = 1 << 0 | 1 << 2 | _READ_DIR
_OF_FILES: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
# What root keeps: to use files as every process of root does, and to change its user. Capabilities
# to look at other processes would pass by Landlock.
_KEPT: Final = (0, 1, 3, 4, 5, 6, 7)  # CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID
_CAPABILITIES: Final = 0x20080522
_DROP_BOUND: Final = 24
# From ABI 6 on: no abstract sockets and no signals of processes not confined with this one.
_SCOPES: Final = 1 << 0 | 1 << 1
_SCOPED: Final = 6


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


_libc = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """Return the version of the kernel's Landlock, 0 where it has none or it is switched off."""
    return max(0, int(_libc.syscall(_CREATE, None, 0, _VERSION_FLAG)))


def confine(hidden: Iterable[Path], read_only: Iterable[Path] = ()) -> bool:
    """Let this process, and all that it starts, see no more of some files and folders.

    Nor may it look into, or signal, any process that is not confined with it. What it has open, it
    keeps.

    Parameters
    ----------
    hidden : iterable of Path
        Absolute and without symbolic links.
    read_only : iterable of Path
        Can be read and executed, not written; likewise.

    Returns
    -------
    bool
        Whether the kernel does so.

    Raises
    ------
    OSError
        If it has Landlock and refuses.
    """
    abi = version()
    if not abi:
        return False
    rights = (1 << _BITS.get(abi, 16)) - 1
    ruleset = _Ruleset(rights, 0, _SCOPES if abi >= _SCOPED else 0)
    # An older kernel refuses a structure that is longer than its own.
    size = 24 if abi >= _SCOPED else 8
    rules = _checked(_libc.syscall(_CREATE, ctypes.byref(ruleset), size, 0))
    try:
        _allow(rules, "/", _READ_DIR, folder=True)  # names alone, of all folders
        closed, kept = set(map(str, hidden)), set(map(str, read_only))
        for path in kept:
            _allow(rules, path, _READING, folder=Path(path).is_dir())
        for entry in _beside(closed | kept):
            _allow(rules, entry.path, rights, folder=entry.is_dir(follow_symlinks=False))
        _checked(_libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
        _checked(_libc.syscall(_RESTRICT, rules, 0))
    finally:
        os.close(rules)
    if os.geteuid() == 0:
        _give_up_capabilities()
    return True


def _give_up_capabilities() -> None:
    number = 0
    while number in _KEPT or _libc.prctl(_DROP_BOUND, number, 0, 0, 0) == 0:
        number += 1  # up to the first that the kernel does not know
    kept = sum(1 << each for each in _KEPT)
    header = _CapabilityHeader(_CAPABILITIES, 0)
    sets = (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)  # effective, permitted, inheritable, twice
    _checked(_libc.capset(ctypes.byref(header), ctypes.byref(sets)))


def _beside(paths: set[str]) -> Iterator["os.DirEntry[str]"]:
    """Yield what is beside the ways to some paths, with all that is below it."""
    on_the_way = {str(parent) for path in paths for parent in Path(path).parents} or {"/"}
    for folder in on_the_way - paths:
        with suppress(OSError):  # gone, or closed to this user anyway
            for entry in os.scandir(folder):
                apart = entry.path not in on_the_way and entry.path not in paths
                if apart and not entry.is_symlink():
                    yield entry


def _allow(rules: int, path: str, rights: int, *, folder: bool) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # removed meanwhile
        return
    try:
        rule = _PathBeneath(rights if folder else rights & _OF_FILES, descriptor)
        _checked(_libc.syscall(_ADD, rules, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return result
