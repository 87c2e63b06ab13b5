"""`progan.load`: load a trained generator from its file and generate images in Python."""

import math
import operator
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from progan.errors import UserError
from progan.hub import fetch_network, is_hub_address
from progan.images import Pixels
from progan.interop.load import load_snapshot
from progan.pretrained import resolve_network
from progan.runtime.devices import choose_device, deterministic
from progan.runtime.text import format_count, sanitize_and_truncate_line
from progan.sampling.find_network import find_network
from progan.sampling.latents import (
    available_levels,
    class_index,
    seed_labels,
    seed_latents,
    select_resolution,
)
from progan.sampling.render import render_single, to_uint8_pixels
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.truncation import truncate_labelled
from progan.sizes import Size

Array = npt.NDArray[Any]
Labels = Tensor | Array | str | int | None
T = TypeVar("T")


def load(path: str | os.PathLike[str], device: str | torch.device = "auto") -> "TrainedGenerator":
    """Load a generator from whatever generate.py takes for --network; raises UserError.

    It warns where the newest run in a directory has no network yet.
    """
    if is_hub_address(os.fspath(path)):
        path = fetch_network(os.fspath(path))
    notes: list[str] = []
    file = find_network(resolve_network(Path(path)), notes.append)
    for note in notes:
        warnings.warn(note, stacklevel=3)  # at the call of progan.load
    return TrainedGenerator(load_snapshot(file, choose_device(device)))


