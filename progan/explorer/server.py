"""Serve the explorer to browsers on this machine: the port, the allowed requests, until Ctrl-C.

A server on 127.0.0.1 is reachable from every page that is open in a browser, and a host name that
its owner resolves to 127.0.0.1 (DNS rebinding) makes such requests look like its own.
"""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from progan.errors import UserError
from progan.explorer.renderer import Renderer
from progan.explorer.view_state import NamedLatent, ViewState, start_at_seed
from progan.interop.load import load_snapshot
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import require_folder_or_nothing
from progan.sampling.image_files import provenance
from progan.sampling.latents import class_index, select_resolution
from progan.sampling.options import parse_seeds
from progan.sampling.snapshot_file import Snapshot, fingerprint


@dataclass(frozen=True, kw_only=True, slots=True)
class ExploreRequest:
    """A page as people ask for it.

    Attributes:
        network: The file that draws.
        command: What was typed, to be written into the files.
        seeds: The one to begin with; None: seed 0.
        class_name, resolution: Shown at first; None: that of the seed, and the highest.
        outdir: Where to save.
        port: None: a usual one that is free.
    """

    network: Path
    command: str
    device: str
    seeds: str | None
    class_name: str | None
    resolution: int | None
    outdir: Path
    port: int | None


def explore(request: ExploreRequest) -> None:
    """Show the page until Ctrl-C."""
    require_gradio()
    require_folder_or_nothing(request.outdir)
    with bind_port(request.port) as listening:
        device = choose_device(request.device)
        set_deterministic()
        snapshot = load_snapshot(request.network, device)
        first = _initial_view(request, snapshot)
        from progan.explorer.page import asgi_app, build_page

        renderer = Renderer(
            snapshot=snapshot, file=request.network, fingerprint=fingerprint(request.network)
        )
        blocks = build_page(
            renderer, first, request.outdir, provenance(request.network, request.command)
        )
        click.echo(server_url(listening))
        click.echo("Open this address in a browser on this machine. Ctrl-C ends it.", err=True)
        serve(asgi_app(renderer, blocks), listening)
    with suppress(OSError):  # of a terminal that is gone
        click.echo("\nThe explorer is closed.", err=True)


def _initial_view(request: ExploreRequest, snapshot: Snapshot) -> ViewState:
    seed, *more = [0] if request.seeds is None else parse_seeds(request.seeds)
    if more:
        raise UserError(f"--seeds {request.seeds}: --explore begins at one seed. Name one.")
    kind = None if request.class_name is None else class_index(snapshot, request.class_name)
    level = select_resolution(snapshot, request.resolution).level
    return start_at_seed(
        ViewState(latent=NamedLatent(seed), target=seed, class_index=kind, level=level), seed
    )


HOST = "127.0.0.1"
LOCAL_NAMES = (HOST, "localhost")
IMAGE_PATH, ICON_PATH, MANIFEST_PATH = "/image", "/favicon.ico", "/manifest.json"
# Gradio can do much more: serve files, take uploads, relay addresses. None of it is needed.
PATHS = ("/", IMAGE_PATH, ICON_PATH, MANIFEST_PATH, "/theme.css", "/gradio_api/run/predict")
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/")
MAX_BODY_BYTES = 65_536  # of what a request brings: the page sends a few numbers
# Gradio's own scripts and styles are partly inside of its page, and it compiles templates.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FIRST_PORT, PORTS = 7860, 100  # where Gradio's pages usually are
SHUTDOWN_SECONDS = 30  # s; for a picture that is being drawn when the end comes
POLL_SECONDS = 0.1  # s

# Read when Gradio, or what it brings with it, is imported.
NO_TELEMETRY = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
}


def require_gradio() -> None:
    """Import Gradio for the first time; raises UserError if it, or a part of it, is missing."""
    os.environ.update(NO_TELEMETRY)
    try:
        import fastapi  # noqa: F401
        import gradio  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--explore makes its page with Gradio, and {error.name or 'a part of it'} "
            'is missing: pip install "progan[web]" (or ".[web]" in a checkout).'
        ) from error


def refusal_status(path: str, headers: Mapping[str, str]) -> int | None:
    """The status of an answer to a request that is none of ours, or None.

    Args:
        headers: With names in lower case.
    """
    if not _is_local_host(headers.get("host", "")) or _is_cross_origin(path, headers):
        return 403
    if "transfer-encoding" in headers:  # of a length that is not told; no browser sends that
        return 411
    length = headers.get("content-length", "0")
    if (
        len(length) > len(str(MAX_BODY_BYTES))
        or not length.isdecimal()
        or (int(length) > MAX_BODY_BYTES)
    ):
        return 413
    return None if path in PATHS or path.startswith(FOLDERS) and ".." not in path else 404


def _is_local_host(host: str) -> bool:
    """Whether a request is for this machine by name. The port may be that of a tunnel."""
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_NAMES
    except ValueError:
        return False


def _is_cross_origin(path: str, headers: Mapping[str, str]) -> bool:
    """Whether another page sends it. A link to our page may be followed from anywhere."""
    if headers.get("origin", f"http://{headers['host']}") != f"http://{headers['host']}":
        return True
    followed = (
        path == "/"
        and headers.get("sec-fetch-mode") == "navigate"
        and (headers.get("sec-fetch-dest") == "document")
    )
    return not followed and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def restrict_to_local_page(app: App) -> App:
    """The same app, for this machine alone."""

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        status = refusal_status(scope["path"], headers) if scope["type"] == "http" else 403
        if status is None:
            await app(scope, receive, _with_headers(send))
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body"})
        else:
            await send({"type": "websocket.close"})

    return inside


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            message = {**message, "headers": [*message.get("headers", []), *own]}
        await send(message)

    return sending


def bind_port(port: int | None) -> socket.socket:
    """A socket that takes connections of this machine only; raises UserError.

    Args:
        port: 0: any that is free; None: the first free one of those that are usual.
    """
    if port is not None:
        return _bind(port)
    for usual in range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return _bind(usual)
        except UserError:
            continue
    raise UserError(
        f"All ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are in use. Name "
        "another one with --port, or 0 for any that is free."
    )


def _bind(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would share the port with whoever has it
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used"
        raise UserError(
            f"Port {port} of this machine {why}. Name another one with --port, or "
            "leave it away: then a free one is found."
        ) from error
    return listening


def server_url(listening: socket.socket) -> str:
    """'http://127.0.0.1:7860'."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


def serve(app: App, listening: socket.socket) -> None:
    """Answer until Ctrl-C, SIGTERM or SIGHUP, which are the way to end it."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # the server ends in order, and hands the signal on
        asyncio.run(_serve(uvicorn.Server(config), listening))


async def _serve(server: Any, listening: socket.socket) -> None:
    _exit_on_sighup(server)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_close_connections_at_exit(server))
        await server.serve(sockets=[listening])


def _exit_on_sighup(server: Any) -> None:
    """End in order when the terminal is closed, too: uvicorn knows the other signals alone."""

    def end() -> None:
        server.should_exit = True

    # What is ignored stays ignored: nohup is there to outlive a terminal.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, end)


async def _close_connections_at_exit(server: Any) -> None:
    """Pages that are open listen for news without end: the server would wait for them."""
    while not server.should_exit:
        await asyncio.sleep(POLL_SECONDS)
    for connection in list(server.server_state.connections):
        connection.transport.close()
