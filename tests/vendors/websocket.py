"""The stream of trade updates, on a connection that a handler of HTTP was asked to upgrade."""

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

if TYPE_CHECKING:
    from tests.vendors.alpaca_broker_server import AlpacaBrokerServer

__all__ = ["serve_socket"]

QUIET = logging.getLogger("tests.vendors.websocket")
QUIET.setLevel(logging.INFO)


def serve_socket(handler: BaseHTTPRequestHandler, server: "AlpacaBrokerServer") -> None:
    """Speak with a listener until one of the two hangs up."""
    protocol = ServerProtocol(logger=QUIET)
    lock = threading.Lock()

    def flush() -> None:
        for data in protocol.data_to_send():
            if data:
                handler.connection.sendall(data)

    def tell(message: dict[str, Any]) -> None:
        with lock:
            protocol.send_binary(json.dumps(message).encode())  # as paper accounts are told
            flush()

    lines = [handler.requestline, *(f"{name}: {value}" for name, value in handler.headers.items())]
    with lock:
        protocol.receive_data("\r\n".join([*lines, "", ""]).encode())
        [request] = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        flush()
    server.requests.append(("STREAM", "/stream", {}))
    if server.deaf:
        return
    account = None

    def update(data: dict[str, Any]) -> None:
        tell({"stream": "trade_updates", "data": data})

    try:
        while data := handler.connection.recv(65536):
            with lock:
                protocol.receive_data(data)
                frames = protocol.events_received()
                flush()
                if protocol.close_expected():
                    return
            for frame in frames:
                if not isinstance(frame, Frame) or frame.opcode not in {Opcode.TEXT, Opcode.BINARY}:
                    continue
                asked = json.loads(bytes(frame.data))
                if asked["action"] == "authenticate":
                    given = asked["data"]
                    account = server.account_of(given.get("key_id"), given.get("secret_key"))
                    status = "unauthorized" if account is None else "authorized"
                    tell({"stream": "authorization", "data": {"status": status}})
                elif asked["action"] == "listen" and account is not None:
                    server.requests.append(("STREAM", "/listen", asked["data"]))
                    account.listeners.append(update)
                    tell({"stream": "listening", "data": asked["data"]})
                    server.decide(account.number)
    except OSError:
        return
    finally:
        if account is not None and update in account.listeners:
            account.listeners.remove(update)
