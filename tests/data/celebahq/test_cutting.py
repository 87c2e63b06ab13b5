"""What is cut out, against golden data of the official code and against drawn dots."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.data.celebahq.cutting import cut_out
from progan.data.celebahq.geometry import continuous, planned
from progan.data.celebahq.landmarks import read_landmarks
from tests.data.celebahq.test_geometry import FACE, paper_places, turned

GOLDEN = [f"{number:06d}.png" for number in range(0, 22, 2)]


@pytest.mark.parametrize("name", GOLDEN)
def test_faces_are_those_of_the_official_code(shared: Path, name: str) -> None:
    folder = shared / "golden/celebahq"
    landmarks = read_landmarks(folder / "celeba/Anno/list_landmarks_celeba.txt")
    picture = Image.open(folder / "celeba/img_celeba" / name)
    image = cut_out(picture, planned(continuous(landmarks[name]), picture.size, 1024))
    expected = np.asarray(Image.open(folder / "expected" / name))
    difference = np.abs(image.astype(int) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.05


def dotted(points: np.ndarray, size: tuple[int, int], radius: float) -> Image.Image:
    """A black picture with a soft white dot at each point."""
    y, x = np.mgrid[:size[1], :size[0]] + 0.5
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points]
    grey = np.round(255 * np.max(dots, axis=0)).astype(np.uint8)
    return Image.fromarray(np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(("scale", "angle", "side", "what"), [
    (1.0, 0.0, 256, "enlarged"), (1.0, 2.5, 128, "as it is"), (6.0, -1.0, 32, "shrunk"),
    (2.0, 0.7, 128, "with margins")])
def test_pixels_are_where_landmarks_say(scale: float, angle: float, side: int, what: str) -> None:
    face = turned(FACE, angle, scale)
    room = 1000 if what == "shrunk" else 180
    size = (2 * room, 2 * room)
    face = face + np.float32(room) - (100 if what == "with margins" else 0)
    cut = planned(face, size, side)
    assert (cut.enlargement > 1) == (what == "enlarged")
    assert bool(cut.shrunk) == (what == "shrunk")
    assert bool(cut.margins) == (what == "with margins")
    image = cut_out(dotted(face, size, 2.5 * scale), cut)
    assert image.shape == (side, side, 3)
    assert image.dtype == np.uint8
    y, x = np.mgrid[:side, :side] + 0.5
    places = cut.placed(face)
    for place, paper in zip(places, side * paper_places(face), strict=True):
        near = np.hypot(x - place[0], y - place[1]) < 0.05 * side
        weight = image[..., 0] * near.astype(float)
        centre = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
        assert np.abs(centre - place).max() < 0.006 * side
        assert np.abs(centre - paper).max() < 0.02 * side


def test_a_cut_does_not_know_where_it_is() -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (300, 300, 3)).astype(np.uint8)
    wide = np.pad(pixels, ((40, 20), (10, 70), (0, 0)))
    face = FACE + np.float32(150)
    alone = cut_out(Image.fromarray(pixels), planned(face, (300, 300), 64))
    moved = cut_out(Image.fromarray(wide), planned(face + np.array([10, 40], np.float32),
                                                   (380, 360), 64))
    np.testing.assert_array_equal(alone, moved)
