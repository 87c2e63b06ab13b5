"""Which requests the explorer answers, and at which port."""

import asyncio
import socket
from typing import Any

import pytest

from progan.errors import UserError
from progan.explorer import server
from progan.explorer.server import (
    HEADERS,
    bind_port,
    choose_refusal_status,
    restrict_to_local_page,
    server_url,
)

OURS = {"host": "127.0.0.1:7860"}
FOLLOWED = {
    "sec-fetch-site": "cross-site",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {}),
        ("/image", {}),
        ("/assets/index.js", {}),
        ("/gradio_api/run/predict", {}),
        ("/", {"host": "localhost:8000"}),
        ("/", {"host": "LOCALHOST"}),
        ("/gradio_api/run/predict", {"origin": "http://127.0.0.1:7860"}),
        ("/image", {"sec-fetch-site": "same-origin"}),
        ("/", {"sec-fetch-site": "none"}),
        ("/", FOLLOWED),
    ],
)
def test_our_page_is_answered(path: str, headers: dict[str, str]) -> None:
    assert choose_refusal_status(path, OURS | headers) is None


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/", {"host": "evil.example"}),
        ("/", {"host": "evil.example:7860"}),
        ("/", {"host": ""}),
        ("/", {"host": "127.0.0.1.evil.example"}),
        ("/", {"host": "localhost@evil.example"}),
        ("/", {"host": "0.0.0.0:7860"}),
        ("/", {"host": "[::1"}),
        ("/gradio_api/run/predict", {"origin": "https://evil.example"}),
        ("/gradio_api/run/predict", {"origin": "null"}),
        ("/gradio_api/run/predict", {"origin": "http://127.0.0.1:3000"}),
        ("/gradio_api/run/predict", {"origin": "http://localhost:7860"}),
        ("/image", {"sec-fetch-site": "cross-site"}),
        ("/image", FOLLOWED),
        ("/image", {"sec-fetch-site": "same-site"}),
        ("/", FOLLOWED | {"sec-fetch-dest": "iframe"}),
    ],
)
def test_others_are_refused(path: str, headers: dict[str, str]) -> None:
    assert choose_refusal_status(path, OURS | headers) == 403


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-length": "65536"}, None),
        ({"content-length": "65537"}, 413),
        ({"content-length": "9" * 5000}, 413),
        ({"content-length": "x"}, 413),
        ({"transfer-encoding": "chunked"}, 411),
    ],
)
def test_only_so_much_is_read(headers: dict[str, str], status: int | None) -> None:
    assert choose_refusal_status("/gradio_api/run/predict", OURS | headers) == status


def test_a_request_without_a_host_is_refused() -> None:
    assert choose_refusal_status("/", {}) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/file=/etc/passwd",
        "/gradio_api/upload",
        "/config",
        "/gradio_api/proxy=https://evil.example",
        "/gradio_api/run/x",
        "/gradio_api/call/x",
        "/login",
        "/assets/../../etc/passwd",
        "/docs",
        "/openapi.json",
        "//",
        "/monitoring",
    ],
)
def test_what_the_page_does_not_need_is_not_there(path: str) -> None:
    assert choose_refusal_status(path, OURS) == 404


def asked(kind: str, path: str, host: str) -> list[dict[str, Any]]:
    """What an app inside of the middleware sends."""
    pytest.importorskip("starlette", reason="starlette is not installed: there is no server")
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def receive() -> dict[str, Any]:
        return {}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(
        restrict_to_local_page(app)(
            {"type": kind, "path": path, "headers": [(b"Host", host.encode())]}, receive, send
        )
    )
    return sent


def test_answers_say_what_a_browser_may_do() -> None:
    (start,) = asked("http", "/", "localhost")
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert start["status"] == 200 and headers == {"a": "b", **HEADERS}
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "http" not in headers["content-security-policy"]


def test_refusals_are_empty() -> None:
    assert [message.get("status") for message in asked("http", "/", "evil.example")] == [403, None]
    assert asked("websocket", "/", "localhost") == [{"type": "websocket.close"}]


def test_it_listens_to_this_machine_alone() -> None:
    with bind_port(0) as listening:
        host, port = listening.getsockname()
        assert host == "127.0.0.1"
        assert server_url(listening) == f"http://127.0.0.1:{port}"
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
