"""Pictures in the page: recompressed, so that all of them together stay within some bytes."""

import re
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from progan import schedule
from progan.errors import UserError
from progan.images import opaque
from progan.report.run_data import Markup, RunData, data_uri, element, joined
from progan.run_directory import FAKES_PREFIX, FIRST_FAKES_FILE, REALS_FILE
from progan.training.samples import layout, shown_in

QUALITY_STEPS = (
    (1024, 82),
    (1024, 65),
    (800, 65),
    (640, 60),
    (480, 55),
    (320, 50),
    (200, 40),
)  # px, %
TRIED = 8  # pictures that tell what all of them will take
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # of Pillow


class Cells(NamedTuple):
    """The part of a grid that is shown."""

    columns: int
    rows: int
    width: int  # px of one cell
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.columns * self.width, self.rows * self.height


def open_image(path: Path, cells: Cells | None = None) -> Image.Image:
    """A picture as RGB, at most as wide as the page shows it; raises one of UNREADABLE.

    Args:
        cells: What of it is wanted; a picture that is smaller than that is taken whole.
    """
    with Image.open(path) as file:
        if cells is not None and file.width >= cells.size[0] and file.height >= cells.size[1]:
            cut = file.crop((0, 0, *cells.size))
        else:
            cut = file.copy()
    plain = cut if cut.mode in ("L", "RGB", "RGBA") else cut.convert("RGBA")
    return shrink_to_width(opaque(np.atleast_3d(np.asarray(plain))), QUALITY_STEPS[0][0])


def shrink_to_width(picture: Image.Image, width: int) -> Image.Image:
    """Scaled down to a width, unless it is narrower."""
    if picture.width <= width:
        return picture
    height = max(round(picture.height * width / picture.width), 1)
    return picture.resize((width, height), Image.Resampling.HAMMING)


