"""Addresses."""

import socket

import pytest

from progan.errors import UserError
from progan.explorer import server
from progan.explorer.server import address_of, bound


def test_it_listens_to_this_machine_alone() -> None:
    with bound(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        assert address_of(listening) == f"http://127.0.0.1:{port}"
        socket.create_connection((host, port), timeout=10).close()


def test_a_port_in_use_is_said() -> None:
    with bound(0) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} of this machine is in use.*--port"):
            bound(port)


def test_without_a_wish_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with bound(0) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setattr(server, "FIRST_PORT", port)
        monkeypatch.setattr(server, "PORTS", 1)
        with pytest.raises(UserError, match=f"All ports from {port} to {port} are in use"):
            bound(None)
        monkeypatch.setattr(server, "PORTS", min(50, 65536 - port))
        with bound(None) as next_one:
            assert next_one.getsockname()[1] > port
