"""The grids of a run."""

import pytest

from progan.training.samples import layout


@pytest.mark.parametrize("resolution, columns, rows, cell", [
    (32, 16, 8, 64), (64, 16, 8, 64), (128, 15, 8, 128), (256, 7, 4, 256), (1024, 3, 2, 1024)])
def test_the_grid_fills_a_screen(resolution: int, columns: int, rows: int, cell: int) -> None:
    place = layout(resolution)
    assert (place.columns, place.rows, place.cell) == (columns, rows, cell)
