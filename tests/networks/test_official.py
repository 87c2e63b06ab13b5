"""Networks against the outputs of the official TensorFlow code."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from progan import networks as nets
from progan.config import Network
from progan.ops import down2x, up2x
from tests.reference import official

NET32 = Network(resolution=32, latent_size=64, fmap_base=256, fmap_max=64)
LODS = (0.0, 0.4, 1.0, 1.3, 2.0, 2.5, 3.0)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "networks_net32.npz") as arrays:
        return dict(arrays)


def place(lod: float) -> tuple[int, torch.Tensor | None]:
    """The level and alpha of an official lod at resolution 32."""
    fraction = lod - math.floor(lod)
    return 5 - math.floor(lod), torch.tensor(1 - fraction) if fraction else None


def at_level(images: np.ndarray, level: int) -> torch.Tensor:
    x = torch.from_numpy(images)
    while x.shape[-1] > 1 << level:
        x = down2x(x)
    return x


def generate(golden: dict, lod: float, count: int = 8, **switches: bool) -> np.ndarray:
    """Run our G and double its images up to 32x32, as the official G itself does."""
    network = nets.build_generator(dataclasses.replace(NET32, **switches))
    network.load_state_dict(official.state_dict(golden, "G/"))
    level, alpha = place(lod)
    with torch.no_grad():  # in float64, so that the rounding errors are those of the golden data
        x = network.double()(
            torch.from_numpy(golden["latents"][:count]).double(),
            torch.zeros(count, 0),
            level,
            alpha,
        )
    while x.shape[-1] < 32:
        x = up2x(x)
    return x.numpy()


def judge(golden: dict, lod: float, images: np.ndarray, **switches: object) -> np.ndarray:
    network = nets.build_discriminator(dataclasses.replace(NET32, **switches))
    network.load_state_dict(official.state_dict(golden, "D/"))
    level, alpha = place(lod)
    with torch.no_grad():
        scores, logits, _ = network(at_level(images, level), level, alpha)
    assert logits.shape == (len(images), 0)
    return scores.numpy()


@pytest.mark.parametrize("lod", LODS)
def test_generator(golden, lod):
    np.testing.assert_allclose(generate(golden, lod), golden[f"G_out/lod{lod}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lod", LODS)
def test_generator_unfused(golden, lod):
    images = generate(golden, lod, fused_scaling=False)
    expected = golden[f"G_out_unfused_flipped/lod{lod}"]
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("lod", LODS)
@pytest.mark.parametrize("images", ["images", "fakes"])
def test_discriminator(golden, lod, images):
    fake = images == "fakes"
    x = golden[f"G_out/lod{lod}"] if fake else golden["images"]
    expected = golden[f"D_scores_fake/lod{lod}" if fake else f"D_scores/lod{lod}"]
    np.testing.assert_allclose(judge(golden, lod, x), expected[:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("lod", LODS)
def test_discriminator_unfused(golden, lod):
    scores = judge(golden, lod, golden["images"], fused_scaling=False)
    expected = golden[f"D_scores_unfused/lod{lod}"][:, 0]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("group", [2, 8, 16])
def test_stddev_groups(golden, group):
    scores = judge(golden, 0.4, golden["images"], stddev_group=group)
    expected = golden[f"D_scores_mbstd{group}/lod0.4"][:, 0]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_batches_smaller_than_or_equal_to_the_group(golden, count):
    scores = judge(golden, 0.4, golden["images"][:count])
    expected = golden[f"D_scores_batch{count}/lod0.4"][:, 0]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-5)


def test_generator_batch_of_three(golden):
    images = generate(golden, 0.4, count=3)
    np.testing.assert_allclose(images, golden["G_out_batch3/lod0.4"], rtol=0, atol=1e-5)
