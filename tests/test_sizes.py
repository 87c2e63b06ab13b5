"""Levels, resolutions, and sizes of images that are not square."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.config import Network
from progan.errors import UserError
from progan.sizes import (
    LONGEST_BASE,
    MAX_LEVEL,
    MIN_LEVEL,
    SQUARE,
    Size,
    compute_base_size,
    find_nearest_valid_sizes,
    format_level,
    format_stage,
    level_of,
    parse_size,
    require_base,
    size_at_level,
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
    assert network.size(level) == size_at_level(base, level) == size
    assert format_level(base, level) == name
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
    assert format_stage(base, 8, alpha) == name


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


@given(st.integers(4, 7), st.integers(4, LONGEST_BASE), st.booleans(), st.integers(2, 10))
def test_every_base_at_every_level_is_found_again(
    shorter: int, longer: int, upright: bool, level: int
) -> None:
    base = Size(longer, shorter) if upright else Size(shorter, longer)
    size = size_at_level(base, level)
    assert compute_base_size(size) == base
    assert parse_size(str(size)) == size
    assert level_of(min(size)) == level


@given(st.integers(0, 3000), st.integers(0, 20000))
def test_a_size_has_a_base_or_a_reason(height: int, width: int) -> None:
    size = Size(height, width)
    try:
        base = compute_base_size(size)
    except UserError as error:
        if "nearest" not in str(error):
            assert not 4 <= min(size) <= 7 << 8 or max(size) > LONGEST_BASE * min(size) / 8
            return
        found = find_nearest_valid_sizes(size)
        assert found and all(str(other) in str(error) for other in found)
        for other in found:
            compute_base_size(other)
            assert abs(other.height - height) < min(size) / 4 + 1
            assert abs(other.width - width) < min(size) / 4 + 1
    else:
        require_base(base)
        assert size_at_level(base, level_of(min(size))) == size


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ("1280x720", "1280x768 and 1280x640"),
        ("1920x1080", "1792x1024 and 2048x1024"),
        ("50x30", "48x28 and 52x28"),
        ("25x17", "24x16 and 28x16"),
        ("100x100", "96x96 and 112x96"),
        ("31x31", "32x32 and 32x28"),
    ],
)
def test_the_nearest_sizes_are_named(size: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"--size {size}: .*The nearest sizes are {nearest}"):
        parse_size(size)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not WIDTHxHEIGHT"),
        ("64", "is not WIDTHxHEIGHT"),
        ("64X64", "is not WIDTHxHEIGHT"),
        ("-4x4", "is not WIDTHxHEIGHT"),
        ("4x4x4", "is not WIDTHxHEIGHT"),
        ("3x4", "shorter side must be 4 to 1792 px"),
        ("4096x2048", "4 to 1792 px"),
        ("4096x16", "16 px, the longer one is 252 px at most"),
    ],
)
def test_what_is_no_size_is_answered_with_one(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_size(text)
