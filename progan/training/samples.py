"""The sample grids of a run: cell k shows seed k, at every time and on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progan.config import Network, Run
from progan.data.loader import ShuffledRows
from progan.data.reader import Dataset
from progan.images import Pixels, enlarge, grid, png_text
from progan.networks import Generator
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render
from progan.schedule import Stage
from progan.sizes import Size, level_of

SCREEN_WIDTH, SCREEN_HEIGHT = 1920, 1080  # the grid fills about one screen
SMALLEST_CELL = 64  # resolution; smaller images are enlarged, to be seen at all
MOST_COLUMNS, MOST_ROWS = 16, 8
FEWEST_COLUMNS, FEWEST_ROWS = 3, 2
IMAGES_SEEN = "Images seen"  # in the text of a grid


@dataclass(frozen=True, slots=True)
class Layout:
    columns: int
    rows: int
    cell: Size

    @property
    def count(self) -> int:
        return self.columns * self.rows


def layout(network: Network) -> Layout:
    """Choose the grid for the images of the last level."""
    cell = network.size(max(network.max_level, level_of(SMALLEST_CELL)))
    columns = min(max(SCREEN_WIDTH // cell.width, FEWEST_COLUMNS), MOST_COLUMNS)
    rows = min(max(SCREEN_HEIGHT // cell.height, FEWEST_ROWS), MOST_ROWS)
    return Layout(columns, rows, cell)


def fakes(generator: Generator, run: Run, stage: Stage, untrained: Sequence[int] = ()) -> Pixels:
    """Grid of what the seeds 0, 1, 2 … show at this stage: [H, W, C].

    Args:
        untrained: Classes without training images, which no seed shows.
    """
    place = layout(run.network)
    seeds = range(place.count)
    images = render(
        generator,
        seed_latents(seeds, run.network.latent_size),
        seed_labels(seeds, run.network.label_size, untrained),
        stage.level,
        stage.alpha,
    )
    return grid(enlarge(images, min(place.cell)), place.columns)


def reals(dataset: Dataset, run: Run) -> Pixels:
    """Grid of the first reals that the run trains on, at the final resolution: [H, W, C]."""
    place = layout(run.network)
    training = dataset.training_rows
    order = ShuffledRows(len(training), run.seed).rows(0, min(place.count, len(training)))
    images = dataset.images(run.network.max_level, training[order])
    return grid(enlarge(images, min(place.cell)), place.columns)


def shown_in(path: Path) -> int | None:
    """How many images led to a grid; None if it does not tell."""
    text = png_text(path).get(IMAGES_SEEN, "")
    return int(text) if text.isdecimal() else None
