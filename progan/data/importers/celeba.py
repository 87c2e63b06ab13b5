"""Aligned CelebA -> ImageSource at 128x128, cut out as the official tool does it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from progan.data.image_source import ImageSource, OnError, Sample, UnreadableImage, select_rows
from progan.data.importers.file_source import FileSource, open_file_source
from progan.data.importers.ignored_files import describe_ignored
from progan.data.importers.image_headers import ImageHeader, read_usable_headers
from progan.data.importers.pixels import convert_mode, decode_image

WIDTH, HEIGHT = 178, 218  # px, of every aligned image
RESOLUTION = 128
CENTER_X, CENTER_Y = 89, 121  # px, of the official crop
PLACES = tuple(
    Path(place)
    for place in (
        "img_align_celeba",
        "img_align_celeba.zip",
        "img_align_celeba_png",
        "celeba/img_align_celeba",
        "celeba/img_align_celeba.zip",
    )
)

Say = Callable[[str], None]


def import_celeba(
    source: Path,
    *,
    say: Say,
    cx: int = CENTER_X,
    cy: int = CENTER_Y,
    max_images: int | None = None,
    seed: int | None = None,
    on_error: OnError = "stop",
) -> ImageSource:
    """Look through the aligned images in `source`.

    Args:
        source: The folder img_align_celeba, its zip file, or a folder that has one of them.
        say: Receives one line about what was found.
        cx: Middle of the crop in px from the left, 64 … 114.
        cy: The same from the top, 64 … 154.

    Raises:
        UserError: No images, unreadable ones, or images of another size.
    """
    assert 64 <= cx <= WIDTH - 64 and 64 <= cy <= HEIGHT - 64, (cx, cy)
    place = next((source / place for place in PLACES if (source / place).exists()), source)
    tree, paths, ignored = open_file_source(place)
    for line in describe_ignored(ignored):
        say(line)
    taken = [paths[row] for row in select_rows(len(paths), max_images, seed)]
    headers, unreadable = read_usable_headers(place, tree, taken, on_error, _size_fault)
    return ImageSource(
        description=f"CelebA, {place.resolve()}",
        resolution=RESOLUTION,
        channels=3,
        count=len(headers),
        read=_Reader(tree, tuple(header.path for header in headers), cx, cy),
        skipped=tuple(unreadable),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    tree: FileSource
    paths: tuple[str, ...]
    cx: int
    cy: int

    def __call__(self, row: int) -> Sample:
        path = self.paths[row]
        image = convert_mode(decode_image(self.tree.read(path), path), 3)
        if image.size != (WIDTH, HEIGHT):  # as EXIF can turn it
            raise UnreadableImage(path, _size_text(*image.size))
        left, top = self.cx - RESOLUTION // 2, self.cy - RESOLUTION // 2
        return Sample(np.asarray(image)[top : top + RESOLUTION, left : left + RESOLUTION])


def _size_fault(header: ImageHeader) -> str:
    size = header.width, header.height
    return "" if size == (WIDTH, HEIGHT) else _size_text(*size)


def _size_text(width: int, height: int) -> str:
    return f"it has {width}x{height} pixels, not the {WIDTH}x{HEIGHT} of aligned CelebA images"
