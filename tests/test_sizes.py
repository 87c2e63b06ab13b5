"""Levels, resolutions, and sizes of images that are no squares."""

import pytest

from progan.config import Network
from progan.errors import UserError
from progan.sizes import (
    MAX_LEVEL,
    MIN_LEVEL,
    SQUARE,
    Size,
    level_name,
    level_of,
    require_base,
    size_at,
    stage_name,
)


@pytest.mark.parametrize(
    ("base", "level", "size", "name"),
    [
        (SQUARE, 5, (32, 32), "32"),
        (Size(4, 6), 2, (4, 6), "4 (6x4)"),
        (Size(4, 6), 7, (128, 192), "128 (192x128)"),
        (Size(7, 5), 3, (14, 10), "8 (10x14)"),
        (Size(6, 10), 9, (768, 1280), "512 (1280x768)"),
    ],
)
def test_each_level_doubles_the_base(
    base: Size, level: int, size: tuple[int, int], name: str
) -> None:
    network = Network(resolution=1024, base_height=base.height, base_width=base.width)
    assert network.size(level) == size_at(base, level) == size
    assert level_name(base, level) == name
    assert level_of(min(size)) == level


@pytest.mark.parametrize(
    ("base", "alpha", "name"),
    [
        (SQUARE, 1.0, "256 stable"),
        (SQUARE, 0.434, "128→256 fade 43%"),
        (Size(4, 6), 1.0, "384x256 stable"),
        (Size(4, 6), 0.5, "192x128→384x256 fade 50%"),
    ],
)
def test_places_in_the_growth_have_names(base: Size, alpha: float, name: str) -> None:
    assert stage_name(base, 8, alpha) == name


def test_sizes_are_read_with_the_width_first() -> None:
    size = Size(height=128, width=192)
    assert (str(size), size.brief, size.pixels) == ("192x128", "192x128", 24576)
    assert (str(Size(64, 64)), Size(64, 64).brief) == ("64x64", "64")


@pytest.mark.parametrize(
    "base", [Size(8, 8), Size(8, 16), Size(3, 4), Size(4, 64), Size(0, 4), Size(-4, 4)]
)
def test_other_bases_are_refused(base: Size) -> None:
    with pytest.raises(UserError, match=f"cannot be {base}: their shorter side must be 4 to 7"):
        require_base(base)
    with pytest.raises(UserError, match="--base|at level 2"):
        Network(base_height=base.height, base_width=base.width)


def test_the_levels_are_those_of_the_resolutions() -> None:
    assert (2**MIN_LEVEL, 2**MAX_LEVEL) == (4, 1024)
