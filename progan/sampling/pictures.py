"""Pictures of a wish, as files."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from tqdm import tqdm

from progan.images import Pixels, to_pixels
from progan.runtime.files import make_folder
from progan.runtime.worker_pool import in_order, worker_pool
from progan.sampling import sheets, stills
from progan.sampling.conventions import SOFTWARE
from progan.sampling.network_file import Snapshot, fingerprint
from progan.sampling.render import one_by_one
from progan.sampling.wishes import Wish

GRID_NAME, SHEET_NAME = "grid", "sheet"
ARRAYS = "npy"  # a kind of files, beside those of stills.SUFFIXES
MOST_WRITERS = 16  # threads; one writes about ten pictures of 1024x1024 in a second


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where pictures go, and how.

    Attributes:
        kind: One of stills.SUFFIXES, or ARRAYS.
        text: Where they come from, to be written into each file that can hold it.
        batch: How many are in memory at a time, drawn or being written; None: two for each writer.
    """

    folder: Path
    kind: str = "png"
    text: Mapping[str, str] = field(default_factory=dict)
    batch: int | None = None

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{stills.SUFFIXES.get(self.kind, f'.{self.kind}')}"


def provenance(path: Path, command: str) -> dict[str, str]:
    """Where a picture comes from, to be written into its file."""
    return {"Software": SOFTWARE, "Network": f"{storable(path.name)} {fingerprint(path)}",
            "Command": storable(command)}


def storable(text: str) -> str:
    """Names of files may be any bytes; no kind of file can hold what of them is no UTF-8."""
    return text.encode("utf-8", "replace").decode()


def write(snapshot: Snapshot, wish: Wish, output: Output) -> Iterator[Path]:
    """Draw the pictures, write each to its own file, and yield the path of each.

    Files are written by threads, while the network draws the next pictures.
    """
    config = snapshot.generator.config
    stills.require_format(output.kind, *config.size(snapshot.level), config.channels)
    make_folder(output.folder)

    def save(picture: tuple[str, npt.NDArray[Any]]) -> Path:
        name, image = picture
        path = output.path(name)
        if output.kind == ARRAYS:
            stills.save_array(path, image)
        else:
            stills.save(path, output.kind, image, {**output.text, "Latent": name})
        return path

    writers = min(os.cpu_count() or 1, MOST_WRITERS)
    batch = output.batch or 2 * writers
    convert = as_floats if output.kind == ARRAYS else as_pixels
    images = (convert(image) for image in one_by_one(snapshot, wish.latents, wish.labels))
    bar = tqdm(total=len(wish.names), unit="img", disable=None, leave=False)
    with bar, worker_pool(min(writers, batch), in_processes=False) as pool:
        for path in in_order(pool, save, zip(wish.names, images, strict=True), ahead=batch - 1):
            bar.update()
            yield path


def as_pixels(image: Tensor) -> Pixels:
    """[1, C, H, W] in [-1, 1] -> uint8 [H, W, C]."""
    pixels: Pixels = to_pixels(image)[0]
    return pixels


def as_floats(image: Tensor) -> npt.NDArray[np.float32]:
    """[1, C, H, W] -> float32 [H, W, C], the same numbers: what is beyond [-1, 1] stays there."""
    floats: npt.NDArray[np.float32] = image[0].permute(1, 2, 0).float().cpu().numpy()
    return np.ascontiguousarray(floats)


def write_grid(snapshot: Snapshot, wish: Wish, output: Output, columns: int, rows: int) -> Path:
    """All pictures side by side in one file; cell k is picture k."""
    config = snapshot.generator.config
    size = config.size(snapshot.level)
    sheets.require_size(columns, rows, size, config.channels)
    stills.require_format(output.kind, rows * size.height, columns * size.width, config.channels)
    images = np.stack(list(_drawn(snapshot, wish, GRID_NAME)))
    return _write_whole(output, GRID_NAME, wish, sheets.full_grid(images, columns, rows))


def write_sheet(snapshot: Snapshot, wish: Wish, output: Output, columns: int, rows: int) -> Path:
    """A contact sheet: pictures of 64 to 256 px, each with the number of its seed below."""
    size = snapshot.generator.config.size(snapshot.level)
    sheets.require_size(columns, rows, size, 3)
    cells = [sheets.cell(image) for image in _drawn(snapshot, wish, SHEET_NAME)]
    page = sheets.contact_sheet(cells, [in_words(name) for name in wish.names], columns, rows)
    stills.require_format(output.kind, *page.shape)
    return _write_whole(output, SHEET_NAME, wish, page)


def in_words(name: str) -> str:
    """'seed0007' -> 'seed 7'."""
    return re.sub(r"(\D+)0*(\d+)", r"\1 \2", name)


def _drawn(snapshot: Snapshot, wish: Wish, what: str) -> Iterator[Pixels]:
    images = one_by_one(snapshot, wish.latents, wish.labels)
    for image in tqdm(images, total=len(wish.names), unit="img", desc=what, disable=None,
                      leave=False):
        yield as_pixels(image)


def _write_whole(output: Output, name: str, wish: Wish, page: Pixels) -> Path:
    make_folder(output.folder)
    path = output.path(name)
    stills.save(path, output.kind, page, {**output.text, "Latents": " ".join(wish.names)})
    return path
