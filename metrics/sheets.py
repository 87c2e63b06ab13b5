"""Sheets of images: samples of several runs, and images beside their nearest neighbours."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from metrics.neighbours import NeighbourSearch, Window
from metrics.run_record import RunRecord
from progan.images import Pixels, arrange_grid, repeat_pixels, to_opaque_rgb
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render

CAPTION = 14  # px of height that a line of text needs
MIN_COMPARISON_CELL, MAX_COMPARISON_CELL = 64, 256  # px
MIN_NEIGHBOUR_CELL, MAX_NEIGHBOUR_CELL = 112, 256  # px
FRAME_COLOR = "red"


def resize_cell(image: Pixels, side: int) -> Pixels:
    """Resize [H, H, C] -> [side, side, 3] by repeating or averaging pixels."""
    cell = to_opaque_rgb(repeat_pixels(image[None], side)[0])
    if cell.width != side:
        cell = cell.resize((side, side), Image.Resampling.BOX)
    return np.asarray(cell, np.uint8)


def render_samples(record: RunRecord, seeds: Sequence[int]) -> Pixels:
    """Generate the images of seeds, as generate.py does: uint8 [N, H, W, C]."""
    snapshot = record.snapshot
    config = snapshot.generator.config
    return render(
        snapshot.generator,
        seed_latents(seeds, config.latent_size),
        seed_labels(seeds, config.label_size, snapshot.untrained_classes),
        snapshot.level,
        snapshot.alpha,
    )


def comparison_sheet(rows: Sequence[tuple[str, Pixels]], seeds: Sequence[int]) -> Pixels:
    """Arrange names and images [N, H, W, C] of runs below the seeds: [H', W', 3].

    All images are resized to the side of the largest ones, 64…256 px.
    """
    largest = max(images.shape[1] for _, images in rows)
    side = min(max(largest, MIN_COMPARISON_CELL), MAX_COMPARISON_CELL)
    cells = [
        np.concatenate([resize_cell(image, side) for image in images], 1) for _, images in rows
    ]
    bands = [_caption_row([f"seed {seed}" for seed in seeds], side)]
    for (name, _), row in zip(rows, cells, strict=True):
        bands += [_caption_row([name], row.shape[1]), row]
    return np.concatenate(bands)


def _caption_row(captions: Sequence[str], width: int) -> Pixels:
    """Render captions side by side, each as wide as a cell: [CAPTION, captions * width, 3]."""
    cells = []
    for text in captions:
        cell = Image.new("RGB", (width, CAPTION), "white")
        ImageDraw.Draw(cell).text((2, 1), text, fill="black")
        cells.append(np.asarray(cell, np.uint8))
    return arrange_grid(np.stack(cells), len(captions))


def neighbour_sheet(found: NeighbourSearch, rows: int, window: Window) -> Pixels:
    """Arrange each image beside its neighbours, the image with the nearest one first.

    Args:
        rows: Maximum number of rows.
        window: Compared part of the images; framed unless it is all of them.
    """
    order = np.argsort(found.nearest, kind="stable")[:rows]
    cells = []
    for place in order:
        number = found.images.rows[place : place + 1]
        cells.append(_neighbour_cell(found.images.read(number)[0], f"image {number[0]}", window))
        neighbours = found.neighbours.rows[place]
        for row, distance, image in zip(
            neighbours,
            found.neighbours.distances[place],
            found.training.read(neighbours),
            strict=True,
        ):
            cells.append(_neighbour_cell(image, f"#{row}  d {distance:.3g}", None))
    return arrange_grid(np.stack(cells), len(found.neighbours.rows[0]) + 1)


def _neighbour_cell(image: Pixels, caption: str, window: Window | None) -> Pixels:
    """Render an image [H, W, C] above its caption: [H', W', 3]."""
    height, width = image.shape[:2]
    enlarged = to_opaque_rgb(repeat_pixels(image[None], MIN_NEIGHBOUR_CELL)[0])
    enlarged.thumbnail((MAX_NEIGHBOUR_CELL, MAX_NEIGHBOUR_CELL), Image.Resampling.BOX)
    if window is not None and window[2:] != (width, height):
        scale = enlarged.width / width
        left, top = window.left * scale, window.top * scale
        right, bottom = (
            start + max(side * scale - 1, 0)  # at least a point
            for start, side in ((left, window.width), (top, window.height))
        )
        ImageDraw.Draw(enlarged).rectangle((left, top, right, bottom), outline=FRAME_COLOR)
    cell = Image.new("RGB", (enlarged.width + 2, enlarged.height + CAPTION), "white")
    cell.paste(enlarged, (1, 0))
    ImageDraw.Draw(cell).text((3, enlarged.height), caption, fill="black")
    return np.asarray(cell, np.uint8)
