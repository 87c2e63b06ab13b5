"""Latents and labels from seeds (the same on every machine), .npy files and class names."""

import dataclasses
import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.errors import UserError
from progan.runtime.text import sanitize_and_truncate_line
from progan.sampling.options import parse_seeds
from progan.sampling.snapshot_file import Snapshot
from progan.sizes import format_level

MAGIC = b"\x93NUMPY"
MAX_NAMES = 20  # class names in a message


def seed_latents(seeds: Sequence[int], latent_size: int) -> Tensor:
    """Return `numpy.random.RandomState(seed).randn(1, latent_size)` per seed: float32 [N, size]."""
    rows = [np.random.RandomState(seed).randn(1, latent_size) for seed in seeds]
    return torch.from_numpy(np.concatenate(rows).astype(np.float32))


def seed_labels(seeds: Sequence[int], label_size: int, untrained: Collection[int] = ()) -> Tensor:
    """Return one-hot labels of the default classes, k mod label_size: float32 [N, label_size].

    Args:
        untrained: Classes without training images, which are skipped.
    """
    labels = torch.zeros(len(seeds), label_size)
    if label_size:
        shown = torch.tensor(_list_trained_classes(label_size, untrained))
        labels[torch.arange(len(seeds)), shown[torch.tensor(seeds) % len(shown)]] = 1
    return labels


def choose_class_of_seed(seed: int, label_size: int, untrained: Collection[int] = ()) -> int:
    """Return the default class of a seed."""
    shown = _list_trained_classes(label_size, untrained)
    return shown[seed % len(shown)]


def _list_trained_classes(label_size: int, untrained: Collection[int]) -> list[int]:
    return sorted(set(range(label_size)) - set(untrained))


def read_latents(path: Path, latent_size: int) -> Tensor:
    """Read float32 [N, latent_size] from a .npy file; raises UserError for anything else."""
    expected = f".npy file of float32 [N, {latent_size}]"
    try:
        array = _read_array(path)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UserError(
            f"Cannot read latents from {path}: {why}. It should be a {expected}."
        ) from error
    is_floats = array.dtype.kind == "f"
    if array.ndim != 2 or not len(array) or array.shape[1] != latent_size or not is_floats:
        raise UserError(
            f"{path} holds {array.dtype} {list(array.shape)}; this network takes "
            f"latents of float32 [N, {latent_size}]."
        )
    with np.errstate(over="ignore"):  # overflow to infinity is refused below
        latents = array.astype(np.float32)
    if not np.isfinite(latents).all():
        raise UserError(f"{path} contains values that are NaN, infinite or too large for float32.")
    return torch.from_numpy(latents)


def _read_array(path: Path) -> npt.NDArray[np.generic]:
    """Return the array of a .npy file; raises ValueError with the reason if it is not one."""
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise ValueError("it is not a regular file")
    with path.open("rb") as file:
        start = file.read(len(MAGIC))
        if start != MAGIC:
            raise ValueError("it is an archive" if start[:2] == b"PK" else "it is not a .npy file")
        file.seek(0)
        shape, dtype = _read_npy_header(file)
        if dtype.hasobject:
            raise ValueError("it contains Python objects, not numbers")
        expected = math.prod(shape) * dtype.itemsize
        found = os.fstat(file.fileno()).st_size - file.tell()
        if expected > found:  # NumPy would allocate all that memory first
            raise ValueError(
                f"it is cut short, or damaged: its header promises {expected:,} bytes, and "
                f"{found:,} follow"
            )
        file.seek(0)
        array: npt.NDArray[np.generic] = np.load(file, allow_pickle=False)
        return array


def _read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, _, dtype = read(file)
    except Exception as error:  # NumPy's parser raises any exception
        raise ValueError("its header is damaged") from error
    return shape, dtype


@dataclass(frozen=True, slots=True)
class LatentBatch:
    """Named latents with labels, an image each."""

    names: tuple[str, ...]  # 'seed0007': the files' names without suffix
    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]


def batch_from_seeds(snapshot: Snapshot, text: str) -> LatentBatch:
    """Return the latents of seeds such as '0-15,20'."""
    seeds = parse_seeds(text)
    latents = seed_latents(seeds, snapshot.generator.config.latent_size)
    return _label_and_name_latents(snapshot, "seed", seeds, latents)


