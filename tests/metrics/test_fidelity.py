"""FID, KID, IS, precision and recall against closed forms and NumPy."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from metrics import fidelity
from metrics.detector import Detector, Embedding, MetricContext
from metrics.evaluation import evaluate, make_plan
from metrics.samples import CACHE_FOLDER, ImageSample, ImageShape
from metrics.sources import SampleSource, open_dataset_source
from progan.errors import UserError
from tests.builders import image_sample, noise_dataset, source_of
from tests.reference import feature_metrics

CPU = torch.device("cpu")


class Tables:
    """A detector by heart: of image i of set s the features `features[s][i]`, and the logits."""

    def __init__(self, *features: np.ndarray, logits: np.ndarray | None = None) -> None:
        self.features, self.logits = features, logits
        self.sides: list[int | None] = []

    def draws(self) -> tuple[ImageSample, ...]:
        return tuple(
            image_sample(_named(number, len(table))) for number, table in enumerate(self.features)
        )

    def context(self, seed: int = 0) -> MetricContext:
        return MetricContext(seed=seed, device=CPU, detector=Detector("tables", "tables", self))

    def __call__(self, images: Tensor, side: int | None) -> Embedding:
        self.sides.append(side)
        digits = images[:, :, 0, 0].long()
        table = torch.from_numpy(self.features[int(digits[0, 2])])
        rows = digits[:, 0] + 256 * digits[:, 1]
        return table[rows], None if self.logits is None else torch.from_numpy(self.logits)[rows]


def _named(number: int, count: int) -> np.ndarray:
    """Images that say which they are, uint8 [count, 3, 1, 1]: digits of i, and their set."""
    rows = np.arange(count)
    digits = np.stack([rows % 256, rows // 256, np.full(count, number)], axis=1)
    return digits.astype(np.uint8)[:, :, None, None]


def cloud(seed: int, count: int, size: int = 8) -> np.ndarray:
    return np.random.RandomState(seed).randn(count, size)


def moments(seed: int, size: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A mean and a covariance with correlations of all kinds."""
    random = np.random.RandomState(seed)
    root = random.randn(size, size)
    return random.randn(size), root @ root.T + 0.1 * np.eye(size)


def test_fid_of_two_gaussians_is_the_closed_form():
    ours, theirs = moments(1), moments(2)
    random = np.random.RandomState(3)
    tables = Tables(*(feature_metrics.with_moments(*each, 60, random) for each in (ours, theirs)))
    found = fidelity.fid(*tables.draws(), tables.context())["FID"]
    assert found == pytest.approx(feature_metrics.frechet(*ours, *theirs), abs=1e-3)


def test_fid_of_independent_features_is_the_distance_of_means_and_of_deviations():
    random = np.random.RandomState(0)
    deviations = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 0.5]])
    means = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 0.0]])
    clouds = [
        feature_metrics.with_moments(mean, np.diag(deviation**2), 20, random)
        for mean, deviation in zip(means, deviations, strict=True)
    ]
    found = fidelity.frechet_distance(*map(torch.from_numpy, clouds))
    assert found == pytest.approx(5 + 4 + 6.25, abs=1e-6)


def test_fid_of_fewer_images_than_features_is_the_closed_form():
    clouds = [cloud(seed, 15, 40) * (1 + seed) for seed in range(2)]
    ours = fidelity.frechet_distance(*map(torch.from_numpy, clouds))
    expected = feature_metrics.frechet(
        *(moment for points in clouds for moment in (points.mean(0), np.cov(points, rowvar=False)))
    )
    assert ours == pytest.approx(expected, abs=1e-3)


def test_fid_of_too_many_features_is_refused():
    tables = Tables(*(np.zeros((2, 8193), np.float32) for _ in range(2)))
    with pytest.raises(UserError, match="at most 8192 features, and the detector tables has 8193"):
        fidelity.fid(*tables.draws(), tables.context())


def test_an_unsuitable_detector_is_refused_after_the_first_batch(monkeypatch):
    monkeypatch.setattr("metrics.samples.PIXELS_PER_BATCH", 2)
    wide, no_classes = (Tables(*np.zeros((2, 8, size), np.float32)) for size in (8193, 4))
    with pytest.raises(UserError, match="has 8193. Name another --detector, or omit fid"):
        fidelity.fid(*wide.draws(), wide.context())
    with pytest.raises(UserError, match="has only features. Name another --detector, or omit is"):
        fidelity.inception_score(*no_classes.draws(), no_classes.context())
    assert len(wide.sides) == len(no_classes.sides) == 1


def test_kid_equals_numpy():
    tables = Tables(cloud(1, 40), 1.5 * cloud(2, 40) + 0.2)
    found = fidelity.kid(*tables.draws(), tables.context())["KIDx1e3"]
    assert found == pytest.approx(1e3 * feature_metrics.squared_mmd(*tables.features), rel=1e-5)


def test_kid_has_no_bias():
    random = np.random.RandomState(0)
    pairs = [random.randn(2, 12, 4) for _ in range(300)]
    found = [fidelity.kernel_distance(*torch.from_numpy(pair), seed=0) for pair in pairs]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 2 * error
    biased = np.mean([feature_metrics.squared_mmd(*pair, biased=True) for pair in pairs[:30]])
    assert biased > 20 * error, "the test would not notice the diagonal"


