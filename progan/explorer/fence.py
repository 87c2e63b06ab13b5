"""What keeps the page on this machine: whom it answers, what, and what a browser may do with it.

A server on 127.0.0.1 is not alone there: every page that is open in a browser may send requests to
it, and a name that its owner points to 127.0.0.1 (DNS rebinding) makes them look like its own.
"""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any
from urllib.parse import urlsplit

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
PICTURES, ICON, MANIFEST = "/picture", "/favicon.ico", "/manifest.json"
# Gradio can do much more: serve files, take uploads, relay addresses. None of it is needed.
PATHS = ("/", PICTURES, ICON, MANIFEST, "/theme.css", "/gradio_api/run/predict")
FOLDERS = ("/assets/", "/static/", "/gradio_api/heartbeat/")
MOST_BYTES = 65_536  # of what a request brings: the page sends a few numbers
# Gradio's own scripts and styles are partly inside of its page, and it compiles templates.
POLICY = ("default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
          "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
          "object-src 'none'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'")
HEADERS = {"content-security-policy": POLICY, "x-frame-options": "DENY",
           "referrer-policy": "no-referrer", "x-content-type-options": "nosniff",
           "cross-origin-resource-policy": "same-origin",
           "cross-origin-opener-policy": "same-origin"}

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def refusal(path: str, headers: Mapping[str, str]) -> int | None:
    """The status of an answer to a request that is none of ours, or None.

    Args:
        headers: With names in lower case.
    """
    if not _is_ours(headers.get("host", "")) or _is_foreign(path, headers):
        return 403
    if "transfer-encoding" in headers:  # of a length that is not told; no browser sends that
        return 411
    length = headers.get("content-length", "0")
    if len(length) > len(str(MOST_BYTES)) or not length.isdecimal() or int(length) > MOST_BYTES:
        return 413
    return None if path in PATHS or path.startswith(FOLDERS) and ".." not in path else 404


def _is_ours(host: str) -> bool:
    """Whether a request is for this machine by name. The port may be that of a tunnel."""
    try:
        return urlsplit(f"//{host}").hostname in NAMES
    except ValueError:
        return False


def _is_foreign(path: str, headers: Mapping[str, str]) -> bool:
    """Whether another page sends it. A link to our page may be followed from anywhere."""
    if headers.get("origin", f"http://{headers['host']}") != f"http://{headers['host']}":
        return True
    followed = path == "/" and headers.get("sec-fetch-mode") == "navigate" and (
        headers.get("sec-fetch-dest") == "document")
    return not followed and headers.get("sec-fetch-site", "none") not in ("same-origin", "none")


def fenced(app: App) -> App:
    """The same app, for this machine alone."""
    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1")
                   for name, value in scope["headers"]}
        status = refusal(scope["path"], headers) if scope["type"] == "http" else 403
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