def batch_from_file(snapshot: Snapshot, path: Path) -> LatentBatch:
    """Return the latents of a .npy file; row k has the class of seed k."""
    latents = read_latents(path, snapshot.generator.config.latent_size)
    return _label_and_name_latents(snapshot, "latent", range(len(latents)), latents)


def _label_and_name_latents(
    snapshot: Snapshot, prefix: str, seeds: Sequence[int], latents: Tensor
) -> LatentBatch:
    """Name the latents by numbers, and label them with the classes of these seeds."""
    label_size = snapshot.generator.config.label_size
    labels = seed_labels(seeds, label_size, snapshot.untrained_classes)
    return LatentBatch(tuple(f"{prefix}{seed:04d}" for seed in seeds), latents, labels)


def replace_class(snapshot: Snapshot, latent_batch: LatentBatch, name: str) -> LatentBatch:
    """Return the same latents, all with one class, given by name or index."""
    return dataclasses.replace(
        latent_batch, labels=labels_of_class(snapshot, latent_batch.labels, name)
    )


def labels_of_class(snapshot: Snapshot, labels: Tensor, name: str) -> Tensor:
    """Return labels of the same shape [..., label_size], all of one class (name or index)."""
    one = torch.zeros_like(labels)
    one[..., class_index(snapshot, name)] = 1
    return one


def class_index(snapshot: Snapshot, name: str) -> int:
    """Return the index of a class given by name or index; raises UserError for another."""
    size = snapshot.generator.config.label_size
    if not size:
        raise UserError(
            f"--class {name}: this network was trained without labels and has no classes."
        )
    names = list(snapshot.label_names)
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < size:
        return int(name)
    raise UserError(
        f"No such class: {sanitize_and_truncate_line(name)!r}. Classes: {_format_classes(names)}."
    )


def format_untrained_class_warning(snapshot: Snapshot, class_name: str | None) -> str:
    """Return a warning about classes without training images; '' if none applies.

    Args:
        class_name: The class asked for; None: seeds choose and skip such classes.
    """
    untrained, size = snapshot.untrained_classes, snapshot.generator.config.label_size
    if not untrained:
        return ""
    if class_name is None:
        have = "class had" if len(untrained) == 1 else "classes had"
        names = snapshot.label_names or tuple(map(str, range(size)))
        listed = ", ".join(
            repr(sanitize_and_truncate_line(names[index])) for index in untrained[:MAX_NAMES]
        )
        more = f" and {len(untrained) - MAX_NAMES} more" if len(untrained) > MAX_NAMES else ""
        return (
            f"{len(untrained)} {have} no training images, so seeds skip "
            f"{'it' if len(untrained) == 1 else 'them'}: {listed}{more}."
        )
    if class_index(snapshot, class_name) in untrained:
        return (
            f"--class {sanitize_and_truncate_line(class_name)}: no training image had this class, "
            "so the network has not learned what it looks like."
        )
    return ""


def _format_classes(names: list[str]) -> str:
    """Return e.g. '0 cat, 1 dog'; names are sanitized, as files may contain anything."""
    shown = [
        f"{index} {sanitize_and_truncate_line(name)}"
        for index, name in enumerate(names[:MAX_NAMES])
    ]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f", and {more} more, to {len(names) - 1}" if more else "")


def available_levels(snapshot: Snapshot) -> dict[int, int]:
    """Return the levels that a snapshot can generate at, by resolution: {4: 2, 8: 3}."""
    lowest = snapshot.first_level if snapshot.generator.config.grows else snapshot.level
    return {1 << level: level for level in range(lowest, snapshot.level + 1)}


def select_resolution(snapshot: Snapshot, resolution: int | None) -> Snapshot:
    """Return the snapshot at a resolution, fully faded in below the trained one.

    None: as it was saved.
    """
    levels = available_levels(snapshot)
    if resolution is None or levels.get(resolution) == snapshot.level:
        return snapshot
    if resolution not in levels:
        names = [format_level(snapshot.generator.config.base, level) for level in levels.values()]
        raise UserError(
            f"--resolution {resolution}: this network was trained up to {names[-1]}; "
            f"choose one of {', '.join(names)}."
        )
    return dataclasses.replace(snapshot, level=levels[resolution], alpha=1.0)