def test_kid_of_subsets_means_kid_of_all():
    first, second = cloud(1, 40), 1.2 * cloud(2, 30)
    pair = torch.from_numpy(first), torch.from_numpy(second)
    found = [fidelity.kernel_distance(*pair, seed=seed, subsets=200, size=10) for seed in range(8)]
    error = np.std(found, ddof=1) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(
        feature_metrics.squared_mmd(first, second), abs=3 * error
    )
    assert len(set(found)) == 8, "the seed draws the subsets"


@pytest.mark.parametrize(
    ("counts", "batches"),
    [
        ((300, 300), (slice(0, 128), slice(128, 256))),
        ((50, 50), (slice(0, 50),)),
        ((128, 140), (slice(0, 128),)),
    ],
)
def test_kid_of_batches_is_the_mean_over_whole_ones(counts, batches):
    tables = Tables(cloud(1, counts[0], 4), cloud(2, counts[1], 4) + 0.3)
    found = fidelity.kid75(*tables.draws(), tables.context())["KID75x1e3"]
    first, second = tables.features
    expected = [feature_metrics.squared_mmd(first[batch], second[batch]) for batch in batches]
    assert found == pytest.approx(1e3 * np.mean(expected), rel=1e-5)


def test_only_kid75_resizes_before_the_network():
    tables = Tables(cloud(1, 20), cloud(2, 20))
    fidelity.kid(*tables.draws(), tables.context())
    assert tables.sides == [None, None]
    fidelity.kid75(*tables.draws(), tables.context())
    assert tables.sides[2:] == [75, 75]


def score(logits: np.ndarray, seed: int = 0) -> float:
    tables = Tables(np.zeros((len(logits), 1)), logits=logits)
    (sample,) = tables.draws()
    return fidelity.inception_score(sample, sample, tables.context(seed))["IS"]


def certain(count: int, classes: int, probability: float) -> np.ndarray:
    """Logits of images whose class i mod `classes` is as probable as that."""
    others = (1 - probability) / (classes - 1)
    chosen = np.eye(classes)[np.arange(count) % classes]
    return np.log(others + (probability - others) * chosen)


@pytest.mark.parametrize(
    ("logits", "expected"), [(np.zeros((40, 5)), 1), (np.tile([9.0, 0.0, -9.0], (40, 1)), 1)]
)
def test_images_that_all_look_alike_score_one(logits, expected):
    assert score(logits) == pytest.approx(expected, abs=1e-9)


def test_certain_images_of_all_classes_score_the_number_of_classes():
    assert score(certain(6000, 4, 1 - 1e-12)) == pytest.approx(4, rel=0.01)


def test_doubtful_images_score_less_by_their_entropy():
    doubt = -0.8 * np.log(0.8) - 0.2 * np.log(0.2)
    assert score(certain(6000, 2, 0.8)) == pytest.approx(2 / np.exp(doubt), rel=0.01)


def test_one_image_in_each_split_scores_one():
    assert score(certain(10, 5, 0.9)) == pytest.approx(1)


def test_the_score_is_the_mean_over_ten_splits():
    logits = np.random.RandomState(0).randn(200, 6)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    of_all = feature_metrics.inception_score(probabilities)
    found = [score(logits, seed) for seed in range(30)]
    random = np.random.RandomState(1)
    expected = [
        np.mean(
            [
                feature_metrics.inception_score(part)
                for part in np.split(random.permutation(probabilities), 10)
            ]
        )
        for _ in range(30)
    ]
    error = np.hypot(np.std(found), np.std(expected)) / np.sqrt(30)
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=3 * error)
    assert np.mean(found) < of_all - 10 * error, "one split would score more"


def test_a_detector_without_classes_has_no_score():
    tables = Tables(np.zeros((20, 3)))
    (sample,) = tables.draws()
    with pytest.raises(UserError, match="is needs classes, and the detector tables has only"):
        fidelity.inception_score(sample, sample, tables.context())


def shares(images: np.ndarray, reals: np.ndarray) -> tuple[float, float]:
    tables = Tables(images, reals)
    found = fidelity.precision_recall(*tables.draws(), tables.context())
    assert list(found) == ["precision", "recall"]
    return found["precision"], found["recall"]


def test_identical_sets_have_full_precision_and_recall():
    assert shares(cloud(1, 60), cloud(1, 60)) == (1, 1)


def test_disjoint_sets_have_none():
    assert shares(cloud(1, 60), cloud(2, 60) + 100) == (0, 0)


def test_a_dropped_mode_lowers_recall_and_nothing_else():
    images = cloud(1, 40)
    reals = np.concatenate([images, cloud(2, 40) + 100])
    assert shares(images, reals) == pytest.approx((1, 0.5))


def test_images_of_their_own_lower_precision_and_nothing_else():
    reals = cloud(1, 40)
    images = np.concatenate([reals, cloud(2, 40) + 100])
    assert shares(images, reals) == pytest.approx((0.5, 1))


