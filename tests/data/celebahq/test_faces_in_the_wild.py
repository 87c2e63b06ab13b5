"""43 real faces, turned, small, cut by the border: all come out upright and centred."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.data.celebahq.align_crop import pixels_to_points, plan_crop
from progan.data.celebahq.source_files import read_landmarks
from tests.data.celebahq.test_align_crop import paper_places

SIDE = 1024


@pytest.fixture(scope="module")
def faces(shared: Path) -> dict[str, np.ndarray]:
    """Landmarks in the crop and by the paper's formulas, in sides: {name: [2,5,2]}."""
    folder = shared / "data/faces-in-the-wild"
    found = {}
    for name, pixels in read_landmarks(folder / "Anno/list_landmarks_celeba.txt").items():
        points = pixels_to_points(pixels)
        with Image.open(folder / "img_celeba" / name) as picture:
            places = plan_crop(points, picture.size, SIDE).map_points(points) / SIDE
        found[name] = np.stack([places, paper_places(points)])
    assert len(found) == 43
    return found


def test_each_eye_is_where_the_paper_puts_it(faces: dict[str, np.ndarray]) -> None:
    for name, (places, paper) in faces.items():
        assert np.abs(places - paper)[:2].max() < 0.02, name


def test_all_faces_have_their_eyes_in_one_place(faces: dict[str, np.ndarray]) -> None:
    middles = np.stack([places[:2].mean(axis=0) for places, _ in faces.values()])
    # Where the length of the face decides, the eyes are a 36th of the side above the centre.
    assert np.abs(middles - (0.5, 0.5 - 0.1 / 3.6)).max() < 0.02


def test_all_faces_are_upright(faces: dict[str, np.ndarray]) -> None:
    for name, (places, _) in faces.items():
        left, right, _, *mouth = places
        down = np.mean(mouth, axis=0) - (left + right) / 2
        assert right[0] - left[0] > 0.15, name
        assert abs(right[1] - left[1]) < 0.05, name
        assert down[1] > 0.15, name
        # What eyes and mouth each say of "down" is shared evenly: heads in profile are skewed.
        assert abs(down[0]) < 0.1, name
