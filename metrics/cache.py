"""Statistics of a dataset, kept beside it under its checksum."""

import hashlib
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from progan.runtime.files import replaced

FOLDER = "metrics-cache"  # in the dataset's own folder

Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Cache:
    """Arrays by name, one file for each.

    Attributes:
        folder: Where the files are; None: nothing is kept.
        content: What the arrays are computed from: the dataset's fingerprint.
    """

    folder: Path | None
    content: str = ""

    def get(self, name: str, compute: Callable[[], Arrays]) -> Arrays:
        """What was kept under the name, or else what `compute` returns, which is kept from now on.

        Files that are damaged are computed anew, and a line says so. A folder that cannot be
        written keeps nothing.
        """
        if self.folder is None:
            return compute()
        digest = hashlib.sha256(name.encode()).hexdigest()[:16]
        path = self.folder / f"{self.content}-{digest}.npz"
        stored = _read(path)
        if stored is None:
            stored = compute()
            _write(path, stored)
        return stored


NO_CACHE = Cache(None)


def _read(path: Path) -> Arrays | None:
    """The arrays of a file; None if there is none, or no whole one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}  # zip files know their checksums
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        tqdm.write(f"{path} is damaged ({error}); it is computed anew.", sys.stderr)
        return None


def _write(path: Path, arrays: Arrays) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        with replaced(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **dict(arrays))  # type: ignore[arg-type]
    except OSError:  # somebody else's dataset, or a full disk: it only takes longer next time
        return
