"""Which images meet which."""

import numpy as np
import pytest
import torch

from metrics.draws import Draw, Size
from metrics.evaluation import evaluate, plan_for
from metrics.sources import Source
from metrics.table import METRICS, Metric

CPU = torch.device("cpu")
SIZE = Size(16, 16, 1)

Meetings = list[tuple[list[int], list[int]]]


def numbered(count: int | None) -> Source:
    """Images whose grey value is their own number."""
    return Source(description="numbers", size=SIZE, count=count, cheap=True,
                  read=lambda rows: np.tile(rows[:, None, None, None], SIZE).astype(np.uint8))


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> Meetings:
    """The numbers of the images and of the reals, each time that a metric is asked."""
    found: Meetings = []

    def measure(images: Draw, reals: Draw, *, seed: int, device: torch.device) -> dict[str, float]:
        found.append(tuple(torch.cat(list(draw.batches(device)))[:, 0, 0, 0].int().tolist()
                           for draw in (images, reals)))
        return {"seed": float(seed)}

    monkeypatch.setitem(METRICS, "swd", Metric(measure, lambda size, num_images: None, 0))
    return found


def meet(images: Source, reals: Source, num_images: int | None, **settings: int) -> None:
    plan = plan_for(images, reals, ["swd"], num_images, **{"seed": 0, "repeats": 1, **settings})
    evaluate(images, reals, plan, CPU)


@pytest.mark.parametrize("num_images", [None, 10, 16, 20])
def test_no_real_meets_itself(meetings, num_images):
    meet(numbered(None), numbered(20), num_images)
    (images, reals), (one, other) = meetings
    assert not set(one) & set(other)
    assert len(one) == len(other) == 10
    assert len(set(reals)) == len(images) == (num_images or 10)


def test_a_network_draws_other_seeds_each_time(meetings):
    meet(numbered(None), numbered(20), 8, repeats=3)
    drawn = [images for images, _ in meetings[::2]]
    assert [sorted(images) for images in drawn] == [
        list(range(8)), list(range(8, 16)), list(range(16, 24))]
    assert drawn[0] != sorted(drawn[0]), "pairs must be strangers"


def test_files_are_drawn_from_all_over_each_time(meetings):
    meet(numbered(100), numbered(100), 10, repeats=2)
    (first, reals), (second, _) = meetings[0], meetings[2]
    assert sorted(first) != sorted(second) != sorted(reals)
    assert max(first) > 50


def test_the_seed_decides_who_meets(meetings):
    for seed in (1, 1, 2):
        meet(numbered(50), numbered(50), 10, seed=seed)
    assert meetings[0:2] == meetings[2:4] != meetings[4:6]


def test_as_many_as_the_baseline_can_have_are_compared_without_a_wish():
    sizes = {(None, 40): 20, (12, 40): 12, (13, 1000): 12, (None, 10**6): 16384, (None, 7): 2}
    for (images, reals), expected in sizes.items():
        plan = plan_for(numbered(images), numbered(reals), ["swd"], None, seed=0, repeats=1)
        assert plan.num_images == plan.num_baseline == expected
