"""Ports that services listen on: free, or who has them."""

import errno
import os
import socket
from dataclasses import dataclass

from tradewind.errors import PortTakenError

__all__ = ["HOST", "Port", "require_free"]

HOST = "127.0.0.1"
"""Where every service listens, and where every client of ours looks for it."""


@dataclass(frozen=True)
class Port:
    """A port, and the setting that changes it."""

    number: int
    setting: str


def require_free(port: Port, service: str) -> None:
    """See that a service will be able to listen on its port.

    Raises
    ------
    PortTakenError
        If it cannot; says who has the port, where that is known, and how to mend it.
    """
    try:
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do
            trial.bind((HOST, port.number))
            trial.listen()
    except OSError as error:
        raise PortTakenError(
            f"port {port.number}, which {service} needs, {_reason(port.number, error)}, or set "
            f"{port.setting} to a free port (in the environment or in .env)."
        ) from error


def _reason(number: int, error: OSError) -> str:
    # Late: containers make their secrets with the modules that name ports, and have no psutil.
    from tradewind.stack.processes import holder_of_port

    if error.errno == errno.EACCES:
        return f"is reserved: user {os.geteuid()} may not open it. Run tradewind as root"
    if error.errno != errno.EADDRINUSE:
        return f"cannot be opened: {error.strerror or error}. Mend that"
    holder = holder_of_port(number)
    if holder is None:
        return "is taken by a process that cannot be told. Wait until it is free"
    pid, command = holder
    return (
        f"is taken by {command} (pid {pid}). Stop it" if pid else f"is taken by {command}. Stop it"
    )
