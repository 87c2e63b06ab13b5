"""The grids of a run."""

from pathlib import Path

import pytest

from progan.config import Network
from progan.sizes import Size
from progan.training.sample_grids import choose_layout, reals_grid
from tests.builders import noise_dataset, tiny_run


@pytest.mark.parametrize(
    "resolution, columns, rows, cell",
    [(32, 16, 8, 64), (64, 16, 8, 64), (128, 15, 8, 128), (256, 7, 4, 256), (1024, 3, 2, 1024)],
)
def test_the_grid_fills_a_screen(resolution: int, columns: int, rows: int, cell: int) -> None:
    place = choose_layout(Network(resolution=resolution))
    assert (place.columns, place.rows, place.cell) == (columns, rows, (cell, cell))


@pytest.mark.parametrize(
    "resolution, base, columns, rows, cell",
    [
        (16, Size(4, 6), 16, 8, Size(64, 96)),
        (16, Size(6, 4), 16, 8, Size(96, 64)),
        (512, Size(6, 10), 3, 2, Size(768, 1280)),
        (256, Size(10, 5), 6, 2, Size(640, 320)),
    ],
)
def test_cells_keep_the_shape_of_the_images(
    resolution: int, base: Size, columns: int, rows: int, cell: Size
) -> None:
    place = choose_layout(
        Network(resolution=resolution, base_height=base.height, base_width=base.width)
    )
    assert (place.columns, place.rows, place.cell) == (columns, rows, cell)


def test_the_reals_are_those_that_are_trained_on(tmp_path: Path) -> None:
    dataset = noise_dataset(tmp_path / "noise", count=40, holdout=0.25)
    cells = reals_grid(dataset, tiny_run()).reshape(2, 64, 16, 64, 3)[:, ::4, :, ::4].swapaxes(1, 2)
    shown = {cell.tobytes() for cell in cells.reshape(32, 16, 16, 3) if cell.any()}
    assert shown == {image.tobytes() for image in dataset.images(4, dataset.training_rows)}
    assert len(shown) == 30
