"""Copying is called out, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metrics.detector import MetricContext, pixel_detector
from metrics.neighbours import (
    SUSPICIOUS,
    CropBox,
    NeighbourSearch,
    compare_distances,
    plot_distances,
    search_training_images,
    summarize_search,
)
from metrics.sources import SampleSource
from progan.errors import UserError
from tests.builders import source_of

SETUP = MetricContext(seed=0, device=torch.device("cpu"), detector=pixel_detector())
WHOLE = CropBox(0, 0, 8, 8)
DISTANCES = st.lists(st.integers(0, 5), min_size=1, max_size=20)


def images_of(seed: int, count: int) -> np.ndarray:
    """Blocks of random colours: uint8 [N, 3, 8, 8]."""
    blocks = np.random.RandomState(seed).randint(0, 256, (count, 3, 4, 4))
    return blocks.astype(np.uint8).repeat(2, 2).repeat(2, 3)


def noisy(images: np.ndarray) -> np.ndarray:
    noise = np.random.RandomState(9).randint(-8, 9, images.shape)
    return (images + noise).clip(0, 255).astype(np.uint8)


def asked(
    images: SampleSource, reals: SampleSource, num_images: int = 40, k: int = 3, seed: int = 0
) -> NeighbourSearch:
    return search_training_images(
        images, reals, replace(SETUP, seed=seed), num_images=num_images, k=k, window=WHOLE
    )


@given(DISTANCES, DISTANCES)
def test_nearer_is_the_share_of_pairs_and_ties_count_half(images, others):
    wins = [
        float(image < other) + 0.5 * float(image == other) for image in images for other in others
    ]
    nearer, p_value = compare_distances(np.array(images, float), np.array(others, float))
    assert nearer == pytest.approx(np.mean(wins))
    assert 0 <= p_value <= 1


def test_chance_alone_is_counted_among_all_orders():
    # Of the 20 ways to choose three of six places, one is as extreme.
    assert compare_distances(np.array([1.0, 2, 3]), np.array([4.0, 5, 6])) == (
        1,
        pytest.approx(1 / 20),
    )
    assert compare_distances(np.array([4.0, 5, 6]), np.array([1.0, 2, 3])) == (0, pytest.approx(1))


def test_distances_that_are_all_alike_prove_nothing():
    assert compare_distances(np.zeros(20), np.zeros(30)) == (0.5, 1)


@pytest.mark.parametrize("held_out", [(), tuple(range(150, 200))])
def test_copies_are_called_out(held_out):
    real = images_of(1, 200)
    found = asked(source_of(noisy(real[:60])), source_of(real, held_out))
    assert found.p_value < 0.001
    assert found.nearer > 0.99
    assert "a sign of copying" in summarize_search(found.record())


@pytest.mark.parametrize("held_out", [(), tuple(range(150, 200))])
@pytest.mark.parametrize("seed", range(3))
def test_other_images_of_the_same_kind_are_not(held_out, seed):
    found = asked(source_of(images_of(2 + seed, 60)), source_of(images_of(1, 200), held_out))
    assert found.p_value > 0.01 > SUSPICIOUS
    assert 0.35 < found.nearer < 0.65
    assert "No sign of copying." in summarize_search(found.record())


def test_a_few_copies_among_many_images_raise_the_odds():
    real = images_of(1, 200)
    mixed = np.concatenate([real[:20], images_of(2, 20)])
    found = asked(source_of(mixed), source_of(real))
    assert found.nearer == pytest.approx(0.75, abs=0.1)
    assert found.p_value < 0.001


def test_a_copy_or_two_are_counted_though_the_odds_stay():
    real, other = images_of(1, 200), images_of(2, 38)
    found = asked(source_of(np.concatenate([real[:2], other])), source_of(real))
    assert found.p_value > SUSPICIOUS
    said = summarize_search(found.record())
    nearest = int((found.nearest < found.others.min()).sum())
    assert nearest >= 2 and f"; {nearest} images are nearer than any of these." in said
    assert said.endswith("2 images copy training images exactly.")


def test_one_level_of_one_pixel_is_no_exact_copy():
    real, nearly = images_of(1, 200), images_of(2, 40)
    nearly[0] = real[0]
    nearly[0, 0, 0, 0] ^= 1
    found = asked(source_of(nearly), source_of(real)).record()["values"]
    assert found["num_nearest"] >= 1 and found["num_copies"] == 0


def test_copies_that_are_flipped_are_called_out_with_mirror():
    real = images_of(1, 200)
    sources = source_of(noisy(real[:60, :, :, ::-1])), source_of(real)
    suspicious = []
    for mirror in (False, True):
        found = search_training_images(
            *sources, SETUP, num_images=40, k=1, window=WHOLE, mirror=mirror
        )
        suspicious.append(found.p_value < SUSPICIOUS)
        said = f"of test{', flipped left to right as well' * mirror}."
        assert said in summarize_search(found.record()).splitlines()[0]
    assert suspicious == [False, True]


def test_flipped_images_are_no_neighbours_of_their_own():
    """An image that is its own mirror image is compared with all others."""
    real = images_of(1, 30)
    real = np.concatenate([real, real[..., ::-1]], 3)
    source, window = source_of(real), CropBox(0, 0, 16, 8)
    one, two = (
        search_training_images(
            source, source, SETUP, num_images=30, k=1, window=window, mirror=mirror
        )
        for mirror in (False, True)
    )
    np.testing.assert_allclose(one.others, two.others, rtol=1e-6)
    assert two.others.min() > 1


def test_a_record_of_an_earlier_version_is_read():
    record = asked(source_of(images_of(2, 60)), source_of(images_of(1, 200))).record()
    said = summarize_search(record)
    del record["mirror"], record["values"]["num_nearest"], record["values"]["num_copies"]
    assert summarize_search(record).splitlines()[2] == said.splitlines()[2]


def test_the_others_are_what_was_held_out():
    real = images_of(1, 60)
    held_out = tuple(range(0, 60, 4))
    found = asked(source_of(images_of(2, 20)), source_of(real, held_out), num_images=20)
    trained = sorted(set(range(60)) - set(held_out))
    assert found.training.rows.tolist() == trained
    assert not set(found.neighbours.rows.ravel()) & set(held_out)
    flat = real.reshape(60, -1) / 255
    expected = [
        min(np.linalg.norm(flat[row] - flat[other]) for other in trained) for row in held_out
    ]
    np.testing.assert_allclose(sorted(found.others), sorted(expected), rtol=1e-6)
    assert found.kind == "held-out images"


def test_without_a_hold_out_the_others_are_training_images_that_do_not_count_themselves():
    real = images_of(1, 30)
    found = asked(source_of(images_of(2, 30)), source_of(real), num_images=30)
    flat = real.reshape(30, -1) / 255
    expected = [
        min(np.linalg.norm(flat[row] - flat[other]) for other in range(30) if other != row)
        for row in range(30)
    ]
    np.testing.assert_allclose(sorted(found.others), sorted(expected), rtol=1e-6)
    assert found.kind == "training images among the others"


def test_as_many_as_asked_for_are_looked_up_and_the_seed_draws_them():
    images, reals = source_of(images_of(2, 60)), source_of(images_of(1, 80))
    runs = [asked(images, reals, num_images=10, k=4, seed=seed) for seed in (0, 0, 1)]
    assert runs[0].neighbours.rows.shape == (10, 4)
    assert len(runs[0].others) == 10
    rows, others = ([getattr(run, name) for run in runs] for name in ("nearest", "others"))
    for found in (rows, others):
        np.testing.assert_array_equal(found[0], found[1])
        assert not np.array_equal(found[0], found[2])


def test_a_network_is_asked_for_its_first_seeds():
    images = replace(source_of(images_of(2, 60)), count=None)
    assert asked(images, source_of(images_of(1, 80)), num_images=12).images.rows.tolist() == list(
        range(12)
    )


def test_only_the_window_counts():
    real = images_of(1, 100)
    images = images_of(2, 40)
    images[:, :, :4] = real[:40, :, :4]
    sources = source_of(images), source_of(real)
    for window, suspicious in ((CropBox(0, 0, 8, 4), True), (CropBox(0, 4, 8, 4), False)):
        found = search_training_images(*sources, SETUP, num_images=40, k=1, window=window)
        assert (found.p_value < SUSPICIOUS) == suspicious


def test_too_many_images_are_refused():
    with pytest.raises(UserError, match="test has 20 images, and 21 are asked for. Use --num-im"):
        asked(source_of(images_of(2, 20)), source_of(images_of(1, 30)), num_images=21)


def test_too_many_neighbours_are_refused():
    images, reals = source_of(images_of(2, 20)), source_of(images_of(1, 12), (0, 1))
    with pytest.raises(UserError, match="has 10 training images, too few for 10 .* Ask for fewer"):
        asked(images, reals, num_images=20, k=10)
    assert asked(images, reals, num_images=20, k=9).neighbours.rows.min() >= 2


def test_the_record_says_what_was_found():
    found = asked(source_of(images_of(2, 20)), source_of(images_of(1, 30)), num_images=20)
    record = found.record()
    assert record["values"] == {
        "median": np.median(found.nearest),
        "median_others": np.median(found.others),
        "nearer": found.nearer,
        "p_value": found.p_value,
        "num_nearest": (found.nearest < min(found.others)).sum(),
        "num_copies": 0,
    }
    assert (record["num_images"], record["num_others"], record["size"]) == (20, 20, [8, 8, 3])


def test_the_figure_is_a_picture(tmp_path):
    found = asked(source_of(images_of(2, 20)), source_of(images_of(1, 30)), num_images=20)
    plot_distances(found, tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.format == "PNG" and picture.size == (840, 480)
