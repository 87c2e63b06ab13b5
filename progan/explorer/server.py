"""An address on this machine, and who answers there until Ctrl-C."""

import asyncio
import errno
import os
import signal
import socket
from contextlib import suppress
from typing import Any

from progan.errors import UserError
from progan.explorer.fence import HOST, App

FIRST_PORT, PORTS = 7860, 100  # where Gradio's pages usually are
PATIENCE = 30  # s; for a picture that is being drawn when the end comes
TICK = 0.1  # s


def bound(port: int | None) -> socket.socket:
    """A socket that takes connections of this machine only; raises UserError.

    Args:
        port: 0: any that is free; None: the first free one of those that are usual.
    """
    if port is not None:
        return _bound(port)
    for usual in range(FIRST_PORT, FIRST_PORT + PORTS):
        try:
            return _bound(usual)
        except UserError:
            continue
    raise UserError(f"All ports from {FIRST_PORT} to {FIRST_PORT + PORTS - 1} are in use. Name "
                    "another one with --port, or 0 for any that is free.")


def _bound(port: int) -> socket.socket:
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
        raise UserError(f"Port {port} of this machine {why}. Name another one with --port, or "
                        "leave it away: then a free one is found.") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """'http://127.0.0.1:7860'."""
    return f"http://{HOST}:{listening.getsockname()[1]}"


def serve(app: App, listening: socket.socket) -> None:
    """Answer until Ctrl-C, SIGTERM or SIGHUP, which are the way to end it."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False,
                            proxy_headers=False, timeout_graceful_shutdown=PATIENCE)
    with suppress(KeyboardInterrupt):  # the server ends in order, and hands the signal on
        asyncio.run(_answer(uvicorn.Server(config), listening))


async def _answer(server: Any, listening: socket.socket) -> None:
    _listen_to_hang_up(server)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_hang_up_at_the_end(server))
        await server.serve(sockets=[listening])


def _listen_to_hang_up(server: Any) -> None:
    """End in order when the terminal is closed, too: uvicorn knows the other signals alone."""
    def end() -> None:
        server.should_exit = True
    # What is ignored stays ignored: nohup is there to outlive a terminal.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, end)


async def _hang_up_at_the_end(server: Any) -> None:
    """Pages that are open listen for news without end: the server would wait for them."""
    while not server.should_exit:
        await asyncio.sleep(TICK)
    for connection in list(server.server_state.connections):
        connection.transport.close()
