"""Sliced Wasserstein distance against the official code and against NumPy."""

import json

import numpy as np
import pytest
import torch

from metrics import swd
from metrics.detector import MetricContext
from metrics.samples import ImageSample, ImageShape, split_batches
from progan.errors import UserError
from tests.builders import image_sample
from tests.reference import paper_metrics

CPU = torch.device("cpu")


def measure(images: np.ndarray, reals: np.ndarray, seed: int = 0) -> dict[str, float]:
    context = MetricContext(seed=seed, device=CPU)
    return swd.measure(image_sample(images), image_sample(reals), context)


def smooth_images(
    seed: int, count: int = 24, channels: int = 3, size: tuple[int, int] = (32, 32)
) -> np.ndarray:
    """Blocks of random grey, bright where the seed is large: uint8 [N, C, height, width]."""
    shape = (count, channels, size[0] // 4, size[1] // 4)
    blocks = np.random.RandomState(seed).beta(1 + seed, 2, shape)
    return (255 * blocks).astype(np.uint8).repeat(4, 2).repeat(4, 3)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "laplacian_pyramid.npz") as arrays:
        return dict(arrays)


def test_distance_is_the_official_one(golden):
    random = np.random.RandomState(18)
    vectors = [paper_metrics.directions(147, 128, random) for _ in range(4)]
    clouds = [torch.from_numpy(golden[name]) for name in ("swd_A", "swd_B")]
    distance = swd.sliced_wasserstein(*clouds, torch.from_numpy(np.hstack(vectors)))
    assert distance == pytest.approx(float(golden["swd_AB_seed18_4x128"]), rel=1e-6)


def test_patches_are_the_official_ones(golden):
    random = np.random.RandomState(17)
    columns, rows = (random.randint(3, 29, 64) - 3 for _ in range(2))  # centres -> corners
    places = torch.from_numpy(np.stack([rows, columns]).reshape(2, 4, 16))
    patches = swd.extract_patches(torch.from_numpy(golden["small"]), places).flatten(0, 1)
    # The official patches are [N, C, column, row].
    np.testing.assert_array_equal(patches.transpose(2, 3), golden["desc_seed17_small"])


def test_normalised_patches_are_the_official_ones(golden):
    patches = torch.from_numpy(golden["desc_seed17_small"].copy())
    np.testing.assert_allclose(
        swd.normalize_channels_(patches), golden["desc_final_seed17_small"], atol=1e-5
    )


def test_swd_is_the_official_one_but_for_chance(shared):
    """Within three of the deviations that five official seeds have, and about as random."""
    expected = json.loads((shared / "golden" / "metrics_shared.json").read_text())
    with np.load(shared / "golden" / "metrics_shared_images.npz") as arrays:
        fakes, reals = arrays["fakes"], arrays["reals"]
    runs = [measure(fakes, reals, seed) for seed in range(12)]
    assert list(runs[0]) == expected["swd_names"]
    ours, official = np.array([list(run.values()) for run in runs]), expected["swd_seeds"]
    difference = np.mean(ours, 0) - np.mean(official, 0)
    deviation = np.std(official, 0, ddof=1)
    assert np.all(np.abs(difference) < 3 * deviation), difference / deviation
    ratio = np.std(ours, 0, ddof=1) / deviation
    assert np.all((ratio > 0.25) & (ratio < 4)), ratio


@pytest.mark.parametrize("size", [(32, 32), (32, 48), (40, 32), (16, 24)])
def test_swd_agrees_with_numpy(size):
    first, second = smooth_images(1, size=size), smooth_images(2, size=size)
    ours = [list(measure(first, second, seed).values())[:-1] for seed in range(12)]
    theirs = [paper_metrics.swd(first, second, seed) for seed in range(12)]
    # Both are random: six values each, four standard errors of the difference.
    spread = np.sqrt((np.var(ours, 0, ddof=1) + np.var(theirs, 0, ddof=1)) / 6)
    assert np.all(np.abs(np.mean(ours, 0) - np.mean(theirs, 0)) < 4 * spread)
    assert np.all(spread < 0.1 * np.mean(theirs, 0)), "the comparison would not notice anything"


def test_distance_equals_numpy():
    random = np.random.RandomState(0)
    first, second = random.randn(500, 147), 1.5 * random.rand(500, 147)
    sets = [paper_metrics.directions(147, 16, random) for _ in range(3)]
    ours = swd.sliced_wasserstein(
        torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(np.hstack(sets))
    )
    assert ours == pytest.approx(paper_metrics.sliced_wasserstein(first, second, sets), rel=1e-9)


