"""A port that a service cannot have is said at once, with who has it."""

import os
import socket

import pytest

from tests.support import free_ports, typed
from tradewind.errors import PortTakenError
from tradewind.settings import FIELDS
from tradewind.stack.ports import HOST, Port, require_free


def taken(number: int) -> str:
    with pytest.raises(PortTakenError) as refused:
        require_free(Port(number, "TRADEWIND_SOME_PORT"), "some")
    message = str(refused.value)
    assert f"port {number}, which some needs" in message
    assert "set TRADEWIND_SOME_PORT to a free port" in message
    return message


@pytest.mark.parametrize("host", ["127.0.0.1", "", "::"])
def test_who_listens_on_a_port_is_named(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        server.listen()
        assert f"(pid {os.getpid()})" in taken(server.getsockname()[1])


def test_whose_connection_goes_out_from_a_port_is_named() -> None:
    with socket.create_server((HOST, 0)) as server, socket.socket() as client:
        client.connect(server.getsockname())
        message = taken(client.getsockname()[1])
    assert "taken by a connection of " in message
    assert f"(pid {os.getpid()})" in message


def test_a_port_of_another_address_or_of_a_connection_that_has_ended_is_free() -> None:
    [number] = free_ports(1)
    require_free(Port(number, "TRADEWIND_SOME_PORT"), "some")
    with socket.create_server(("127.0.0.2", number)):
        require_free(Port(number, "TRADEWIND_SOME_PORT"), "some")
    with socket.create_server((HOST, number)) as server, socket.socket() as client:
        client.connect((HOST, number))
        server.accept()[0].close()  # this side waits for stragglers of the connection
    require_free(Port(number, "TRADEWIND_SOME_PORT"), "some")


def test_no_default_port_is_one_that_linux_gives_to_connections() -> None:
    ports = [typed(field.default, int) for name, field in FIELDS.items() if name.endswith("_port")]
    assert len(ports) == 7
    assert all(1024 <= port < 32768 for port in ports)
