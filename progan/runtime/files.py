"""Write files and directories atomically; check paths before work begins."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from progan.errors import UserError
from progan.runtime.lock import locked_directory

MAX_OPEN_FILES = 1 << 16
PARTIAL = ".partial"  # suffix of files that are being written
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB")


def format_bytes(num_bytes: int) -> str:
    """Format a size: '512 bytes', '1.5 GiB'."""
    size, unit = float(num_bytes), 0
    while size >= 1023.95 and unit < len(_UNITS) - 1:  # 1023.95 would round to 1024.0
        size, unit = size / 1024, unit + 1
    return f"{num_bytes} bytes" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a whole file (text as UTF-8): readers see the old content or the new, never a part."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def append_text(path: Path, text: str) -> None:
    """Append text as UTF-8, completely or not at all; an OSError names the file."""
    size = path.stat().st_size if path.exists() else None
    try:
        with path.open("ab") as file:
            file.write(text.encode("utf-8"))
    except OSError as error:
        with suppress(OSError):
            if size is None:
                path.unlink(missing_ok=True)
            else:
                os.truncate(path, size)
        error.filename = error.filename or str(path)
        raise


def hash_file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: Path) -> None:
    """Create a folder and its parents unless they exist; raises UserError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise _make_in_the_way_error(path) from error


def require_folder_or_nothing(path: Path) -> None:
    """Raise UserError if a file is in the way of a folder to be created later."""
    nearest = next((each for each in (path, *path.parents) if os.path.lexists(each)), None)
    if nearest is not None and not nearest.is_dir():
        raise _make_in_the_way_error(path)


def _make_in_the_way_error(path: Path) -> UserError:
    """Return the error that a file is in the way of a folder."""
    return UserError(
        f"Cannot create the folder {path}: there is a file of that name in the way. "
        "Name another place."
    )


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write; it takes the place of `path` on success.

    On any failure, Ctrl-C included, the sibling is removed and `path` is unchanged. An OSError
    that names no file, or the sibling, gets the name of `path`. A device or a pipe, such as
    /dev/stdout, is never replaced: `path` itself is yielded then.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        with name_file_in_errors(path):
            yield path
        return
    path = path.resolve()  # a link keeps pointing to its target
    if path.is_dir():
        raise UserError(f"Cannot write {path}: it is a folder. Name a file.")
    if not path.parent.is_dir():
        raise UserError(
            f"Cannot write {path}: no such folder: {path.parent}. Create it, or name another place."
        )
    temporary = _make_partial_path(path)
    with _replace_path_in_errors(path, temporary):
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        try:
            yield temporary
            temporary.chmod(mode)  # some writers put a private file of their own in its place
            flush_to_disk(temporary)
            os.replace(temporary, path)
            flush_to_disk(path.parent)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextmanager
def name_file_in_errors(path: Path) -> Iterator[None]:
    """Add the name of `path` to an OSError without one, such as that of a failing write()."""
    with _replace_path_in_errors(path, path):
        yield


@contextmanager
def _replace_path_in_errors(path: Path, temporary: Path) -> Iterator[None]:
    """Put the name of `path` into an OSError that names no file or the temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)) or error.filename2:
            raise
        # A new error: the file name of some encoders' errors cannot be set.
        raise OSError(error.errno, error.strerror, str(path)) from error


def clear_folder(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@contextmanager
def cleared_before_and_on_failure(folder: Path) -> Iterator[None]:
    """Clear a folder of a killed attempt's files, and again if this one fails."""
    clear_folder(folder)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # the first error matters, not that of the cleaning
            clear_folder(folder)
        raise


def require_absent_or_empty(dest: Path) -> None:
    """Raise UserError unless `dest` does not exist or is an empty folder."""
    if dest.is_dir():
        if any(dest.iterdir()):
            raise UserError(
                f"{dest} exists already and is not empty. "
                "Name another folder, or remove this one first."
            )
    elif os.path.lexists(dest):
        raise UserError(f"{dest} exists already and is not a folder. Name another place.")


def require_place_for_folder(dest: Path, option: str) -> None:
    """Raise UserError unless a folder can be made in a hidden sibling and renamed to `dest`.

    `dest` may be an empty folder, but neither a disk's own nor that of the running command, which
    cannot be replaced.

    Args:
        option: The option that names it, such as '--dest'.
    """
    require_absent_or_empty(dest)
    place = dest.resolve()
    if os.path.ismount(place) or place == Path.cwd():
        what = "the folder of a disk" if os.path.ismount(place) else "the folder you are in"
        raise UserError(
            f"{dest} is {what}, which cannot be replaced. Name a new folder in it, such as "
            f"{option} {dest / 'dataset'}."
        )
    if place.is_dir():
        require_writable_folder(place.parent, option)
    else:
        require_writable_folder(dest, option)


