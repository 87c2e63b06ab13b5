"""How many frames a video has."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.errors import UserError
from progan.sampling.options import MAX_FRAMES, VideoTiming, parse_grid, parse_seeds


@given(st.integers(1, 120), st.integers(1, 60))
def test_whole_seconds_have_whole_frames(seconds: int, fps: int) -> None:
    assert VideoTiming(seconds, fps).frames == seconds * fps


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [(0.5, 30, 15), (2.5, 29.97, 75), (0.02, 30, 1), (600, 60, MAX_FRAMES)],
)
def test_others_the_nearest_number(seconds: float, fps: float, frames: int) -> None:
    assert VideoTiming(seconds, fps).frames == frames


@pytest.mark.parametrize(
    ("seconds", "fps", "words"),
    [
        (0.01, 30, "makes no frame"),
        (0, 30, "--seconds 0 must be above 0"),
        (1, -5, "--fps -5"),
        (math.nan, 30, "--seconds nan"),
        (1, math.inf, "--fps inf"),
        (601, 1, "above the maximum of 600"),
        (600, 60.1, "36,060 frames; the maximum is 36,000"),
        (1e300, 1e300, "above the maximum of 600"),
        (1, 1e300, "the maximum is 36,000"),
    ],
)
def test_what_makes_no_video_is_refused(seconds: float, fps: float, words: str) -> None:
    with pytest.raises(UserError, match=words):
        VideoTiming(seconds, fps)


def test_numbers_of_thousands_of_digits_are_refused() -> None:
    with pytest.raises(UserError, match="is not a list of seeds"):
        parse_seeds("1" * 5000)
    with pytest.raises(UserError, match="is not COLSxROWS"):
        parse_grid("1" * 5000 + "x1", 1)
