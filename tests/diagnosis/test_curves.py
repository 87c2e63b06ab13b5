"""The picture of the learning curves: its spans, and that it is drawn whatever is known."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.diagnosis.curves import FADE_SHADE, GrowthPhase, list_growth_phases, plot_curves
from progan.diagnosis.diagnose import diagnose
from progan.diagnosis.history import History
from tests.diagnosis.synthetic import after, history, steps

GROWING = steps(
    96,
    schedule__resolution=after(48, 8.0, 4.0),
    schedule__alpha=lambda n: 1.0 if n < 48 or n >= 80 else 0.5,
)


def test_spans_follow_the_phases_without_gaps() -> None:
    assert list_growth_phases(history(GROWING).rows) == [
        GrowthPhase(0.0, 3.072, 4.0, False),
        GrowthPhase(3.072, 5.12, 8.0, True),
        GrowthPhase(5.12, 6.144, 8.0, False),
    ]


def share_of(path: Path, color: str) -> float:
    """Part of the pixels that have a colour, '#rrggbb'."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    wanted = [int(color[start : start + 2], 16) for start in (1, 3, 5)]
    return float((np.abs(pixels.astype(int) - wanted).max(-1) <= 2).mean())


def test_fades_are_shaded(tmp_path: Path) -> None:
    growing, fixed = tmp_path / "growing.png", tmp_path / "fixed.png"
    for path, each in ((growing, GROWING), (fixed, steps(96))):
        made = history(each)
        plot_curves(path, made, diagnose(made), "a run")
    assert share_of(growing, FADE_SHADE) > 0.1 and share_of(fixed, FADE_SHADE) == 0


@pytest.mark.parametrize("objective", ["wgan-gp", "gan", "began"])
def test_a_finding_is_marked(tmp_path: Path, objective: str) -> None:
    path = tmp_path / "curves.png"
    made = history(steps(320, diversity__nearest=after(160, 0.1, 0.9)), 16, objective)
    status = diagnose(made)
    plot_curves(path, made, status, "a run")
    assert status.failing and share_of(path, "#c62828") > 0.001


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    bare = History(
        [
            {"images_seen": 1000.0 * number, "loss/critic": 1.0, "loss/generator": 2.0}
            for number in (1, 2, 3)
        ]
    )
    plot_curves(tmp_path / "bare.png", bare, diagnose(bare), "a run")
    plot_curves(tmp_path / "full.png", history(steps(48)), diagnose(bare), "a run")
    assert Image.open(tmp_path / "bare.png").height < Image.open(tmp_path / "full.png").height
