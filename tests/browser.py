"""Chromium without a screen, driven through two pipes in the DevTools protocol."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--remote-debugging-pipe",
)
PATIENCE = 60  # s
KEYS = {"ArrowLeft": 37, "ArrowRight": 39, "Home": 36, "End": 35, "Escape": 27, " ": 32, "Tab": 9}


def program() -> str | None:
    """Where Chromium is, if this machine has one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One browser with one tab.

    Attributes:
        requests: Addresses that were asked for since the last `open`, but for data: ones.
        errors: What the console got of errors since then.
    """

    def __init__(self, path: str, folder: Path) -> None:
        reads, writes = os.pipe(), os.pipe()
        theirs = [_out_of_the_way(end) for end in (reads[0], writes[1])]
        self._write, self._read = reads[1], writes[0]
        # Chromium reads from 3 and writes to 4; sh need not know numbers of two digits, bash does.
        self._process = subprocess.Popen(
            [
                "bash",
                "-c",
                f'exec "$0" "$@" 3<&{theirs[0]} 4>&{theirs[1]}',
                path,
                *FLAGS,
                f"--user-data-dir={folder}",
                "about:blank",
            ],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for end in theirs:
            os.close(end)
        self._left, self._number, self._session = b"", 0, ""
        self.requests: list[str] = []
        self.errors: list[str] = []

    def __enter__(self) -> "Browser":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._write)
        os.close(self._read)

    def open(self, address: str, width: int, height: int = 800, *, dark: bool = False) -> None:
        """Show a page in a window of this size, and wait until it is loaded."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Page.navigate", url="about:blank")
        self.requests, self.errors = [], []
        self.call("Page.navigate", url=address)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def value(self, script: str) -> Any:
        """What an expression is, or what its promise gives."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, condition: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.value(condition):
            assert time.monotonic() < end, f"never came true: {condition}"
            time.sleep(0.02)

    def key(self, name: str) -> None:
        """Press a key and let it go."""
        values = {"key": name, "code": name, "windowsVirtualKeyCode": KEYS[name]}
        self.call("Input.dispatchKeyEvent", type="rawKeyDown", **values)
        self.call("Input.dispatchKeyEvent", type="keyUp", **values)

    def point(self, x: float, y: float, click: bool = False) -> None:
        """Move the mouse there, and press it."""
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased") if click else ():
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click(self, selector: str) -> None:
        """Press the mouse in the middle of an element, after scrolling to it."""
        x, y = self.value(f"""(each => {{
            each.scrollIntoView({{block: 'center', behavior: 'instant'}});
            const box = each.getBoundingClientRect();
            return [box.left + box.width / 2, box.top + box.height / 2];
        }})(document.querySelector({json.dumps(selector)}))""")
        self.point(x, y, click=True)

    def type(self, selector: str, text: str) -> None:
        """Type over what is in a field."""
        self.value(
            f"(each => {{ each.focus(); each.select(); }})("
            f"document.querySelector({json.dumps(selector)}))"
        )
        self.call("Input.insertText", text=text)

    def pixels(self, selector: str) -> NDArray[np.uint8]:
        """What is in an <img> of the page's own site, once it is there: [H, W, 4]."""
        picture = f"document.querySelector({json.dumps(selector)})"
        self.wait_for(f"{picture}.complete && {picture}.naturalWidth")
        height, width, values = self.value(f"""(each => {{
            const canvas = new OffscreenCanvas(each.naturalWidth, each.naturalHeight);
            const context = canvas.getContext('2d');
            context.drawImage(each, 0, 0);
            const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
            return [canvas.height, canvas.width, [...data]];
        }})({picture})""")
        return np.array(values, np.uint8).reshape(height, width, 4)

    def screenshot(self, **clip: float) -> bytes:
        """A PNG file of the window, or of a part of the page: x, y, width, height."""
        extra = {"clip": {**clip, "scale": 1}, "captureBeyondViewport": True} if clip else {}
        return base64.b64decode(self.call("Page.captureScreenshot", **extra)["data"])

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """Ask for something, and note what happens until it is answered."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        text = json.dumps({"id": self._number, "method": method, "params": values, **session})
        os.write(self._write, text.encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self._number:
                assert "error" not in told, f"{method}: {told['error']}"
                result: dict[str, Any] = told["result"]
                return result
            self._note(told.get("method", ""), told.get("params", {}))

    def _note(self, event: str, values: dict[str, Any]) -> None:
        """Keep requests and errors."""
        takes: dict[str, Callable[[], None]] = {
            "Network.requestWillBeSent": lambda: self._note_request(values["request"]["url"]),
            "Runtime.exceptionThrown": lambda: self.errors.append(str(values["exceptionDetails"])),
            "Log.entryAdded": lambda: self._note_entry(
                values["entry"]["level"], values["entry"]["text"]
            ),
            "Runtime.consoleAPICalled": lambda: self._note_entry(
                values["type"], str(values["args"])
            ),
        }
        takes.get(event, lambda: None)()

    def _note_request(self, address: str) -> None:
        if not address.startswith(("data:", "about:")):
            self.requests.append(address)

    def _note_entry(self, level: str, text: str) -> None:
        if level in ("error", "warning"):
            self.errors.append(text)

    def _next(self) -> dict[str, Any]:
        """The next message."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, f"{NAMES[0]} says nothing, exit code {self._process.poll()}"
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        told: dict[str, Any] = json.loads(message)
        return told


def _out_of_the_way(end: int) -> int:
    """The same end of a pipe by a number that is neither 3 nor 4."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD, 10)
    os.close(end)
    return moved
