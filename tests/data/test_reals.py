"""Real images on their way to the critic, against the official code."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from progan.data.reals import process_reals

LODS = ("0.0", "0.25", "0.4", "0.999", "1.0", "1.5", "2.0", "2.9", "3.0")


@pytest.fixture(scope="module")
def golden(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden/process_reals.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("lod", LODS)
def test_the_official_reals(golden: dict[str, np.ndarray], lod: str, channels: int) -> None:
    """The official ones were enlarged to 32x32 afterwards: every step-th pixel is ours."""
    key = f"C{channels}/lod{lod}"
    expected = golden[f"{key}/out"]
    step = 32 // golden[f"{key}/in"].shape[-1]
    fraction = float(lod) - math.floor(float(lod))
    reals = process_reals(torch.from_numpy(golden[f"{key}/in"].transpose(0, 2, 3, 1)),
                          alpha=torch.tensor(1 - fraction) if fraction else None)
    assert reals.dtype == torch.float32
    enlarged = reals.numpy().repeat(step, axis=2).repeat(step, axis=3)
    np.testing.assert_allclose(enlarged, expected, rtol=0, atol=1e-6)


def test_the_golden_file_has_nothing_else(golden: dict[str, np.ndarray]) -> None:
    assert {key.split("lod")[1].split("/")[0] for key in golden} == set(LODS)


def noise() -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3)).astype(np.uint8))


@pytest.mark.parametrize("alpha", [None, torch.tensor(0.3)])
def test_only_the_images_named_are_mirrored(alpha: torch.Tensor | None) -> None:
    plain = process_reals(noise(), alpha=alpha)
    mirror = torch.tensor([True, False, False, True])
    mirrored = process_reals(noise(), mirror=mirror, alpha=alpha)
    for index, flipped in enumerate(mirror):
        left_to_right = plain[index].flip(-1)
        assert not torch.equal(left_to_right, plain[index])
        expected = left_to_right if flipped else plain[index]
        np.testing.assert_allclose(mirrored[index], expected, rtol=0, atol=1e-6)


def test_pixels_keep_their_places() -> None:
    images = torch.zeros(1, 4, 4, 3, dtype=torch.uint8)
    images[0, 1, 2, 0] = 255
    reals = process_reals(images)
    assert reals[0, 0, 1, 2] == 1
    assert (reals == -1).sum() == reals.numel() - 1
