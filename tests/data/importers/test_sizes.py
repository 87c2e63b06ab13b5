"""Sizes that can be halved down to a base, and the nearest ones of those that cannot."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.errors import UserError
from progan.sizes import (
    LONGEST_BASE,
    Size,
    base_size,
    level_of,
    nearest_sizes,
    parse_size,
    require_base,
    size_at,
)


@given(st.integers(4, 7), st.integers(4, LONGEST_BASE), st.booleans(), st.integers(2, 10))
def test_every_base_at_every_level_is_found_again(
    shorter: int, longer: int, upright: bool, level: int
) -> None:
    base = Size(longer, shorter) if upright else Size(shorter, longer)
    size = size_at(base, level)
    assert base_size(size) == base
    assert parse_size(str(size)) == size
    assert level_of(min(size)) == level


@given(st.integers(0, 3000), st.integers(0, 20000))
def test_a_size_has_a_base_or_a_reason(height: int, width: int) -> None:
    size = Size(height, width)
    try:
        base = base_size(size)
    except UserError as error:
        if "nearest" not in str(error):
            assert not 4 <= min(size) <= 7 << 8 or max(size) > LONGEST_BASE * min(size) / 8
            return
        found = nearest_sizes(size)
        assert found and all(str(other) in str(error) for other in found)
        for other in found:
            base_size(other)
            assert abs(other.height - height) < min(size) / 4 + 1
            assert abs(other.width - width) < min(size) / 4 + 1
    else:
        require_base(base)
        assert size_at(base, level_of(min(size))) == size


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
