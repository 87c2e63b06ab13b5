"""Films of latents on their way: what each frame shows, and the frames."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from progan.errors import UserError
from progan.images import Pixels, enlarge, opaque
from progan.runtime.text import format_count
from progan.sampling import sheets, walks
from progan.sampling.latents import seed_labels
from progan.sampling.network_file import Snapshot
from progan.sampling.pictures import as_pixels
from progan.sampling.render import one_by_one
from progan.sampling.timing import Timing
from progan.sampling.wishes import Wish
from progan.sizes import Size

SMALLEST_SIDE = 256  # px; smaller frames are enlarged, to be seen at all
MOST_PICTURES = 500_000  # latents of 512 numbers: 1 GiB
MOST_SMOOTHING = 60  # s; whoever wants more wants a still


@dataclass(frozen=True, slots=True)
class Script:
    """What every cell shows in every frame."""

    latents: Tensor  # [frames, cells, latent_size]
    labels: Tensor  # [frames, cells, label_size]


def walking(snapshot: Snapshot, first: int, cells: int, timing: Timing,
            smoothing: float) -> Script:
    """Cell k shows the walk of seed first + k, and the class that this seed has.

    Args:
        smoothing: Standard deviation of the blur in time, in seconds.
    """
    _require_few(timing, cells)
    if not 0 < smoothing <= MOST_SMOOTHING:
        raise UserError(f"--smoothing {smoothing:g}: name a number of seconds above 0, up to "
                        f"{MOST_SMOOTHING}.")
    if first + cells > 2**32:
        raise UserError(f"--walk {first}: the seeds of walks end at {2**32 - 1}, and each cell has "
                        f"the next one. Name {2**32 - cells} or less.")
    config = snapshot.generator.config
    seeds = range(first, first + cells)
    latents = [walks.walk(seed, timing.frames, config.latent_size, smoothing * timing.fps)
               for seed in seeds]
    labels = seed_labels(seeds, config.label_size, snapshot.untrained_classes)
    return Script(_stacked(latents), labels.expand(timing.frames, -1, -1))


def visiting(wish: Wish, cells: int, timing: Timing) -> Script:
    """By slerp through the pictures of a wish and back to the first; cell k begins with the kth.

    Where they have other classes, these are blended.
    """
    _require_few(timing, cells)
    if len(wish.names) < 2:
        raise UserError("A film through given pictures needs two or more, e.g. --seeds 3,14,15.")
    beginnings = [-(cell % len(wish.names)) for cell in range(cells)]
    latents, labels = wish.latents.double().numpy(), wish.labels.double().numpy()
    return Script(
        _stacked([walks.through(np.roll(latents, start, 0), timing.frames)
                  for start in beginnings]),
        _stacked([walks.crossfade(np.roll(labels, start, 0), timing.frames)
                  for start in beginnings]))


def frames(snapshot: Snapshot, script: Script, columns: int, rows: int) -> Iterator[Pixels]:
    """The frames of a script: uint8 [H, W, 3], of `frame_size`."""
    for latents, labels in zip(script.latents, script.labels, strict=True):
        images = [as_pixels(image) for image in one_by_one(snapshot, latents, labels)]
        yield framed(np.stack(images), columns, rows)


def framed(images: Pixels, columns: int, rows: int) -> Pixels:
    """Pictures [N, H, W, C] side by side, enlarged by repeating pixels if they are small."""
    page = enlarge(sheets.full_grid(images, columns, rows)[None], SMALLEST_SIDE)[0]
    return np.asarray(opaque(page), np.uint8)


def frame_size(cell: Size, columns: int, rows: int) -> Size:
    """Size of what `framed` makes of cells of a size."""
    height, width = rows * cell.height, columns * cell.width
    factor = max(SMALLEST_SIDE // min(height, width), 1)
    return Size(height * factor, width * factor)


def _stacked(cells: list[walks.Floats]) -> Tensor:
    """[frames, size] of each cell -> float32 [frames, cells, size]."""
    return torch.from_numpy(np.stack(cells, axis=1).astype(np.float32))


def _require_few(timing: Timing, cells: int) -> None:
    if timing.frames * cells > MOST_PICTURES:
        raise UserError(f"{format_count(timing.frames, 'frame')} of "
                        f"{format_count(cells, 'cell')} are more than {MOST_PICTURES:,} "
                        "pictures. Ask for a shorter film or a smaller --grid.")
