"""Addresses."""

import socket

import pytest

from progan.errors import UserError
from progan.explorer import server
from progan.explorer.server import address_of, bind_port


def test_it_listens_to_this_machine_alone() -> None:
    with bind_port(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        assert address_of(listening) == f"http://127.0.0.1:{port}"
        socket.create_connection((host, port), timeout=10).close()


def test_a_port_in_use_is_said() -> None:
    with bind_port(0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} of this machine is in use.*--port"):
            bind_port(port)


def test_without_a_wish_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with bind_port(0) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(server, "FIRST_PORT", port)
        monkeypatch.setattr(server, "PORTS", 1)
        with pytest.raises(UserError, match=f"All ports from {port} to {port} are in use"):
            bind_port(None)
        monkeypatch.setattr(server, "PORTS", min(50, 65536 - port))
        with bind_port(None) as next_one:
            assert next_one.getsockname()[1] > port
