"""Sources of images on other machines: any URL that fsspec opens (s3, gs, hf, https, memory).

Folders are listed, and each image is read when it is needed. Archives and Parquet files are copied
to a temporary folder first, which goes with the process.
"""

import atexit
import errno
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import Any, NoReturn, TypeVar

from progan.data.image_source import SourceFailure, UnreadableImage
from progan.data.importers.ignored_files import SIGNATURE_BYTES
from progan.errors import UserError
from progan.runtime.files import name_file_in_errors

T = TypeVar("T")

ATTEMPTS = 4  # for requests that fail for a reason that may pass
WAIT_SECONDS = 1.0  # after the first failure; doubled after each other one
# User and password, which may have an @ of their own, and the query.
_SECRETS = re.compile(r"://[^/\s]*@|(?<=[?&])([^=&]*)=[^&\s]*")
_PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "hf": "huggingface_hub", "az": "adlfs",
    "abfs": "adlfs", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of a source; what is printed and stored of it has no secrets.

    These are user and password, and all values of its query: names of tokens are many.
    """

    address: str

    def __str__(self) -> str:
        def mask(match: re.Match[str]) -> str:
            return f"{match[1]}=…" if match[1] else "://…@"

        return _SECRETS.sub(mask, self.address)

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.address.partition("://")[2].partition("?")[0]).name

    def resolve(self) -> "Url":
        return self


@contextmanager
def name_by_url(copy: Path, source: "Path | Url") -> Iterator[None]:
    """In errors inside the context, name the source of a temporary copy instead of the copy."""
    try:
        yield
    except UserError as error:
        if not isinstance(source, Url):
            raise
        raise UserError(str(error).replace(str(copy), str(source))) from error


class RemoteSource:
    """A folder of another machine with all folders below it."""

    def __init__(self, url: Url) -> None:
        self.url = url
        self.system, self.root = _open_filesystem(url)
        self._known: frozenset[str] | None = None  # all paths, once they are listed

    def list_paths(self) -> list[str]:
        """Return the paths of all files below the folder; raises UserError if there are none."""
        found = _call_with_retries(self.url, self.system.find, self.root)
        prefix = self.locate("")
        paths = sorted(path[len(prefix) :] for path in found if path.startswith(prefix))
        if not paths and self.system.isfile(self.root):
            raise UserError(
                f"{self.url} is a file, and no zip or tar file by its name. Name a folder or an "
                "archive of images; create-from-parquet reads .parquet."
            )
        if not paths:
            raise UserError(f"No files below {self.url}: it is empty, or does not exist.")
        self._known = frozenset(paths)
        return paths

    def locate(self, path: str) -> str:
        """Return the path of a file in its file system."""
        return f"{self.root.rstrip('/')}/{path}"

    def read(self, path: str) -> bytes:
        """Return the content of one file; raises UnreadableImage or SourceFailure."""
        try:
            content: bytes = _call_with_retries(self.url, self.system.cat_file, self.locate(path))
        except SourceFailure as error:
            raise SourceFailure(f"{path}: {error}") from error
        except UserError as error:
            raise UnreadableImage(path, str(error)) from error
        return content

    def read_start(self, path: str) -> bytes:
        """Return the first bytes of a file, b"" if it cannot be read."""
        try:
            content: bytes = _call_with_retries(
                self.url, self.system.cat_file, self.locate(path), 0, SIGNATURE_BYTES
            )
        except UserError:
            return b""
        return content[:SIGNATURE_BYTES]  # a server may send the whole file

    def has(self, path: str) -> bool:
        """True if there is a file, of those that were listed."""
        if self._known is None:
            self.list_paths()
        assert self._known is not None
        return path in self._known


def copy_to_temporary(url: Url) -> Path:
    """Copy a file of another machine into a temporary folder; raises UserError."""
    system, path = _open_filesystem(url)
    target = _make_temporary_folder() / url.name
    _copy_file(url, system, path, target)
    return target


def copy_all_to_temporary(url: Url, suffixes: tuple[str, ...]) -> Path:
    """Copy the files below a URL that end so into a temporary folder; raises UserError."""
    source = RemoteSource(url)
    folder = _make_temporary_folder()
    for path in source.list_paths():
        if path.lower().endswith(suffixes):
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy_file(url, source.system, source.locate(path), target)
    return folder


def _copy_file(url: Url, system: Any, path: str, target: Path) -> None:
    """Copy a file of another machine; raises UserError, or OSError if the disk here is full."""
    with name_file_in_errors(target):
        _call_with_retries(url, system.get_file, path, str(target))


def _make_temporary_folder() -> Path:
    """Make a folder that is removed when the process ends."""
    folder = Path(mkdtemp(prefix="progan-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _open_filesystem(url: Url) -> tuple[Any, str]:
    """Return fsspec's file system of a URL, and the path in it; raises UserError."""
    protocol = url.address.partition("://")[0]
    try:
        import fsspec
    except ImportError as error:
        raise UserError(
            f'--source {url}: URLs need the package fsspec: pip install "progan[remote]"'
        ) from error
    try:
        system, path = fsspec.core.url_to_fs(url.address)
    except ImportError as error:
        package = _PACKAGES.get(protocol, "")
        raise UserError(
            f"--source {url}: {protocol}:// needs another package ({error})."
            + f" pip install {package}" * bool(package)
        ) from error
    except ValueError as error:
        raise UserError(f"--source {url}: {error}.") from error
    return system, str(path)


def _call_with_retries(url: Url, call: Callable[..., T], *arguments: object) -> T:
    """Return what a request returns, repeated a few times.

    Raises:
        UserError: What it asks for is missing or forbidden, or the address is wrong.
        SourceFailure: There is no connection, or no login.
        OSError: The disk here is full.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return call(*arguments)
        except (FileNotFoundError, PermissionError, ValueError) as error:
            _fail(url, error)
        except Exception as error:  # each protocol has its own
            if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise  # an error of the disk here, in a copy
            is_final = getattr(error, "status", 500) in (401, 403, 404) or _lacks_login(error)
            if attempt == ATTEMPTS or is_final:
                _fail(url, error)
            time.sleep(WAIT_SECONDS * 2 ** (attempt - 1))
    raise AssertionError


def _lacks_login(error: Exception) -> bool:
    return "Credential" in type(error).__name__  # botocore's, google-auth's, azure's


def _fail(url: Url, error: Exception) -> NoReturn:
    """Raise UserError or SourceFailure for a request that failed."""
    kind: type[UserError] = UserError
    status = getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status == 404:
        what = "There is nothing. Check the address."
    elif isinstance(error, PermissionError) or status in (401, 403):
        kind = SourceFailure if status == 401 else UserError  # 401: the login has expired
        what = f"Access is denied ({status or 403}). Check the credentials of this protocol."
    elif _lacks_login(error):
        kind = SourceFailure
        what = f"No credentials ({error}). Set those of this protocol."
    elif isinstance(error, ValueError):
        what = f"{Url(str(error))}. Check the address."
    else:
        reason = str(Url(str(error))) or type(error).__name__
        kind = SourceFailure
        what = f"{reason} ({ATTEMPTS} attempts). Repeat the command when it can be reached."
    raise kind(f"Cannot read {url}: {what}") from error
