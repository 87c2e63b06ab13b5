"""Words on pictures."""

import numpy as np
import pytest

from progan.sampling.sheets import caption_below, caption_in_corner

GREY = {channels: np.full((300, 400, channels), 120, np.uint8) for channels in (1, 3, 4)}


@pytest.mark.parametrize("channels", GREY)
def test_words_below_leave_the_picture_alone(channels: int) -> None:
    picture = GREY[channels].copy()
    picture[..., 3:] = 255
    captioned = caption_below(picture, "seed 7")
    assert captioned.shape[1:] == (400, 3)
    assert (captioned[:300] == 120).all() and (captioned[300:] < 100).any()
    assert (captioned[-1] == 255).all()


def test_all_lines_are_equally_high() -> None:
    assert len({caption_below(GREY[3], words).shape for words in ("", "a", "Ágy", "0")}) == 1


def test_words_in_the_corner_cover_no_more_than_that() -> None:
    stamped = caption_in_corner(GREY[3], "16→32 fade 43%   kimg 12.3   1h 02m")
    changed = np.argwhere((stamped != 120).any(-1))
    (top, left), (bottom, right) = changed.min(0), changed.max(0)
    assert (left, bottom) == (0, 299) and top > 260 and 150 < right < 390
    assert (stamped == 255).any() and (stamped == 0).any()


def test_the_font_has_an_arrow() -> None:
    """What a font does not have looks all the same."""
    arrow, missing = (caption_below(GREY[3], words)[300:] for words in ("→", "\ue000"))
    assert (arrow != missing).any()
