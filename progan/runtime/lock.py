"""One process at a time in a folder, and the others learn which one it is."""

import errno
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from progan.errors import UserError

LOCK_FILE = ".lock"
# Some network disks know no locks; what the file says has to do there.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def exclusive_lock(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes out of a folder; raises UserError if one is in it.

    The lock is the system's own, so that it ends with its process, however that ends; the file
    that carries it says whose it is. Where the disk has no locks, the file counts alone: it is
    taken over if its process, on this machine, is gone. Windows has no such lock.

    Args:
        doing: What is done there, for the message: 'is being trained'.
    """
    if os.name == "nt":
        yield
        return
    path = folder / LOCK_FILE
    handle = _locked(path, f"{folder} {doing}")
    try:
        os.ftruncate(handle, 0)
        os.pwrite(
            handle,
            json.dumps(
                {
                    "host": socket.gethostname(),
                    "pid": os.getpid(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                }
            ).encode(),
            0,
        )
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(handle)


@contextmanager
def locked_directory(directory: Path, busy: str) -> Iterator[None]:
    """Keep other processes out of a directory without a file in it; Windows has no such lock.

    Args:
        busy: Begins the UserError raised if another process is in it.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise UserError(f"{busy}. Wait for it, or name another place.") from error
    finally:
        os.close(handle)


def _locked(path: Path, what: str) -> int:
    """Open the file and lock it."""
    import fcntl

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            alive = isinstance(error, BlockingIOError) or _may_live(_holder(handle))
            if alive or error.errno not in _UNSUPPORTED:
                holder = _holder(handle)
                os.close(handle)
                raise (_busy(path, what, holder) if alive else error) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # it was removed by the one before; lock the one that is there now


def _holder(handle: int) -> dict[str, object]:
    """Who wrote the file; {} if nobody did, or not yet."""
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return holder if isinstance(holder, dict) else {}
    except ValueError:
        return {}


def _may_live(holder: dict[str, object]) -> bool:
    """Whether the process that wrote the file may still be running."""
    pid = holder.get("pid")
    if not isinstance(pid, int):
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _busy(path: Path, what: str, holder: dict[str, object]) -> UserError:
    if not holder:
        return UserError(f"{what} by another process, which holds {path}. Wait for it.")
    return UserError(
        f"{what} by process {holder.get('pid')} on {holder.get('host')}, since "
        f"{holder.get('since')}. Wait for it, or stop it there with kill "
        f"{holder.get('pid')}. If it is gone for certain, remove {path}."
    )
