"""Margins: mirrored inside, one colour outside."""

import numpy as np

from progan.data.celebahq.margins import with_margins

NOISE = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)


def test_margins_have_their_widths() -> None:
    image = with_margins(NOISE, (5, 10, 15, 20), 2.0)
    assert image.shape == (10 + 60 + 20, 5 + 80 + 15, 3)
    assert image.dtype == np.uint8


def test_the_middle_stays_as_it_is() -> None:
    image = with_margins(NOISE, (12, 12, 12, 12), 2.0)
    # The blur reaches a third of a margin into the picture, counted from its edge.
    np.testing.assert_array_equal(image[16:-16, 16:-16], NOISE[4:-4, 4:-4])
    assert (image[13:-13, 13:-13] != NOISE[1:-1, 1:-1]).any()


def test_the_outer_edge_has_the_median_colour() -> None:
    image = with_margins(NOISE, (20, 30, 20, 30), 3.0)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edge == edge[0]).all()
    assert np.abs(edge[0].astype(int) - 127).max() < 12


def test_one_colour_stays_one_colour() -> None:
    flat = np.full((20, 30, 3), (10, 200, 255), dtype=np.uint8)
    image = with_margins(flat, (40, 40, 40, 40), 2.0)  # wider than the picture
    assert (image == (10, 200, 255)).all()


def test_margins_fade_steadily() -> None:
    white = np.full((40, 40, 3), 255, dtype=np.uint8)
    white[:, :5] = 0  # dark on the left: the margin begins there and becomes white
    row = with_margins(white, (40, 1, 1, 1), 1.0)[20, :41, 0].astype(int)
    assert row[0] == 255
    assert row[-1] < 40