def test_normalised_patches_equal_numpy():
    patches = np.random.RandomState(0).rand(60, 3, 7, 7) * [[[[1]], [[20]], [[300]]]]
    ours = swd.normalize_channels_(torch.from_numpy(patches.copy()))
    expected = patches - patches.mean((0, 2, 3), keepdims=True)
    expected /= patches.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(ours, expected.reshape(60, -1))


def test_directions_are_unit_vectors_of_all_kinds():
    vectors = swd.random_directions(147, seed=0, index=0)
    assert vectors.shape == (147, 512)
    torch.testing.assert_close(vectors.norm(dim=0), torch.ones(512))
    overlap = (vectors.T @ vectors - torch.eye(512)).abs()
    assert overlap.max() < 0.6, "no direction comes twice"


def test_corners_reach_every_place():
    rows, columns = swd.random_corners(40, 9, 16, torch.Generator().manual_seed(0))
    assert rows.unique().tolist() == list(range(3))
    assert columns.unique().tolist() == list(range(10))


def test_patches_do_not_depend_on_the_batches_of_the_device(monkeypatch):
    monkeypatch.setattr("metrics.samples.PIXELS_PER_BATCH", 32 * 32 * 8)
    sample, context = image_sample(smooth_images(1)), MetricContext(seed=0, device=CPU)
    expected = swd.extract_descriptors(sample, range(2), "images", context)

    def all_at_once(self, device, what):
        yield torch.from_numpy(self.read(self.rows)).permute(0, 3, 1, 2)

    assert len(split_batches(sample.rows, sample.size, CPU)) == 3
    monkeypatch.setattr(ImageSample, "batches", all_at_once)
    for one, other in zip(
        expected, swd.extract_descriptors(sample, range(2), "images", context), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_seed_decides():
    first, second = smooth_images(1), smooth_images(2)
    runs = [measure(first, second, seed) for seed in (0, 0, 1)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_other_images_are_further_away(channels):
    sets = [smooth_images(seed, channels=channels) for seed in (1, 1, 2)]
    near, far = (measure(sets[0], other) for other in sets[1:])
    assert list(near) == ["SWDx1e3_32", "SWDx1e3_16", "SWDx1e3_avg"]
    assert near["SWDx1e3_avg"] < far["SWDx1e3_avg"]


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_levels_are_named_by_their_shorter_side(size):
    values = measure(smooth_images(1, size=size), smooth_images(2, size=size))
    assert list(values) == ["SWDx1e3_64", "SWDx1e3_32", "SWDx1e3_16", "SWDx1e3_avg"]


def test_average_is_that_of_the_levels():
    values = measure(smooth_images(1), smooth_images(2))
    assert values.pop("SWDx1e3_avg") == pytest.approx(np.mean(list(values.values())))


def test_images_without_contrast_have_a_distance():
    plain = np.full((4, 3, 32, 32), 255, np.uint8)
    black = np.zeros((4, 3, 32, 32), np.uint8)
    assert measure(black, black)["SWDx1e3_avg"] == 0
    assert np.isfinite(measure(plain, black)["SWDx1e3_avg"])


@pytest.mark.parametrize(
    ("height", "width", "levels"),
    [(16, 16, 1), (32, 32, 2), (1024, 1024, 7), (96, 64, 3), (17, 31, 1), (100, 60, 2)],
)
def test_images_that_can_be_halved_are_measured(height, width, levels):
    swd.require_measurable(ImageShape(height, width, 3), 2)
    assert swd.num_levels(ImageShape(height, width, 3)) == levels


@pytest.mark.parametrize(("height", "width"), [(15, 64), (8, 8), (33, 64), (66, 66)])
def test_images_that_cannot_be_halved_are_refused(height, width):
    with pytest.raises(UserError, match=f"{width}x{height}x3.*Use images of"):
        swd.require_measurable(ImageShape(height, width, 3), 2)


@pytest.mark.parametrize("limits", [{"PATCH_BYTES": 1}, {"PROJECTION_BYTES": 1}])
def test_less_memory_makes_no_difference(monkeypatch, limits):
    expected = measure(smooth_images(1), smooth_images(2))
    for name, value in limits.items():
        monkeypatch.setattr(swd, name, value)
    assert measure(smooth_images(1), smooth_images(2)) == pytest.approx(expected, rel=1e-5)
