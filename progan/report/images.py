"""Samples section: sample grids over time, recompressed to a limited number of bytes."""

import base64
import re
from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, features

from progan import schedule
from progan.errors import UserError
from progan.images import to_opaque_pil
from progan.report.run_data import RunData
from progan.run_directory import FAKES_PREFIX, FIRST_FAKES_FILE, REALS_FILE
from progan.training.sample_grids import choose_layout, read_grid_images_seen

# Width in px and quality in percent, best first.
QUALITY_STEPS = ((1024, 82), (1024, 65), (800, 65), (640, 60), (480, 55), (320, 50), (200, 40))
MAX_WIDTH = QUALITY_STEPS[0][0]
MAX_HEIGHT = 16383  # px: WebP takes no more
NUM_TRIED = 8  # images from which the size of all is estimated
PILLOW_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
MAX_FRAMES = 60
MAX_COLUMNS, MAX_ROWS = 8, 4  # largest visible part of a grid
MAX_BYTES = 2_500_000  # all frames together; base64 adds a third
NAME = re.compile(re.escape(FAKES_PREFIX) + r"(\d+)(?:_(\d{3}))?")


class Cells(NamedTuple):
    """The visible part of a sample grid."""

    columns: int
    rows: int
    width: int  # px of one cell
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.width, self.rows * self.height


class Grid(NamedTuple):
    """A file of samples, and the images that the generator had seen."""

    images_seen: int
    path: Path


class EmbeddedImage(NamedTuple):
    """An image file as a data URI, and its size in px."""

    uri: str
    width: int
    height: int


class Frame(NamedTuple):
    """A sample grid in the page."""

    image: EmbeddedImage
    kimg: float
    caption: str


