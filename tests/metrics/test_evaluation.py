"""Which images meet which."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metrics.detector import MetricContext
from metrics.evaluation import METRICS, Metric, Row, evaluate, make_plan
from metrics.samples import NO_CACHE, Cache, ImageSample, ImageShape
from metrics.sources import SampleSource, swap_held_out
from progan.errors import UserError

SIZE = ImageShape(16, 16, 1)
SETUP = MetricContext(seed=0, device=torch.device("cpu"))

Meetings = list[tuple[list[int], list[int]]]


def numbered(count: int | None, held_out: int = 0, cache: Cache = NO_CACHE) -> SampleSource:
    """Images whose grey value is their own number; the last ones are held out."""

    def sample(rows: np.ndarray) -> ImageSample:
        return ImageSample(
            description="numbers",
            rows=rows,
            size=SIZE,
            cache=cache,
            read=lambda some: np.tile(some[:, None, None, None], SIZE).astype(np.uint8),
        )

    rows = np.arange((count or 0) - held_out, count or 0)
    return SampleSource(description="numbers", size=SIZE, count=count, sample=sample, held_out=rows)


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Meetings:
    """The numbers of the images and of the reals, each time that a metric is asked."""
    found: Meetings = []

    def measure(
        images: ImageSample, reals: ImageSample, context: MetricContext
    ) -> dict[str, float]:
        found.append(
            tuple(
                torch.cat(list(sample.batches(context.device, "")))[:, 0, 0, 0].tolist()
                for sample in (images, reals)
            )
        )
        return {"seed": float(context.seed)}

    monkeypatch.setitem(METRICS, "swd", Metric(measure, lambda size, num_images: None, 0))
    return found


def meet(
    images: SampleSource,
    reals: SampleSource,
    num_images: int | None,
    repeats: int = 1,
    seed: int = 0,
) -> list[Row]:
    plan = make_plan(images, reals, ["swd"], num_images, repeats=repeats)
    return list(evaluate({"images": lambda: images}, reals, plan, replace(SETUP, seed=seed)))


@pytest.mark.parametrize("num_images", [None, 10, 16, 20])
def test_no_real_meets_itself(meetings, num_images):
    meet(numbered(None), numbered(20), num_images)
    (images, reals), (one, other) = meetings
    assert not set(one) & set(other)
    assert len(one) == len(other) == 10
    assert len(set(reals)) == len(images) == (num_images or 10)


def test_a_network_draws_other_seeds_each_time(meetings):
    meet(numbered(None), numbered(20), 8, repeats=3)
    drawn = [images for images, _ in meetings[:3]]
    assert [sorted(images) for images in drawn] == [
        list(range(8)),
        list(range(8, 16)),
        list(range(16, 24)),
    ]
    assert drawn[0] != sorted(drawn[0]), "pairs must be strangers"


def test_files_are_drawn_from_all_over_each_time(meetings):
    meet(numbered(100), numbered(100), 10, repeats=2)
    (first, reals), (second, _) = meetings[:2]
    assert sorted(first) != sorted(second) != sorted(reals)
    assert max(first) > 50


def test_the_seed_decides_who_meets(meetings):
    for seed in (1, 1, 2):
        meet(numbered(50), numbered(50), 10, seed=seed)
    assert meetings[0:2] == meetings[2:4] != meetings[4:6]


def test_as_many_as_the_baseline_can_have_are_compared_without_a_wish():
    sizes = {(None, 40): 20, (12, 40): 12, (13, 1000): 12, (None, 10**6): 16384, (None, 7): 2}
    for (images, reals), expected in sizes.items():
        plan = make_plan(numbered(images), numbered(reals), ["swd"], None, repeats=1)
        assert plan.num_images == plan.num_baseline == expected


@pytest.mark.parametrize(("num_images", "expected"), [(None, 6), (20, 20)])
def test_held_out_images_are_the_baseline_and_nothing_else(meetings, num_images, expected):
    meet(numbered(None), numbered(40, held_out=6), num_images, repeats=2)
    for (_, reals), (others, same) in zip(meetings[:2], meetings[2:], strict=True):
        assert len(reals) == expected and max(reals) < 34
        assert sorted(others) == list(range(34, 40))
        assert same == reals[:6]


def test_images_meet_what_no_training_saw_if_asked(meetings):
    reals = swap_held_out(numbered(40, held_out=6))
    meet(numbered(None), reals, None)
    (_, first), (others, same) = meetings
    assert sorted(first) == sorted(same) == list(range(34, 40))
    assert len(others) == 6 and max(others) < 34
    assert reals.description == "held-out images of numbers"


def test_nothing_held_out_cannot_be_met():
    with pytest.raises(UserError, match="numbers has no held-out images.*--holdout"):
        swap_held_out(numbered(40))


def test_too_many_held_out_images_are_not_asked_for():
    with pytest.raises(UserError, match="has 6 images, and 34 others for the baseline, and 8 are"):
        make_plan(numbered(None), swap_held_out(numbered(40, held_out=6)), ["swd"], 8, repeats=1)


def test_every_network_meets_the_same_reals(meetings):
    sources = {name: numbered for name in ("first", "second")}
    plan = make_plan(numbered(None), numbered(20), ["swd"], 8, repeats=2)
    rows = list(
        evaluate({name: lambda: numbered(None) for name in sources}, numbered(20), plan, SETUP)
    )
    assert [row.name for row in rows] == ["first", "second", "real-vs-real baseline"]
    assert meetings[0:2] == meetings[2:4]


def test_the_baseline_is_measured_once_for_all(meetings, tmp_path):
    reals = numbered(20, cache=Cache(tmp_path / "cache", "abc"))
    first = meet(numbered(None), reals, 8, repeats=2)
    assert len(meetings) == 4
    assert meet(numbered(None), reals, 8, repeats=2) == first
    assert len(meetings) == 6
    meet(numbered(None), reals, 8, repeats=2, seed=1)
    meet(numbered(None), reals, 6, repeats=2)
    assert len(meetings) == 14


def test_a_damaged_cache_is_made_anew_and_said_so(meetings, tmp_path, capsys):
    reals = numbered(20, cache=Cache(tmp_path / "cache", "abc"))
    rows = meet(numbered(None), reals, 8)
    (file,) = (tmp_path / "cache").iterdir()
    whole = file.read_bytes()
    encrypted = whole.replace(b"PK\1\2-\3-\0\0", b"PK\1\2-\3-\0\1")
    assert encrypted != whole
    for damaged in (b"", b"words", whole[:-30], whole.replace(b"NUMPY", b"NUMPX"), encrypted):
        file.write_bytes(damaged)
        assert meet(numbered(None), reals, 8) == rows
        assert f"{file} is damaged" in capsys.readouterr().err
        assert file.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_fault(meetings, tmp_path):
    (tmp_path / "file").write_text("in the way")
    reals = numbered(20, cache=Cache(Path(tmp_path / "file" / "cache"), "abc"))
    assert meet(numbered(None), reals, 8) == meet(numbered(None), numbered(20), 8)