def encode_within(pictures: Sequence[Image.Image], most_bytes: int) -> list[bytes]:
    """Files of pictures, all of one quality: the best that stay within about so many bytes."""
    some = pictures[:: -(-len(pictures) // TRIED)] if pictures else []
    width, quality = next(
        (
            (width, quality)
            for width, quality in QUALITY_STEPS
            if sum(len(encode_image(shrink_to_width(each, width), quality)) for each in some)
            * len(pictures)
            <= most_bytes * len(some)
        ),
        QUALITY_STEPS[-1],
    )
    return [encode_image(shrink_to_width(each, width), quality) for each in pictures]


def encode_image(picture: Image.Image, quality: int) -> bytes:
    """A file of `kind()`."""
    file = BytesIO()
    picture.save(file, image_format(), quality=quality)
    return file.getvalue()


def image_format() -> str:
    """'webp', which is smaller, where this Pillow has it."""
    return "webp" if features.check("webp") else "jpeg"


def image(file: bytes, words: str, **attributes: str | None) -> Markup:
    """An element that shows a file, and tells its words to whom does not see it."""
    with Image.open(BytesIO(file)) as picture:
        width, height = picture.size
    return element(
        "img",
        src=data_uri(file, f"image/{image_format()}"),
        alt=words,
        width=f"{width}",
        height=f"{height}",
        decoding="sync",
        **attributes,
    )


MAX_FRAMES = 60
MAX_COLUMNS, MAX_ROWS = 8, 4  # of a grid, to be seen on a telephone too
MAX_BYTES = 2_500_000  # of all frames; base64 makes a third more of them
NAME = re.compile(re.escape(FAKES_PREFIX) + r"(\d+)(?:_(\d{3}))?")


class Grid(NamedTuple):
    images_seen: int
    path: Path


class Frame(NamedTuple):
    images_seen: int
    picture: Image.Image


def section(material: RunData) -> Markup:
    """The player, what it leaves out, and the reals beside it."""
    found = grids(material.directory)
    if not found:
        raise UserError("There are no samples yet: they come with the first ticks.")
    wanted = choose_frames([grid.images_seen for grid in found], _phase_ends(material), MAX_FRAMES)
    cells = visible_cells(material)
    frames = list(_frames((found[place] for place in wanted), cells))
    if not frames:
        raise UserError("None of the sample grids can be read.")
    words = _words(len(found), len(wanted) - len(frames), len(frames), cells)
    return joined(
        [
            _player(material, frames, cells),
            element("p", words, class_="note"),
            _reals(material, cells),
        ]
    )


def grids(directory: Path) -> list[Grid]:
    """The sample grids of a run, oldest first."""
    found = [
        Grid(_moment(path), path)
        for path in directory.glob(f"{FAKES_PREFIX}*.png")
        if NAME.fullmatch(path.stem)
    ]
    first = directory / FIRST_FAKES_FILE
    return sorted([Grid(0, first)] * first.is_file() + found)


def choose_frames(moments: Sequence[int], ends: Iterable[float], most: int) -> list[int]:
    """Which of some moments to keep: the first, the last of each phase, and evenly of the others.

    Args:
        ends: The moments at which phases end.
    """
    last_of = [
        max((place for place, moment in enumerate(moments) if moment <= end), default=0)
        for end in ends
    ]
    kept = list(dict.fromkeys([0, len(moments) - 1, *reversed(last_of)]))[:most]
    rest = [place for place in range(len(moments)) if place not in kept]
    free = min(most - len(kept), len(rest))
    kept += [rest[(2 * number + 1) * len(rest) // (2 * free)] for number in range(free)]
    return sorted(kept)


def visible_cells(material: RunData) -> Cells | None:
    """The part of each grid that is shown; None if the settings do not tell."""
    if material.settings is None:
        return None
    place = layout(material.settings.network)
    return Cells(
        min(place.columns, MAX_COLUMNS),
        min(place.rows, MAX_ROWS),
        place.cell.width,
        place.cell.height,
    )


def seed_step(material: RunData) -> int:
    """How much larger the seed of the cell below is; 0 if the settings do not tell."""
    return layout(material.settings.network).columns if material.settings else 0


def _moment(path: Path) -> int:
    """How many images led to a grid: as it says itself, or, of older runs, its name."""
    told = shown_in(path)
    match = NAME.fullmatch(path.stem)
    if told is not None or match is None:
        return told or 0
    return int(match[1]) * 1000 + int(match[2] or 0)


def _phase_ends(material: RunData) -> list[float]:
    if material.settings is None:
        return []
    growth, network = material.settings.growth, material.settings.network
    return [
        phase.end_kimg * 1000
        for phase in schedule.phases(growth, network)
        if phase.end_kimg <= material.kimg
    ]


def _frames(found: Iterable[Grid], cells: Cells | None) -> Iterator[Frame]:
    """What of them can be read."""
    for grid in found:
        try:
            yield Frame(grid.images_seen, open_image(grid.path, cells))
        except UNREADABLE:
            continue


def _player(material: RunData, frames: Sequence[Frame], cells: Cells | None) -> Markup:
    """All frames, of which one is seen, and what chooses it."""
    captions = [_caption(material, frame.images_seen) for frame in frames]
    files = encode_within([frame.picture for frame in frames], MAX_BYTES)
    last = len(frames) - 1
    pictures = [
        image(
            file,
            f"Samples at {caption}",
            data_words=caption,
            data_kimg=f"{frame.images_seen / 1000:g}",
            hidden=None if place == last else "",
        )
        for place, (file, caption, frame) in enumerate(zip(files, captions, frames, strict=True))
    ]
    grid = (
        dict(
            data_columns=f"{cells.columns}",
            data_rows=f"{cells.rows}",
            data_step=f"{seed_step(material)}",
        )
        if cells
        else {}
    )
    return element(
        "figure",
        element("div", *pictures, class_="frames", **grid),
        element(
            "div",
            element("button", "Play", type="button"),
            element(
                "input",
                type="range",
                min="0",
                max=f"{last}",
                value=f"{last}",
                step="1",
                aria_label="Time of the samples",
                aria_valuetext=captions[-1],
            ),
            class_="controls",
        ),
        element("figcaption", element("output", captions[-1], aria_live="off")),
        class_="player",
    )


def _caption(material: RunData, images_seen: int) -> str:
    """'kimg 8: 4→8 fade 33%'."""
    words = material.stage_words(images_seen)
    return f"kimg {images_seen / 1000:g}" + (f": {words}" if words else "")


def _words(written: int, unreadable: int, kept: int, cells: Cells | None) -> str:
    words = [f"{kept} of {written} sample grids" if kept < written else f"All {kept} sample grids"]
    if cells is not None:
        words.append(f", of each the first {cells.columns}×{cells.rows} pictures at most")
    words.append(", recompressed. A place shows the same seed at all times.")
    if unreadable:
        words.append(f" {unreadable} could not be read.")
    return "".join(words)


def _reals(material: RunData, cells: Cells | None) -> Markup:
    """Some of the images that it learns from."""
    try:
        picture = open_image(material.directory / REALS_FILE, cells)
    except UNREADABLE:
        return element("p", f"There is no {REALS_FILE} to compare with.", class_="absent")
    (file,) = encode_within([picture], MAX_BYTES // 8)
    return element(
        "details",
        element("summary", "Real images, to compare"),
        image(file, "Some of the real images"),
    )
