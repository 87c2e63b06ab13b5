"""Smaller copies against whole-number arithmetic and against the official tool's own output."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progan.data.pyramid import build_pyramid
from progan.sizes import Size, size_at_level


def box_average(images: npt.NDArray[np.uint8], factor: int) -> npt.NDArray[np.int64]:
    """Mean of factor x factor boxes in whole numbers, halves rounded to even."""
    n, height, width, channels = images.shape
    boxes = (
        images.astype(np.int64)
        .reshape(n, height // factor, factor, width // factor, factor, channels)
        .sum(axis=(2, 4))
    )
    quotient, rest = np.divmod(boxes, factor**2)
    up = (2 * rest > factor**2) | ((2 * rest == factor**2) & (quotient % 2 == 1))
    return quotient + up


@settings(max_examples=30, deadline=None)
@given(
    st.integers(2, 6),
    st.sampled_from([(4, 4), (4, 6), (10, 5), (7, 7)]),
    st.sampled_from([1, 3, 4]),
    st.integers(1, 3),
    st.integers(0, 2**32 - 1),
)
def test_every_level_is_the_rounded_mean_of_the_original(
    level: int, base: tuple[int, int], channels: int, count: int, seed: int
) -> None:
    random = np.random.RandomState(seed)
    shape = (count, *size_at_level(Size(*base), level), channels)
    images = random.randint(0, 256, shape).astype(np.uint8)
    levels = build_pyramid(images)
    assert sorted(levels) == list(range(2, level + 1))
    for each, shrunk in levels.items():
        assert shrunk.dtype == np.uint8
        np.testing.assert_array_equal(shrunk, box_average(images, 2 ** (level - each)))


def test_a_megapixel_image_is_exact_down_to_4x4() -> None:
    # Near 255 all 24 bits are used, and few values lie so that a rounding on the way would show.
    random = np.random.RandomState(0)
    images = np.where(random.rand(1, 1024, 1024, 1) < 0.5, 254, 255).astype(np.uint8)
    images[0, :256, :256, 0] = 255
    images[0, :256, :128, 0] = 254  # 254.5 exactly: to even
    assert build_pyramid(images)[2][0, 0, 0, 0] == 254
    for level, shrunk in build_pyramid(images).items():
        np.testing.assert_array_equal(shrunk, box_average(images, 2 ** (10 - level)))


def test_levels_are_not_rounded_on_the_way() -> None:
    images = np.zeros((1, 16, 16, 1), dtype=np.uint8)
    images[0, :4:2, :4:2] = 2  # each 2x2 box has a mean of 0.5, which would round to 0
    images[0, 0, 0] = 4  # their mean is 0.625, which rounds to 1
    assert build_pyramid(images)[3][0, :2, :2, 0].tolist() == [[1, 0], [0, 0]]
    assert build_pyramid(images)[2][0, 0, 0, 0] == 1


def test_the_official_tool_wrote_the_same(shared: Path) -> None:
    golden = np.load(shared / "golden/tfrecord/tfr32rgb_expected.npz")
    levels = build_pyramid(golden["raw_images"].transpose(0, 2, 3, 1))
    for lod in range(4):
        official = golden[f"read_images_lod{lod}"].transpose(0, 2, 3, 1)  # shuffled
        np.testing.assert_array_equal(levels[5 - lod][golden["order"]], official)


@pytest.mark.parametrize("value", [0, 255])
def test_flat_images_stay_flat(value: int) -> None:
    for shrunk in build_pyramid(np.full((2, 64, 64, 3), value, np.uint8)).values():
        assert (shrunk == value).all()
