"""Lock a folder for one process; others get an error that names it."""

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
# Errors of network disks without locks, where the content of the file decides.
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


@contextmanager
def exclusive_lock(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes out of a folder; raises UserError if one is in it.

    The lock is the system's own, so that it ends with its process, however that ends; the file
    that carries it names the process. On disks without locks the file alone decides: it is taken
    over if its process, on this machine, is gone. Windows has no such lock.

    Args:
        doing: Describes the work there, for the message: 'is being trained'.
    """
    if os.name == "nt":
        yield
        return
    path = folder / LOCK_FILE
    handle = _open_locked(path, f"{folder} {doing}")
    try:
        os.ftruncate(handle, 0)
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": since}
        os.pwrite(handle, json.dumps(holder).encode(), 0)
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(handle)


@contextmanager
def locked_directory(directory: Path, busy: str) -> Iterator[None]:
    """Keep other processes out of a directory without a file in it.

    Windows and disks without locks have no such lock.

    Args:
        busy: Begins the UserError raised if another process is in it.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{busy}. Wait for it, or name another place.") from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield
    finally:
        os.close(handle)


def _open_locked(path: Path, what: str) -> int:
    """Open and lock a file, and return its handle; UserError if another process holds it."""
    import fcntl

    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            alive = isinstance(error, BlockingIOError) or _may_be_alive(_read_holder(handle))
            if alive or error.errno not in _UNSUPPORTED:
                holder = _read_holder(handle)
                os.close(handle)
                raise (_make_busy_error(path, what, holder) if alive else error) from error
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        os.close(handle)  # removed by its last holder: lock the new one


def _read_holder(handle: int) -> dict[str, object]:
    """Read which process wrote the file; {} if none has."""
    try:
        holder = json.loads(os.pread(handle, 4096, 0))
        return holder if isinstance(holder, dict) else {}
    except ValueError:
        return {}


def _may_be_alive(holder: dict[str, object]) -> bool:
    """True if the process that wrote the file may still be running."""
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


def _make_busy_error(path: Path, what: str, holder: dict[str, object]) -> UserError:
    """Return the error that names the process that holds a folder."""
    if not holder:
        return UserError(f"{what} by another process, which holds {path}. Wait for it.")
    return UserError(
        f"{what} by process {holder.get('pid')} on {holder.get('host')}, since "
        f"{holder.get('since')}. Wait for it, or stop it there with kill "
        f"{holder.get('pid')}. If it is gone for certain, remove {path}."
    )
