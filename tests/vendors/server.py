"""A vendor of our own on loopback, which can be told to misbehave.

It speaks the form that the vendors' documents describe, and the product knows it by its address
alone. A class for each vendor says how it answers; what any vendor can do wrong is here.
"""

import json
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

__all__ = ["Answer", "VendorServer"]


@dataclass(frozen=True)
class Answer:
    """What is sent: `body` is made JSON unless it is bytes."""

    body: object
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: bool = False
    """Whether half of it is sent, before the connection breaks."""

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


HTML = Answer(b"<html><body>We are down for maintenance</body></html>", content_type="text/html")
PASSING: dict[str, Answer] = {
    "an HTML page with status 200": HTML,
    "JSON that is cut in the middle": Answer(b'[{"date": "2013-02-2'),
    "a connection that breaks": Answer([{"a": 1}] * 99, cut=True),
    "500": Answer({"detail": "Internal error"}, 500),
    "502 from a proxy": Answer(b"<html>Bad gateway</html>", 502, "text/html"),
    "an empty body": Answer(b""),
    "429 for a second": Answer({"detail": "slow down"}, 429, headers={"Retry-After": "0"}),
}
"""What any vendor may answer once in a while."""


class VendorServer:
    """A vendor that answers from `bars`; derive a class, and say how in `answer`.

    Attributes
    ----------
    requests : list of (path, params)
        As they came.
    faults : dict of str to list of Answer
        By symbol, what is answered next in the place of the truth; ``always`` for good.
    quota : int or None
        Requests that are still allowed.
    """

    key = "5ecr3t-0f-a-v3nd0r-4711"

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.faults: dict[str, list[Answer]] = {}
        self.always: dict[str, Answer] = {}
        self.quota: int | None = None
        self.over_quota = Answer({"detail": "quota"}, 429, headers={"Retry-After": "1800"})
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def running(self) -> Iterator[Self]:
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    def symbol_of(self, path: str, params: Mapping[str, str]) -> str:
        raise NotImplementedError

    def is_allowed(self, headers: Mapping[str, str]) -> bool:
        raise NotImplementedError

    def refusal(self, headers: Mapping[str, str]) -> Answer:
        """What it says to a wrong key: careless vendors repeat it."""
        return Answer({"detail": f"Invalid token {headers.get('Authorization')}"}, 401)

    def answer(self, path: str, params: Mapping[str, str]) -> Answer:
        raise NotImplementedError

    def respond(self, target: str, headers: Mapping[str, str]) -> Answer:
        parts = urlsplit(target)
        path, params = unquote(parts.path), dict(parse_qsl(parts.query))
        with self._lock:
            self.requests.append((path, params))
            if not self.is_allowed(headers):
                return self.refusal(headers)
            if self.quota is not None:
                if self.quota <= 0:
                    return self.over_quota
                self.quota -= 1
            symbol = self.symbol_of(path, params)
            if symbol in self.always:
                return self.always[symbol]
            if self.faults.get(symbol):
                return self.faults[symbol].pop(0)
        answer = self.answer(path, params)
        if self.quota is None:
            return answer
        left = {"X-RateLimit-Remaining": str(self.quota)}
        return Answer(answer.body, answer.status, answer.content_type, {**answer.headers, **left})


def _handler_of(server: VendorServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(self.path)

        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(f"{self.path}?{form}")

        def _answer(self, target: str) -> None:
            answer = server.respond(target, dict(self.headers))
            content = answer.content
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(content)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if answer.cut:
                self.wfile.write(content[: len(content) // 2])
                self.wfile.flush()
                linger = struct.pack("ii", 1, 0)  # reset, so that what is under way is lost
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
                return
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Nobody reads it."""

    return Handler
