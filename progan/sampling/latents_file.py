"""Files of latents: NumPy's .npy."""

import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.errors import UserError

MAGIC = b"\x93NUMPY"


def read_latents(path: Path, latent_size: int) -> Tensor:
    """Read float32 [N, latent_size]; raises UserError for whatever else a file may hold."""
    wanted = f".npy file of float32 [N, {latent_size}]"
    try:
        array = _read(path)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(f"Cannot read latents from {path}: {why}. It should be a {wanted}."
                        ) from error
    if array.ndim != 2 or not len(array) or (
            array.shape[1] != latent_size or array.dtype.kind != "f"):
        raise UserError(f"{path} holds {array.dtype} {list(array.shape)}; this network takes "
                        f"latents of float32 [N, {latent_size}].")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as such
        latents = array.astype(np.float32)
    if not np.isfinite(latents).all():
        raise UserError(f"{path} holds numbers that are not finite (NaN or infinity), or too "
                        "large for float32.")
    return torch.from_numpy(latents)


def _read(path: Path) -> npt.NDArray[np.generic]:
    """The array of a file; ValueError says what is wrong with another one."""
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ValueError("it is no ordinary file")
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise ValueError("it is an archive" if start[:2] == b"PK" else "it is no .npy file")
        file.seek(0)
        shape, dtype = _header(file)
        if dtype.hasobject:
            raise ValueError("it holds Python's objects, not numbers")
        promised = math.prod(shape) * dtype.itemsize
        found = os.fstat(file.fileno()).st_size - file.tell()
        if promised > found:  # NumPy would ask for all that memory first
            raise ValueError(f"it is cut short, or damaged: its header promises {promised:,} "
                             f"bytes, and {found:,} follow")
        file.seek(0)
        array: npt.NDArray[np.generic] = np.load(file, allow_pickle=False)
        return array


def _header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = {(1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, _, dtype = read(file)
    except Exception as error:  # NumPy lets its parser fail in any way it likes
        raise ValueError("its header is damaged") from error
    return shape, dtype
