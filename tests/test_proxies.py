"""What is meant for this machine goes past every proxy, whoever's client asks."""

import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import requests

from tradewind.errors import SettingsError
from tradewind.host.proxies import check_proxies, spare_this_machine

HOSTS = "127.0.0.1,localhost,::1"


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A proxy for everything, under the names that clients know; it only notes who came."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        for kind in ("http", "https", "all"):
            for name in (f"{kind}_proxy", f"{kind}_PROXY".upper()):
                monkeypatch.setenv(name, f"http://127.0.0.1:{listening.getsockname()[1]}")
        yield listening


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize("client", [httpx.get, requests.get], ids=["httpx", "requests"])
def test_no_client_asks_a_proxy_for_this_machine(
    proxy: socket.socket,
    server: str,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    client: Callable[..., Any],
) -> None:
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv(name, "example.org")
    spare_this_machine(os.environ)
    assert client(server, timeout=30).status_code == 200
    with pytest.raises(BlockingIOError):
        proxy.accept()
    away = requests.utils.get_environ_proxies("http://example.com")
    assert away["http"].endswith(str(proxy.getsockname()[1]))
    assert requests.utils.get_environ_proxies("http://www.example.org") == {}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, HOSTS),
        ({"no_proxy": "a, .b.org ,10.0.0.0/8"}, f"a,.b.org,10.0.0.0/8,{HOSTS}"),
        ({"NO_PROXY": "a"}, f"a,{HOSTS}"),
        ({"no_proxy": "a,c", "NO_PROXY": "b,a"}, f"a,c,b,{HOSTS}"),
        ({"no_proxy": "localhost"}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "a,*"}, "*"),
        ({"no_proxy": " , ,"}, HOSTS),
    ],
)
def test_a_users_own_exceptions_stay(given: dict[str, str], expected: str) -> None:
    environment = {"http_proxy": "http://proxy:3128", **given}
    for _ in range(2):
        spare_this_machine(environment)
        assert environment == {
            "http_proxy": "http://proxy:3128", "no_proxy": expected, "NO_PROXY": expected,
        }  # fmt: skip


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:9", "ftp://proxy", "http://proxy:x"])
@pytest.mark.usefixtures("proxy")
def test_a_proxy_that_no_task_could_start_with_is_refused(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    check_proxies()
    monkeypatch.setenv("ALL_PROXY", address)
    monkeypatch.setenv("all_proxy", address)
    with pytest.raises(SettingsError, match=r"ALL_PROXY, .* cannot be used"):
        check_proxies()