def raise_open_file_limit() -> None:
    """Allow this process as many open files as the system lets it, 65,536 at most.

    A dataset of millions of images has thousands of files; the usual limit is 256 or 1,024.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MAX_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # macOS refuses more than its own constant
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def staging_path(dest: Path) -> Path:
    """Return the path of the directory in which `dest` is filled before it is renamed."""
    dest = dest.resolve()
    return dest.with_name(f".{dest.name}{PARTIAL}")


@contextmanager
def staging_directory(dest: Path) -> Iterator[Path]:
    """Yield a hidden sibling of `dest` to fill, with the content left by an interrupted attempt.

    It is renamed to `dest` on success. On any failure it stays for the next attempt, unless it is
    empty; then it is removed, with the parent folders made for it. Raises UserError if `dest`
    exists and is not empty, if nothing can be created beside it, or if another process is
    filling it. An OSError that names no file gets the name of `dest`.
    """
    require_absent_or_empty(dest)
    dest = dest.resolve()
    missing = [folder for folder in dest.parents if not folder.exists()]
    growing = staging_path(dest)
    try:
        _create_staging(growing, dest)
        with locked_directory(growing, f"Another process is making {dest}"):
            try:
                yield growing
                _replace_directory(growing, dest)
            except OSError as error:
                if error.filename is None:  # a failing write() names no path
                    error.filename = str(dest)
                raise
    finally:
        for folder in (growing, *missing):
            with suppress(OSError):  # not created, or not empty
                folder.rmdir()


def _create_staging(growing: Path, dest: Path) -> None:
    """Create the hidden folder; raises UserError, or OSError if the disk is full."""
    try:
        growing.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise UserError(
            f"Cannot create {dest}: {error.strerror} ({error.filename}). "
            "Name a place where you may write."
        ) from error


def _make_partial_path(path: Path) -> Path:
    """Return a unique hidden path beside `path`, on the same disk."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def remove_partials(folder: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote in a folder."""
    for path in folder.glob(f".*{PARTIAL}"):
        if path.is_symlink() or not path.is_dir():  # a folder is a dataset that is being made
            path.unlink(missing_ok=True)


def _replace_directory(temporary: Path, dest: Path) -> None:
    """Rename a directory to `dest`, which must not exist or be empty, and flush the names."""
    require_absent_or_empty(dest)  # it may have been filled meanwhile
    with suppress(FileNotFoundError):
        dest.rmdir()
    os.replace(temporary, dest)
    flush_to_disk(dest.parent)


def require_free_space(directory: Path, num_bytes: int, what: str) -> None:
    """Raise UserError unless the disk of `directory` has `num_bytes` free for `what`.

    `directory` need not exist yet: its nearest existing parent is checked.
    """
    place = directory.resolve()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise UserError(
            f"{what} needs {format_bytes(num_bytes)}, but {place} has only "
            f"{format_bytes(free)} free. Free {format_bytes(num_bytes - free)}, "
            "or name a folder on a larger disk."
        )


def flush_to_disk(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk (fsync)."""
    if path.is_dir() and os.name == "nt":  # Windows opens no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def require_existing(paths: Iterable[Path | None], advice: str) -> None:
    """Raise UserError unless all paths exist; None is a path that was not given."""
    for path in paths:
        if path is not None and not os.path.exists(path):
            raise UserError(f"No such file or directory: {path}. {advice}")


def require_detector(path: Path | None) -> None:
    """Raise UserError if --detector names a file that does not exist; None is not given."""
    if path is not None and not os.path.exists(path):
        raise UserError(f"No such file: {path}. Name another one with --detector.")


def require_writable_folder(path: Path, option: str) -> None:
    """Raise UserError unless files can be created in a folder, which need not exist yet.

    Args:
        option: The option that names it, such as '--outdir'.
    """
    if blocking := next((each for each in path.parents if each.is_file()), None):
        raise UserError(
            f"Cannot create the folder {path}: Not a directory: {blocking} is a file "
            "in the way. Name another place."
        )
    require_folder_or_nothing(path)
    nearest = next(each for each in (path, *path.resolve().parents) if each.is_dir())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise UserError(
            f"Cannot write to {path}: {error.strerror}. Name another {option}, or "
            "make this one writable."
        ) from error


def require_writable_file(
    path: Path, option: str, *, makes_folder: bool = False, suffix: str = ""
) -> None:
    """Raise UserError unless a file can be created or replaced.

    Args:
        option: The option that names it, such as '--json'.
        makes_folder: Its folder is created if it does not exist.
        suffix: How its name must end, in any case, such as '.png'.
    """
    if path.is_dir():
        raise UserError(f"Cannot write {path}: it is a folder. Name a file.")
    if not path.name.lower().endswith(suffix):
        raise UserError(f"{option} {path} must end in {suffix}, the only format it is written in.")
    is_written_in_place = path.exists() and not path.is_file()  # a device or a pipe
    folder = path.resolve().parent
    if not is_written_in_place and not makes_folder and not folder.is_dir():
        raise UserError(
            f"Cannot write {path}: no such folder: {folder}. Create it, or name another place."
        )
    if not is_written_in_place:
        require_writable_folder(folder, option)
    if path.exists() and not os.access(path, os.W_OK):
        raise UserError(
            f"Cannot write {path}: Permission denied. Name another {option}, or make "
            "this one writable."
        )


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects of a file of lines, if it exists; skip broken lines."""
    for text in path.read_text("utf-8", "replace").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict):
            yield line