def test_precision_and_recall_equal_numpy():
    images, reals = 0.5 * cloud(1, 50, 3), cloud(2, 70, 3)
    expected = feature_metrics.precision_recall(images, reals)
    assert shares(images, reals) == pytest.approx(expected)
    assert 0.2 < expected[1] < 0.9 < expected[0] < 1, "the sets should overlap in part"


def test_precision_and_recall_of_features_far_from_0_equal_numpy():
    """Squares of a thousand would leave float32 no digits for the distances."""
    images, reals = 0.9 * cloud(1, 200, 3) + 1000, cloud(2, 200, 3) + 1000
    images, reals = (each.astype(np.float32).astype(np.float64) for each in (images, reals))
    assert shares(images, reals) == pytest.approx(feature_metrics.precision_recall(images, reals))


def test_without_torch_fidelity_the_metrics_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(UserError, match=r"pip install torch-fidelity"):
        fidelity.require_measurable(ImageShape(32, 32, 3), 100)


def test_a_few_images_are_too_few():
    with pytest.raises(UserError, match="9 images on each side are too few"):
        fidelity.require_measurable(ImageShape(32, 32, 3), 9)
    fidelity.require_measurable(ImageShape(32, 32, 3), 10)


def test_the_baseline_needs_as_many():
    images, reals = (source_of(_named(number, 12)) for number in range(2))
    with pytest.raises(UserError, match="6 images on each side are too few"):
        make_plan(images, reals, ["is"], 12, repeats=1)


@pytest.fixture
def reals(tmp_path: Path) -> SampleSource:
    noise_dataset(tmp_path / "data", count=40)
    return open_dataset_source(tmp_path / "data", None)


class Counter:
    """A detector that counts the images that it has seen."""

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, images: Tensor, side: int | None) -> Embedding:
        self.seen += len(images)
        return images.float().mean((2, 3)), None

    def since(self) -> int:
        seen, self.seen = self.seen, 0
        return seen


def measure(
    reals: SampleSource,
    names: list[str],
    counter: Counter,
    *,
    seed: int = 0,
    num_images: int = 12,
    fingerprint: str = "weights",
) -> list[object]:
    context = MetricContext(
        seed=seed, device=CPU, detector=Detector("counter", fingerprint, counter)
    )
    images = source_of(np.random.RandomState(0).randint(0, 256, (20, 3, 16, 16)).astype(np.uint8))
    plan = make_plan(images, reals, names, num_images, repeats=1)
    return [row.repeats for row in evaluate({"images": lambda: images}, reals, plan, context)]


def test_features_of_a_dataset_are_kept_beside_it(reals, tmp_path):
    counter = Counter()
    first = measure(reals, ["fid"], counter)
    assert counter.since() == 3 * 12
    assert list((tmp_path / "data" / CACHE_FOLDER).iterdir())
    assert measure(reals, ["fid"], counter) == first
    assert counter.since() == 12, "the images, but no reals"


def test_metrics_share_the_features(reals):
    counter = Counter()
    measure(reals, ["fid"], counter)
    counter.since()
    measure(reals, ["kid"], counter)
    assert counter.since() == 12
    measure(reals, ["kid75"], counter)
    assert counter.since() == 3 * 12, "those of 75x75 are others"


@pytest.mark.parametrize("change", [{"fingerprint": "others"}, {"seed": 1}, {"num_images": 14}])
def test_what_differs_is_kept_apart(reals, change):
    counter = Counter()
    first = measure(reals, ["fid"], counter)
    counter.since()
    changed = measure(reals, ["fid"], counter, **change)
    assert counter.since() == 3 * change.get("num_images", 12)
    for settings, expected in (({}, first), (change, changed)):
        assert measure(reals, ["fid"], counter, **settings) == expected
    assert counter.since() == 12 + change.get("num_images", 12)


def test_logits_are_kept_with_the_features(reals):
    logits = certain(40, 4, 0.7)
    sample = reals.sample(np.arange(40))
    asked = []

    def network(images: Tensor, side: int | None) -> Embedding:
        asked.append(len(images))
        return images.float().mean((2, 3)), torch.from_numpy(logits)[: len(images)]

    context = MetricContext(seed=0, device=CPU, detector=Detector("classes", "classes", network))
    first = fidelity.inception_score(sample, sample, context)
    assert fidelity.inception_score(sample, sample, context) == first
    assert len(asked) == 2, "two batches, once"
    assert (
        fidelity.inception_score(replace(sample, rows=sample.rows[:20]), sample, context) != first
    )


@pytest.mark.parametrize("count", [300, 256])
def test_kid75_is_the_mean_over_whole_batches_of_128(count):
    first, second = cloud(1, count), 1.2 * cloud(2, count)
    expected = np.mean(
        [
            feature_metrics.squared_mmd(first[start : start + 128], second[start : start + 128])
            for start in (0, 128)
        ]
    )
    pair = torch.from_numpy(first), torch.from_numpy(second)
    assert fidelity.kernel_distance_of_batches(*pair) == pytest.approx(expected, rel=1e-5)
