"""TLS for programs of PostgreSQL that have none, as those of its wheel.

They speak to a socket that only this user can reach, and what goes through it goes to the server
in TLS, checked as libpq checks it.
"""

import asyncio
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from tradewind.errors import BackupError

__all__ = ["through_tls"]

_ASKS_FOR_TLS: Final = struct.pack("!ii", 8, 80877103)  # as the protocol has it: SSLRequest
_PORT: Final = "5432"  # of a socket's name, which libpq makes of it
_CHUNK: Final = 1 << 16
_PATIENCE: Final = 5.0  # seconds
_INSISTS: Final = ("require", "verify-ca", "verify-full")


@contextmanager
def through_tls(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give libpq's variables by which a program without TLS reaches a server.

    Parameters
    ----------
    environment : mapping
        The same with ``PGSSLMODE``, and ``PGSSLROOTCERT`` where that verifies. Without a mode, or
        with ``disable``, they are given as they are.

    Raises
    ------
    BackupError
        If there is no place for the socket.
    """
    mode = environment.get("PGSSLMODE", "disable")
    if mode == "disable":
        yield dict(environment)
        return
    passage = _Passage(
        environment["PGHOST"], int(environment["PGPORT"]), mode, environment.get("PGSSLROOTCERT")
    )
    with tempfile.TemporaryDirectory(prefix="tradewind-") as folder, passage.open(Path(folder)):
        kept = {name: each for name, each in environment.items() if not name.startswith("PGSSL")}
        yield {**kept, "PGHOST": folder, "PGPORT": _PORT}


class _Passage:
    """Between a socket of this machine and a server."""

    def __init__(self, host: str, port: int, mode: str, ca: str | None) -> None:
        self._address = host, port
        self._insists = mode in _INSISTS
        self._context = ssl.create_default_context(cafile=ca)
        self._context.check_hostname = mode == "verify-full"
        if not mode.startswith("verify"):
            self._context.verify_mode = ssl.CERT_NONE

    @contextmanager
    def open(self, folder: Path) -> Iterator[None]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="TLS for PostgreSQL")
        thread.start()
        try:
            path = str(folder / f".s.PGSQL.{_PORT}")
            serving = asyncio.start_unix_server(self._serve, path)
            try:
                server = asyncio.run_coroutine_threadsafe(serving, loop).result()
            except OSError as error:  # a name of more than 107 bytes
                raise BackupError(f"{path}: {error}; set TMPDIR to a folder nearby") from error
            yield
            loop.call_soon_threadsafe(server.close)
        finally:
            asyncio.run_coroutine_threadsafe(_end_all(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # What is refused here is closed here, and its client says so: who asks has been let in
        # under the same conditions just before.
        try:
            with suppress(OSError, asyncio.CancelledError):
                outer_reader, outer = await self._connect()
                try:
                    await asyncio.gather(_copy(reader, outer), _copy(outer_reader, writer))
                finally:
                    outer.close()
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(None, socket.create_connection, self._address, 10)
        made.setblocking(False)
        with ExitStack() as stack:
            stack.callback(made.close)
            await loop.sock_sendall(made, _ASKS_FOR_TLS)
            # One byte and no more: what somebody between has sent after it is no part of TLS.
            speaks = await loop.sock_recv(made, 1) == b"S"
            if self._insists and not speaks:
                raise ConnectionRefusedError("the server has no TLS")
            found = await asyncio.open_connection(
                sock=made,
                ssl=self._context if speaks else None,
                server_hostname=self._address[0] if speaks else None,
            )
            stack.pop_all()
            return found


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def _end_all() -> None:
    ours = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not ours]
    if tasks:
        await asyncio.wait(tasks, timeout=_PATIENCE)  # the client is gone; its farewell may not be
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
