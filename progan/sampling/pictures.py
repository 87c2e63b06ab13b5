"""What generate.py is asked for, and the files that it makes of it."""

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from progan import __version__
from progan.errors import UserError
from progan.images import Pixels, grid, save_png
from progan.runtime.files import human_bytes, make_folder
from progan.runtime.pool import in_order, worker_pool
from progan.sampling.latents import parse_seeds, seed_labels, seed_latents
from progan.sampling.network_file import Snapshot, fingerprint
from progan.sampling.render import batch_size, batches_of, render
from progan.sizes import MIN_LEVEL, level_name

GRID_FILE = "grid.png"
MOST_GRID_BYTES = 2**31  # of pixels
MOST_WRITERS = 16  # threads; one writes about ten pictures of 1024x1024 in a second


@dataclass(frozen=True, slots=True)
class Wish:
    """Pictures to draw."""

    names: tuple[str, ...]  # 'seed0007': the files' names without suffix
    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]


def from_seeds(snapshot: Snapshot, text: str) -> Wish:
    """The pictures of seeds such as '0-15,20'."""
    config = snapshot.generator.config
    seeds = parse_seeds(text)
    return Wish(tuple(f"seed{seed:04d}" for seed in seeds),
                seed_latents(seeds, config.latent_size), seed_labels(seeds, config.label_size))


def from_file(snapshot: Snapshot, path: Path) -> Wish:
    """The pictures of the rows of a .npy file; row k has the class of seed k."""
    config = snapshot.generator.config
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"Cannot read latents from {path}: {error}. It should be a .npy file of "
                        f"float32 [N, {config.latent_size}].") from error
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not len(array) or (
            array.shape[1] != config.latent_size or array.dtype.kind != "f"):
        found = f"{array.dtype} {list(array.shape)}" if isinstance(array, np.ndarray) else "archive"
        raise UserError(f"{path} holds {found}; this network takes latents of float32 "
                        f"[N, {config.latent_size}].")
    if not np.isfinite(array).all():
        raise UserError(f"{path} holds numbers that are not finite (NaN or infinity).")
    rows = range(len(array))
    return Wish(tuple(f"latent{row:04d}" for row in rows),
                torch.from_numpy(array.astype(np.float32)), seed_labels(rows, config.label_size))


def of_class(snapshot: Snapshot, wish: Wish, name: str) -> Wish:
    """The same latents, all of one class, given by name or index."""
    size = snapshot.generator.config.label_size
    if not size:
        raise UserError(f"--class {name}: this network was trained without labels and has no "
                        "classes.")
    names = list(snapshot.label_names)
    if name in names:
        index = names.index(name)
    elif name.isdecimal() and int(name) < size:
        index = int(name)
    else:
        raise UserError(f"There is no class {name!r}. Classes: "
                        f"{', '.join(f'{i} {n}' for i, n in enumerate(names))}.")
    labels = torch.zeros_like(wish.labels)
    labels[:, index] = 1
    return dataclasses.replace(wish, labels=labels)


def place(snapshot: Snapshot, resolution: int | None) -> tuple[int, float]:
    """Return level and alpha to draw at; lower levels than the trained one are fully faded in."""
    levels = {1 << level: level for level in range(MIN_LEVEL, snapshot.level + 1)}
    if resolution is None or levels.get(resolution) == snapshot.level:
        return snapshot.level, snapshot.alpha
    if resolution not in levels:
        names = [level_name(snapshot.generator.config.base, level) for level in levels.values()]
        raise UserError(f"--resolution {resolution}: this network was trained up to {names[-1]}; "
                        f"choose one of {', '.join(names)}.")
    return levels[resolution], 1.0


def parse_grid(text: str, count: int) -> tuple[int, int]:
    """'8x4' -> (8, 4), if that many pictures fit."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match or not int(match[1]) * int(match[2]):
        raise UserError(f"--grid {text!r} is not COLSxROWS such as 8x4.")
    columns, rows = int(match[1]), int(match[2])
    if columns * rows < count:
        raise UserError(f"--grid {text} has {columns * rows} cells, too few for {count} pictures.")
    return columns, rows


def provenance(path: Path, command: str) -> dict[str, str]:
    """Where a picture comes from, to be written into its file."""
    return {"Software": f"progan {__version__}", "Network": f"{path.name} {fingerprint(path)}",
            "Command": command}


def write(snapshot: Snapshot, wish: Wish, level: int, alpha: float, outdir: Path,
          text: Mapping[str, str], layout: tuple[int, int] | None) -> Iterator[Path]:
    """Draw the pictures, write them as PNG files, and yield the path of each.

    Files are written by threads, while the network draws the next pictures.
    """
    if layout:
        yield _write_grid(snapshot, wish, level, alpha, outdir, text, layout)
        return
    make_folder(outdir)

    def save(picture: tuple[str, Pixels]) -> Path:
        name, pixels = picture
        save_png(outdir / f"{name}.png", pixels, {**text, "Latent": name})
        return outdir / f"{name}.png"

    images = chain.from_iterable(
        batches_of(snapshot.generator, wish.latents, wish.labels, level, alpha))
    with worker_pool(min(os.cpu_count() or 1, MOST_WRITERS), in_processes=False) as pool:
        ahead = batch_size(snapshot.generator.config, level)
        yield from in_order(pool, save, zip(wish.names, images, strict=True), ahead=ahead)


def _write_grid(snapshot: Snapshot, wish: Wish, level: int, alpha: float, outdir: Path,
                text: Mapping[str, str], layout: tuple[int, int]) -> Path:
    columns, rows = layout
    config = snapshot.generator.config
    size = config.size(level)
    num_bytes = columns * rows * size.pixels * config.channels
    if num_bytes > MOST_GRID_BYTES:
        raise UserError(f"--grid {columns}x{rows} of {size} pictures is a sheet of "
                        f"{human_bytes(num_bytes)}, more than "
                        f"{human_bytes(MOST_GRID_BYTES)}. Ask for fewer, or for a lower "
                        "--resolution.")
    make_folder(outdir)
    images = render(snapshot.generator, wish.latents, wish.labels, level, alpha)
    empty = np.zeros((columns * rows - len(images), *images.shape[1:]), np.uint8)
    sheet = grid(np.concatenate([images, empty]), columns)
    save_png(outdir / GRID_FILE, sheet, {**text, "Latents": " ".join(wish.names)})
    return outdir / GRID_FILE
