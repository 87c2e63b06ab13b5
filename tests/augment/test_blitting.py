"""Pixel blitting: exactly NumPy's flips and mirrored shifts."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from progan.augment import flip_and_translate_by_pixels, reflect_indices
from progan.config import Augment
from tests.augment.numbers import chosen, drawn

ONE = torch.tensor(1.0)
FLIP = Augment(augment_kinds="flip")
TRANSLATE = Augment(augment_kinds="translate", augment_translate=0.25)


def noise(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(0).uniform(-1, 1, shape).astype(np.float32))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_flips_are_exact_and_half_of_them_happen(channels: int) -> None:
    images = noise(2, channels, 4, 6)
    assert torch.equal(
        flip_and_translate_by_pixels(images, ONE, chosen(2, flip=0.499), FLIP), images.flip(3)
    )
    assert torch.equal(flip_and_translate_by_pixels(images, ONE, chosen(2, flip=0.5), FLIP), images)


@pytest.mark.parametrize(("h", "w"), [(8, 8), (4, 12), (16, 4)])
def test_translations_are_exact(h: int, w: int) -> None:
    images = noise(1, 3, h, w)
    padded = np.pad(images, [(0, 0), (0, 0), (h - 1, h - 1), (w - 1, w - 1)], mode="reflect")
    for i, down in enumerate(range(-(h // 4), h // 4 + 1)):
        for j, right in enumerate(range(-(w // 4), w // 4 + 1)):
            numbers = ((i + 0.5) / (h // 4 * 2 + 1), (j + 0.5) / (w // 4 * 2 + 1))
            found = flip_and_translate_by_pixels(images, ONE, chosen(translate=numbers), TRANSLATE)
            expected = padded[:, :, h - 1 - down :][:, :, :h, w - 1 - right :][:, :, :, :w]
            np.testing.assert_array_equal(found, expected)


def test_translations_are_equally_likely() -> None:
    images = torch.zeros(5000, 1, 16, 16)
    images[:, 0, 8, 8] = 1
    found = flip_and_translate_by_pixels(images, ONE, drawn(TRANSLATE, 5000), TRANSLATE)[:, 0]
    counts = found.sum(dim=0)[4:13, 4:13]  # 4 pixels either way
    assert counts.sum() == 5000
    assert stats.chisquare(counts.flatten()).pvalue > 1e-4


def test_the_extreme_numbers_stay_in_range() -> None:
    images = noise(1, 1, 16, 16)
    last = float(np.nextafter(np.float32(1), np.float32(0)))
    found = flip_and_translate_by_pixels(images, ONE, chosen(translate=(last, last)), TRANSLATE)
    assert torch.equal(found[:, :, 4:, 4:], images[:, :, :-4, :-4])


@pytest.mark.parametrize("size", [2, 3, 4, 7])
def test_mirrors_are_endless(size: int) -> None:
    expected = np.pad(np.arange(size), 40, mode="reflect")
    np.testing.assert_array_equal(reflect_indices(torch.arange(-40, size + 40), size), expected)
