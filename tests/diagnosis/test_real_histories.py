"""Trainings that were really run: stats.jsonl of presets, one core each.

mnist-8 with seed 1, mnist-8-collapse with 0 and mnist-8-diverge with 2 on the eights of MNIST's
test set, demo with seed 0 on portraits, on the way to 64x64. Diversity of the first two was
measured on the network snapshots of each tick. The one that recovers is mnist-8-diverge, seed 2,
with the learning rates of mnist-8. The one that
diverges trained the network in the package (progan/pretrained/portraits.md), and went on.
"""

from pathlib import Path

import pytest

from progan import presets
from progan.diagnosis.diagnose import diagnose_after_each_tick
from progan.diagnosis.history import History, read_rows

FOLDER = Path(__file__).parent / "histories"
RIGHT = [
    ("mnist-8", "mnist-8", "ok"),
    ("mnist-8-collapse", "mnist-8-collapse", "mode collapse"),
    ("mnist-8-diverge", "mnist-8-diverge", "convergence failure"),
    ("mnist-8-diverge-recovers", "mnist-8-diverge", "ok"),
    ("demo", "demo", "ok"),
]


@pytest.mark.parametrize("file, preset, name", RIGHT)
def test_the_first_status_is_right_early_and_stays(file: str, preset: str, name: str) -> None:
    run = presets.preset(preset)
    rows = read_rows(FOLDER / f"{file}.jsonl")
    told = diagnose_after_each_tick(History(rows, run.loss, run.growth.d_repeats))
    assert {status.name for _, status in told if status.is_conclusive or status.findings} == {name}
    first = next(kimg for kimg, status in told if status.name == name)
    assert first < run.growth.total_kimg / 2


def test_a_divergence_is_found_where_it_begins() -> None:
    rows = read_rows(FOLDER / "portraits-64-diverges.jsonl")
    told = diagnose_after_each_tick(History(rows, presets.preset("demo").loss))
    names = {kimg: status.name for kimg, status in told if status.is_conclusive}
    assert {name for kimg, name in names.items() if kimg < 128} == {"ok"}  # SWD 11.0 at 120 kimg
    assert {name for kimg, name in names.items() if kimg > 130} == {"diverging D"}  # 75.8 at 140
