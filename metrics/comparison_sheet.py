"""Pictures of several runs on one sheet: a row for each run, a column for each seed."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from metrics.cells import CAPTION, of_side
from metrics.run_record import RunRecord
from progan.images import Pixels, grid
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render

SMALLEST_CELL, LARGEST_CELL = 64, 256  # px


def samples(record: RunRecord, seeds: Sequence[int]) -> Pixels:
    """The pictures of the seeds, as generate.py draws them: uint8 [N, H, W, C]."""
    snapshot = record.snapshot
    config = snapshot.generator.config
    return render(snapshot.generator, seed_latents(seeds, config.latent_size),
                  seed_labels(seeds, config.label_size, snapshot.untrained_classes),
                  snapshot.level, snapshot.alpha)


def sheet_of(rows: Sequence[tuple[str, Pixels]], seeds: Sequence[int]) -> Pixels:
    """Names and pictures [N, H, W, C] of runs, under the numbers of the seeds: [H', W', 3].

    Smaller pictures are enlarged to the side of the largest ones, 64…256 px.
    """
    largest = max(images.shape[1] for _, images in rows)
    side = min(max(largest, SMALLEST_CELL), LARGEST_CELL)
    cells = [np.concatenate([of_side(image, side) for image in images], 1) for _, images in rows]
    bands = [_band([f"seed {seed}" for seed in seeds], side)]
    for (name, _), row in zip(rows, cells, strict=True):
        bands += [_band([name], row.shape[1]), row]
    return np.concatenate(bands)


def _band(words: Sequence[str], width: int) -> Pixels:
    """Lines of text side by side, each as wide as a cell: [CAPTION, len(words) * width, 3]."""
    cells = []
    for text in words:
        cell = Image.new("RGB", (width, CAPTION), "white")
        ImageDraw.Draw(cell).text((2, 1), text, fill="black")
        cells.append(np.asarray(cell, np.uint8))
    return grid(np.stack(cells), len(words))
