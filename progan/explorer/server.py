"""Serve the explorer to browsers on this machine: the port, the allowed requests, until Ctrl-C.

A server on 127.0.0.1 is reachable from every page that is open in a browser, and a host name that
its owner resolves to 127.0.0.1 (DNS rebinding) makes such requests look like its own. Starlette's
TrustedHostMiddleware would check only the host; `choose_refusal_status` also checks origin, path
and size.
"""

import asyncio
import errno
import math
import os
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from progan.errors import UserError
from progan.explorer.renderer import IMAGE_PATH, Renderer
from progan.explorer.view_state import MAX_PERCENT, NamedLatent, ViewState, restart_at_seed
from progan.interop.load import load_snapshot
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import require_folder_or_nothing
from progan.sampling.image_files import provenance
from progan.sampling.latents import class_index, select_resolution
from progan.sampling.options import GenerateOptions, parse_seeds
from progan.sampling.snapshot_file import Snapshot, compute_fingerprint

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
LOCAL_NAMES = (HOST, "localhost")
ICON_PATH, MANIFEST_PATH = "/favicon.ico", "/manifest.json"
# Gradio can do much more: serve files, take uploads, relay addresses. None of it is needed.
PATHS = ("/", IMAGE_PATH, ICON_PATH, MANIFEST_PATH, "/theme.css", "/gradio_api/run/predict")
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/")
MAX_BODY_BYTES = 65_536  # the page sends a few numbers
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

FIRST_PORT, PORTS = 7860, 100  # where Gradio's pages usually are
SHUTDOWN_SECONDS = 30  # for an image that is being generated
POLL_SECONDS = 0.1


def explore(network: Path, options: GenerateOptions, command: str) -> None:
    """Serve the page of a network until Ctrl-C; call `require_gradio` before.

    Args:
        options: With one seed at most, and the folder of saved files as `outdir`.
        command: The command line, to be written into saved files.
    """
    assert options.outdir is not None
    require_folder_or_nothing(options.outdir)
    with bind_port(options.port) as listener:
        device = choose_device(options.device)
        set_deterministic()
        snapshot = load_snapshot(network, device)
        first = _make_initial_view(options, snapshot)
        from progan.explorer.page import asgi_app, build_page

        renderer = Renderer(
            snapshot=snapshot, file=network, fingerprint=compute_fingerprint(network)
        )
        blocks = build_page(renderer, first, options.outdir, provenance(network, command))
        click.echo(server_url(listener))
        click.echo("Open this address in a browser on this machine. Ctrl-C ends it.", err=True)
        serve(asgi_app(renderer, blocks), listener)
    with suppress(OSError):  # the terminal may be closed
        click.echo("\nThe explorer is closed.", err=True)


def _make_initial_view(options: GenerateOptions, snapshot: Snapshot) -> ViewState:
    """Return the view that the options ask for; raises UserError for a --trunc between percents."""
    percent = round(options.trunc * MAX_PERCENT)
    if not math.isclose(percent / MAX_PERCENT, options.trunc):
        raise UserError(
            f"--trunc {options.trunc:g}: --explore sets it in whole percent; choose "
            f"{percent / MAX_PERCENT:g}."
        )
    seed = 0 if options.seeds is None else parse_seeds(options.seeds)[0]
    index = None if options.class_name is None else class_index(snapshot, options.class_name)
    level = select_resolution(snapshot, options.resolution).level
    view = ViewState(
        latent=NamedLatent(seed), target=seed, class_index=index, level=level, truncation=percent
    )
    return restart_at_seed(view, seed)


def restrict_to_local_page(app: "ASGIApp") -> "ASGIApp":
    """Wrap an ASGI app: refuse requests by `choose_refusal_status` and WebSockets; add HEADERS."""
    from starlette.datastructures import MutableHeaders
    from starlette.responses import Response

    async def call_if_allowed(scope: "Scope", receive: "Receive", send: "Send") -> None:
        async def send_with_headers(message: "Message") -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope.get("headers", ())
        }
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})
        elif status := choose_refusal_status(scope["path"], headers):
            await Response(status_code=status)(scope, receive, send)
        else:
            await app(scope, receive, send_with_headers)

    return call_if_allowed


def choose_refusal_status(path: str, headers: Mapping[str, str]) -> int | None:
    """Return the HTTP status that refuses a request; None if it is allowed.

    Args:
        headers: Names in lower case.
    """
    if not _is_local_host(headers.get("host", "")) or _is_cross_origin(path, headers):
        return 403
    if "transfer-encoding" in headers:  # unknown length; no browser sends that
        return 411
    length = headers.get("content-length", "0")
    # The digits are counted first: int() of thousands of digits raises or is slow.
    digits = len(str(MAX_BODY_BYTES))
    if not length.isdecimal() or len(length) > digits or int(length) > MAX_BODY_BYTES:
        return 413
    return None if path in PATHS or path.startswith(FOLDERS) and ".." not in path else 404


def _is_local_host(host: str) -> bool:
    """True if a Host header names this machine. The port may be that of a tunnel."""
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_NAMES
    except ValueError:
        return False


def _is_cross_origin(path: str, headers: Mapping[str, str]) -> bool:
    """True if another page sends the request, except by a link to our page."""
    own = f"http://{headers['host']}"
    if headers.get("origin", own) != own:
        return True
    is_link = (
        path == "/"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return not is_link and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def bind_port(port: int | None) -> socket.socket:
    """Return a socket that listens for connections of this machine only; raises UserError.

    Args:
        port: 0: any free one; None: the first free one of the usual ports.
    """
    if port is not None:
        return _bind_or_explain(port)
    for usual in range(FIRST_PORT, FIRST_PORT + PORTS):
        with suppress(UserError):
            return _bind_or_explain(usual)
    raise UserError(
        f"All ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are in use. Name "
        "another one with --port, or 0 for any that is free."
    )


def _bind_or_explain(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would share the port with another program
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError as error:
        listener.close()
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            raise
        why = "is in use" if error.errno == errno.EADDRINUSE else "may not be used"
        raise UserError(
            f"Port {port} of this machine {why}. Name another one with --port, or omit it: then "
            "a free one is used."
        ) from error
    return listener


def server_url(listener: socket.socket) -> str:
    """Return e.g. 'http://127.0.0.1:7860'."""
    return f"http://{HOST}:{listener.getsockname()[1]}"


def serve(app: "ASGIApp", listener: socket.socket) -> None:
    """Serve until Ctrl-C, SIGTERM or SIGHUP, which are the regular ways to end it."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    with suppress(KeyboardInterrupt):  # uvicorn raises the signal again after its shutdown
        asyncio.run(_serve(uvicorn.Server(config), listener))


async def _serve(server: "uvicorn.Server", listener: socket.socket) -> None:
    _shut_down_on_sighup(server)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_close_connections_at_exit(server))
        await server.serve(sockets=[listener])


def _shut_down_on_sighup(server: "uvicorn.Server") -> None:
    """Shut down when the terminal is closed, too: uvicorn handles only the other signals."""

    def end() -> None:
        server.should_exit = True

    # An ignored signal stays ignored, as nohup sets it.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, end)


async def _close_connections_at_exit(server: "uvicorn.Server") -> None:
    """Close the endless heartbeat streams of open pages, for which the server would wait."""
    while not server.should_exit:
        await asyncio.sleep(POLL_SECONDS)
    for connection in list(server.server_state.connections):
        connection.transport.close()