@dataclass(frozen=True, slots=True, repr=False)
class TrainedGenerator:
    """A generator at the level and fade at which it was saved: latents -> images.

    Where it takes `labels`, these are float32 [N, classes], one-hot; or the name or the index of
    one class for all images; or None: then seed k, or row k, shows class k mod classes.
    `resolution` is one of `resolutions`; None: the highest.
    """

    snapshot: Snapshot  # its `generator` is the torch module

    def __call__(
        self, latents: Tensor | Array, labels: Labels = None, resolution: int | None = None
    ) -> Tensor:
        """Generate images of latents [N, latent_size]: float32 [N, C, H, W] on the device.

        Black to white is -1…1; linear outputs may exceed it a little and are not clipped.
        Without gradients.
        """
        z = _convert_to_float32_rows(latents, "Latents", self.latent_size)
        labels = self._make_one_hot_labels(labels, range(len(z)))
        with deterministic():
            return torch.cat(list(render_single(self._select_resolution(resolution), z, labels)))

    def render(
        self,
        seeds: Iterable[int],
        labels: Labels = None,
        resolution: int | None = None,
        truncation: SupportsFloat = 1.0,
    ) -> Pixels:
        """Generate the images of seeds as generate.py does: uint8 [N, H, W, C] on the host.

        Args:
            truncation: Psi of --trunc: below 1 images are more typical and less varied.
        """
        seeds = _parse_seeds(seeds)
        psi = _parse_truncation(truncation)
        snapshot = self._select_resolution(resolution)
        latents, labels = self.latents(seeds), self._make_one_hot_labels(labels, seeds)
        with deterministic():
            latents = truncate_labelled(snapshot, latents, labels, psi)
            images = render_single(snapshot, latents, labels)
            return np.stack([to_uint8_pixels(image) for image in images])

    def latents(self, seeds: Iterable[int]) -> Tensor:
        """Return the latents of seeds, the same on every machine: float32 [N, latent_size]."""
        return seed_latents(_parse_seeds(seeds), self.latent_size)

    @property
    def latent_size(self) -> int:
        return self.snapshot.generator.config.latent_size

    @property
    def channels(self) -> int:
        return self.snapshot.generator.config.channels

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the labels; () of networks without classes."""
        return self.snapshot.label_names

    @property
    def resolution(self) -> int:
        """The highest resolution that was trained; `size` has height and width."""
        return self.resolutions[-1]

    @property
    def resolutions(self) -> tuple[int, ...]:
        """All resolutions that it can generate at, lowest first."""
        return tuple(available_levels(self.snapshot))

    @property
    def size(self) -> Size:
        """Height and width of the images at the highest resolution."""
        return self.snapshot.generator.config.size(self.snapshot.level)

    def __repr__(self) -> str:
        return (
            f"<progan generator: {self.size}, {format_count(self.channels, 'channel')}, "
            f"{len(self.class_names) or 'no'} classes, latents of {self.latent_size}>"
        )

    def _select_resolution(self, resolution: int | None) -> Snapshot:
        """Return the snapshot at a resolution, None: the highest; UserError for an unknown one."""
        if resolution is not None and resolution not in self.resolutions:
            raise UserError(
                f"Unknown resolution {resolution!r}: this network was trained up "
                f"to {self.resolution}; choose one of "
                f"{', '.join(map(str, self.resolutions))}."
            )
        return select_resolution(self.snapshot, resolution)

    def _make_one_hot_labels(self, labels: Labels, seeds: Sequence[int]) -> Tensor:
        """Convert a class name, an index or rows, None: a class by seed, to CPU [N, label_size]."""
        size = self.snapshot.generator.config.label_size
        if labels is None:
            return seed_labels(seeds, size, self.snapshot.untrained_classes)
        labels = _convert_to_int_if_whole(labels)
        if not isinstance(labels, (str, int)):
            rows = _convert_to_float32_rows(labels, "Labels", size)
            if len(rows) != len(seeds):
                raise UserError(
                    f"{format_count(len(rows), 'row')} of labels for "
                    f"{format_count(len(seeds), 'image')}: name one for each, or a class."
                )
            return rows.cpu()
        if not size:
            raise UserError(
                "This network was trained without labels and has no classes: omit the labels."
            )
        known = isinstance(labels, int) and 0 <= labels < size
        index = int(labels) if known else class_index(self.snapshot, str(labels))
        return seed_labels([index] * len(seeds), size)


def _parse_seeds(seeds: Iterable[int]) -> list[int]:
    """Return seeds as ints; raises UserError unless they are integers of Python, NumPy or torch."""
    try:
        found = [operator.index(seed) for seed in seeds]
    except (TypeError, ValueError) as error:  # rows of a tensor raise ValueError
        raise UserError(
            f"Seeds are whole numbers such as [0, 5] or range(16), not {_format_shortened(seeds)}."
        ) from error
    if not found:
        raise UserError("No seeds were given: name at least one.")
    if wrong := [seed for seed in found if not 0 <= seed < 2**32]:
        raise UserError(f"Seeds go from 0 to {2**32 - 1}; {wrong[0]} is not one.")
    return found


def _convert_to_int_if_whole(labels: T) -> T | int:
    """Convert an integer of NumPy or torch, such as argmax() returns, to int."""
    try:
        return operator.index(labels)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return labels


def _parse_truncation(psi: SupportsFloat) -> float:
    """Return psi, a number of Python, NumPy or torch; UserError unless --trunc takes it."""
    try:
        found = math.nan if isinstance(psi, str) else float(psi)
    except (TypeError, ValueError, RuntimeError):  # tensors of several numbers
        found = math.nan
    if not 0 <= found <= 2:
        raise UserError(f"truncation is a number from 0 to 2, not {_format_shortened(psi)}.")
    return found


def _convert_to_float32_rows(rows: Tensor | Array, what: str, size: int) -> Tensor:
    """Convert to float32 [N, size]; raises UserError for another shape or for non-numbers."""
    try:
        result = torch.as_tensor(rows, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{what} of this network are numbers [N, {size}], not {_format_shortened(rows)}."
        ) from error
    if result.ndim != 2 or not len(result) or result.shape[1] != size:
        raise UserError(f"{what} of this network are [N, {size}], not {list(result.shape)}.")
    if not torch.isfinite(result).all():
        raise UserError(
            f"{what} hold numbers that are not finite (NaN or infinity), or too large for float32."
        )
    return result


def _format_shortened(value: object) -> str:
    """Return the repr of a value in one line of at most 80 characters."""
    return sanitize_and_truncate_line(repr(value))