def build_section(data: RunData) -> dict[str, Any]:
    """Return the frames, a note on what is left out, and the reals; raises UserError if empty."""
    grids = find_grids(data.directory)
    if not grids:
        raise UserError("No samples yet: they come with the first ticks.")
    chosen = choose_frames([grid.images_seen for grid in grids], _list_phase_ends(data), MAX_FRAMES)
    cells = choose_visible_cells(data)
    opened = [
        (grids[index], image)
        for index in chosen
        if (image := _open_or_none(grids[index].path, cells))
    ]
    if not opened:
        raise UserError("None of the sample grids can be read.")
    files = encode_within([image for _, image in opened], MAX_BYTES)
    reals = _open_or_none(data.directory / REALS_FILE, cells)
    return {
        "frames": [
            Frame(
                embed_as_data_uri(file),
                grid.images_seen / 1000,
                _format_caption(data, grid.images_seen),
            )
            for file, (grid, _) in zip(files, opened, strict=True)
        ],
        "cells": cells,
        "seed_step": choose_layout(data.settings.network).columns if data.settings else 0,
        "note": _describe_omitted_frames(len(grids), len(chosen) - len(opened), len(opened), cells),
        "reals": embed_as_data_uri(encode_within([reals], MAX_BYTES // 8)[0]) if reals else None,
        "reals_message": f"{REALS_FILE} is missing.",
    }


def find_grids(directory: Path) -> list[Grid]:
    """Return the sample grids of a run, oldest first."""
    found = [
        Grid(_read_images_seen(path, match), path)
        for path in directory.glob(f"{FAKES_PREFIX}*.png")
        if (match := NAME.fullmatch(path.stem))
    ]
    first = directory / FIRST_FAKES_FILE
    return sorted([Grid(0, first)] * first.is_file() + found)


def _read_images_seen(path: Path, name: re.Match[str]) -> int:
    """Return the images seen, from the file's text or, in older runs, from its name."""
    recorded = read_grid_images_seen(path)
    return int(name[1]) * 1000 + int(name[2] or 0) if recorded is None else recorded


def choose_frames(moments: Sequence[int], ends: Iterable[float], max_frames: int) -> list[int]:
    """Choose indices of `moments`: first, last, the last of each phase, and others evenly.

    Args:
        ends: The moments at which phases end.
    """
    last_of = [
        max((index for index, moment in enumerate(moments) if moment <= end), default=0)
        for end in ends
    ]
    kept = list(dict.fromkeys([0, len(moments) - 1, *reversed(last_of)]))[:max_frames]
    rest = [index for index in range(len(moments)) if index not in kept]
    free = min(max_frames - len(kept), len(rest))
    kept += [rest[(2 * number + 1) * len(rest) // (2 * free)] for number in range(free)]
    return sorted(kept)


def choose_visible_cells(data: RunData) -> Cells | None:
    """Return the part of each grid to show; None if the settings are unknown."""
    if data.settings is None:
        return None
    place = choose_layout(data.settings.network)
    return Cells(
        min(place.columns, MAX_COLUMNS),
        min(place.rows, MAX_ROWS),
        place.cell.width,
        place.cell.height,
    )


def open_image(path: Path, cells: Cells | None = None) -> Image.Image:
    """Open an image as RGB, at most MAX_WIDTH wide; raises one of PILLOW_ERRORS.

    Args:
        cells: Crop to these, unless the image is smaller.
    """
    with Image.open(path) as file:
        if cells is not None and file.width >= cells.size[0] and file.height >= cells.size[1]:
            image = file.crop((0, 0, *cells.size))
        else:
            image = file.copy()
    plain = image if image.mode in ("L", "RGB", "RGBA") else image.convert("RGBA")
    return shrink_to_width(to_opaque_pil(np.atleast_3d(np.asarray(plain))), MAX_WIDTH)


def shrink_to_width(image: Image.Image, width: int) -> Image.Image:
    """Scale an image down to a width; a narrower one is returned as it is."""
    if image.width <= width:
        return image
    height = max(round(image.height * width / image.width), 1)
    return image.resize((width, height), Image.Resampling.HAMMING)


def encode_within(images: Sequence[Image.Image], max_bytes: int) -> list[bytes]:
    """Encode images with the best common width and quality that fit into about `max_bytes`.

    The size is estimated from some of them; the last quality step is used even if it is too large.
    """
    some = images[:: -(-len(images) // NUM_TRIED)] if images else []
    width, quality = next(
        (
            step
            for step in QUALITY_STEPS
            if sum(len(_shrink_and_encode(image, *step)) for image in some) * len(images)
            <= max_bytes * len(some)
        ),
        QUALITY_STEPS[-1],
    )
    return [_shrink_and_encode(image, width, quality) for image in images]


def embed_as_data_uri(file: bytes) -> EmbeddedImage:
    """Return the content of an image file as a data URI."""
    with Image.open(BytesIO(file)) as image:
        content = base64.b64encode(file).decode("ascii")
        return EmbeddedImage(f"data:image/{_choose_image_format()};base64,{content}", *image.size)


def _shrink_and_encode(image: Image.Image, width: int, quality: int) -> bytes:
    file = BytesIO()
    width = min(width, max(MAX_HEIGHT * image.width // image.height, 1))
    shrink_to_width(image, width).save(file, _choose_image_format(), quality=quality)
    return file.getvalue()


def _choose_image_format() -> str:
    """Return 'webp', which is smaller, or 'jpeg' if this Pillow has no WebP."""
    return "webp" if features.check("webp") else "jpeg"


def _open_or_none(path: Path, cells: Cells | None) -> Image.Image | None:
    try:
        return open_image(path, cells)
    except PILLOW_ERRORS:
        return None


def _list_phase_ends(data: RunData) -> list[float]:
    """Return the images seen at the end of each finished phase."""
    if data.settings is None:
        return []
    phases = schedule.iterate_phases(data.settings.growth, data.settings.network)
    return [phase.end_kimg * 1000 for phase in phases if phase.end_kimg <= data.kimg]


def _format_caption(data: RunData, images_seen: int) -> str:
    """Return e.g. 'kimg 8: 4→8 fade 33%'."""
    stage = data.describe_stage(images_seen)
    return f"kimg {images_seen / 1000:g}" + (f": {stage}" if stage else "")


def _describe_omitted_frames(written: int, unreadable: int, kept: int, cells: Cells | None) -> str:
    counts = f"{kept} of {written} sample grids" if kept < written else f"All {kept} sample grids"
    first = f", of each the first {cells.columns}×{cells.rows} images at most" if cells else ""
    missing = f" {unreadable} could not be read." if unreadable else ""
    return f"{counts}{first}, recompressed. A cell shows the same seed at all times.{missing}"
