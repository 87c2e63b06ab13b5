"""Sample grids of a run: cell k always shows seed k, on every machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from progan.config import Network, Run
from progan.data.loader import ShuffledRows
from progan.data.reader import Dataset
from progan.images import Pixels, arrange_grid, enlarge_by_repeating_pixels, read_png_text
from progan.networks import Generator
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render
from progan.schedule import Stage
from progan.sizes import Size, level_of

SCREEN_WIDTH, SCREEN_HEIGHT = 1920, 1080  # the grid fills about one screen
SMALLEST_CELL = 64  # resolution; smaller images are enlarged
MOST_COLUMNS, MOST_ROWS = 16, 8
FEWEST_COLUMNS, FEWEST_ROWS = 3, 2
IMAGES_SEEN = "Images seen"  # key in the metadata of a grid


@dataclass(frozen=True, slots=True)
class Layout:
    columns: int
    rows: int
    cell: Size

    @property
    def count(self) -> int:
        return self.columns * self.rows


def choose_layout(network: Network) -> Layout:
    """Choose the layout for the images of the last level."""
    cell = network.size(max(network.max_level, level_of(SMALLEST_CELL)))
    columns = min(max(SCREEN_WIDTH // cell.width, FEWEST_COLUMNS), MOST_COLUMNS)
    rows = min(max(SCREEN_HEIGHT // cell.height, FEWEST_ROWS), MOST_ROWS)
    return Layout(columns, rows, cell)


def fakes_grid(
    generator: Generator, run: Run, stage: Stage, untrained: Sequence[int] = ()
) -> Pixels:
    """Render the images of the seeds 0, 1, 2 … at this stage as a grid: [H, W, C].

    Args:
        untrained: Classes without training images, which are left out.
    """
    layout = choose_layout(run.network)
    seeds = range(layout.count)
    images = render(
        generator,
        seed_latents(seeds, run.network.latent_size),
        seed_labels(seeds, run.network.label_size, untrained),
        stage.level,
        stage.alpha,
    )
    return arrange_grid(enlarge_by_repeating_pixels(images, min(layout.cell)), layout.columns)


def reals_grid(dataset: Dataset, run: Run) -> Pixels:
    """Return a grid of the first training images of the run, at its final resolution: [H, W, C]."""
    layout = choose_layout(run.network)
    training = dataset.training_rows
    order = ShuffledRows(len(training), run.seed).rows(0, min(layout.count, len(training)))
    images = dataset.images(run.network.max_level, training[order])
    return arrange_grid(enlarge_by_repeating_pixels(images, min(layout.cell)), layout.columns)


def read_grid_images_seen(path: Path) -> int | None:
    """Read the images seen from the metadata of a grid; None if missing."""
    text = read_png_text(path).get(IMAGES_SEEN, "")
    return int(text) if text.isdecimal() else None
