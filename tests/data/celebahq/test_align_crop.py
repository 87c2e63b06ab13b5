"""Where faces are cut out, and their margins."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from progan.data.celebahq.align_crop import (
    add_blurred_padding,
    compute_face_square,
    crop_face,
    pixels_to_points,
    plan_crop,
)
from progan.data.celebahq.source_files import read_landmarks

FACE = np.array([[-20, -25], [20, -25], [0, 0], [-15, 25], [15, 25]], dtype=np.float32)
ANGLES = st.floats(-3.14, 3.14)
SHIFTS = st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000))
NOISE = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)


def turned(points: npt.NDArray[np.float32], angle: float, scale: float = 1.0) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return (points @ np.array([[cos, sin], [-sin, cos]])).astype(np.float32)


def paper_places(landmarks: np.ndarray) -> np.ndarray:
    """Where landmarks [5,2] are in the crop, whose side is 1, by appendix C."""
    e0, e1, nose, m0, m1 = points = landmarks.astype(np.float64) @ np.array([1, 1j])
    eye_to_eye, mouth_to_eyes = e1 - e0, (e0 + e1) / 2 - (m0 + m1) / 2
    centre = (e0 + e1) / 2 - 0.1 * mouth_to_eyes
    side = max(4.0 * abs(eye_to_eye), 3.6 * abs(mouth_to_eyes))
    axis = eye_to_eye + 1j * mouth_to_eyes  # down is the positive y of an image
    places = (points - centre) / (axis / abs(axis)) / side + (0.5 + 0.5j)
    return np.stack([places.real, places.imag], axis=1)


@st.composite
def faces(draw: st.DrawFn) -> np.ndarray:
    """Landmarks of faces, turned and uneven, in a picture of 1000x1000 px."""
    jitter = draw(st.lists(st.integers(-8, 8), min_size=10, max_size=10))
    points = FACE + np.array(jitter, dtype=np.float32).reshape(5, 2)
    return turned(points, draw(ANGLES), draw(st.floats(0.3, 4))) + np.float32(500)


@given(faces(), SHIFTS)
def test_the_rectangle_moves_with_the_face(face: np.ndarray, shift: tuple[int, int]) -> None:
    moved = compute_face_square(face + np.array(shift, dtype=np.float32))
    np.testing.assert_allclose(moved, compute_face_square(face) + np.array(shift), atol=0.05)


@given(faces(), ANGLES, st.floats(0.5, 3))
def test_the_rectangle_turns_and_grows_with_the_face(
    face: np.ndarray, angle: float, scale: float
) -> None:
    expected = turned(compute_face_square(face), angle, scale)
    side = np.ptp(expected, axis=0).max()
    np.testing.assert_allclose(
        compute_face_square(turned(face, angle, scale)), expected, atol=2e-3 * side
    )


@given(faces(), st.sampled_from([32, 256, 1024]))
def test_landmarks_come_to_the_places_of_the_paper(face: np.ndarray, side: int) -> None:
    plan = plan_crop(face, (1000, 1000), side)
    # The official code samples half a pixel beside: in the enlarged or shrunk picture.
    slack = 1.2 * side / np.hypot(*(plan.quad[3] - plan.quad[0])) + 0.01 * side * bool(plan.shrunk)
    np.testing.assert_allclose(plan.map_points(face), side * paper_places(face), atol=slack)


@given(faces(), st.tuples(st.integers(0, 200), st.integers(0, 200)))
def test_a_larger_picture_around_changes_nothing(face: np.ndarray, shift: tuple[int, int]) -> None:
    plan = plan_crop(face, (1000, 1000), 1024)
    if plan.padding or plan.shrunk:
        return
    around = plan_crop(face + np.array(shift, dtype=np.float32), (1300, 1300), 1024)
    assert around.padding is None
    assert around.enlargement == plan.enlargement
    np.testing.assert_allclose(
        around.map_points(face + np.array(shift, dtype=np.float32)), plan.map_points(face), atol=0.6
    )


@given(faces(), st.integers(80, 4000), st.integers(80, 4000))  # smaller faces are refused
def test_a_plan_stays_inside_of_the_picture(face: np.ndarray, width: int, height: int) -> None:
    face = face / 1000 * np.array([width, height], dtype=np.float32)
    plan = plan_crop(face, (width, height), 128)
    left, top, right, bottom = plan.crop
    size = plan.shrunk or plan.original
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    before, above = (plan.padding or (0, 0, 0, 0))[:2]
    after, below = (plan.padding or (0, 0, 0, 0))[2:]
    extent = np.array(
        [
            (right - left) * plan.enlargement + before + after,
            (bottom - top) * plan.enlargement + above + below,
        ]
    )
    assert (plan.quad >= 0).all()
    assert (plan.quad <= extent).all()


def test_an_upright_face() -> None:
    plan = plan_crop(FACE + 200, (400, 400), 1024)
    np.testing.assert_allclose(
        plan.quad[0] / plan.enlargement + plan.crop[:2], [200 - 90, 200 - 20 - 90], atol=0.01
    )
    eyes = plan.map_points(FACE[:2] + 200)
    np.testing.assert_allclose(eyes[:, 1], (90 - 5) / 180 * 1024, atol=0.5)
    np.testing.assert_allclose(eyes[:, 0], [70 / 180 * 1024, 110 / 180 * 1024], atol=0.5)


def test_pixels_have_their_centre_at_one_half() -> None:
    np.testing.assert_array_equal(pixels_to_points(np.array([[3, 5]])), [[3.5, 5.5]])


@pytest.mark.parametrize(
    "landmarks",
    [
        np.zeros((5, 2)),
        np.full((5, 2), 0.1) * np.arange(5)[:, None],
        np.array([[10, 0], [-10, 0], [0, 0], [-10, 20], [10, 20]]),  # inside out
    ],
)
def test_landmarks_that_are_no_face(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="describe no face"):
        plan_crop(landmarks.astype(np.float32), (100, 100), 64)


def test_faces_outside_of_the_picture() -> None:
    with pytest.raises(ValueError, match="outside of the image"):
        plan_crop(FACE + 2000, (400, 400), 64)


def test_margins_have_their_widths() -> None:
    image = add_blurred_padding(NOISE, (5, 10, 15, 20), 2.0)
    assert image.shape == (10 + 60 + 20, 5 + 80 + 15, 3)
    assert image.dtype == np.uint8


def test_the_middle_stays_as_it_is() -> None:
    image = add_blurred_padding(NOISE, (12, 12, 12, 12), 2.0)
    # The blur reaches a third of a margin into the picture, counted from its edge.
    np.testing.assert_array_equal(image[16:-16, 16:-16], NOISE[4:-4, 4:-4])
    assert (image[13:-13, 13:-13] != NOISE[1:-1, 1:-1]).any()


def test_the_outer_edge_has_the_median_colour() -> None:
    image = add_blurred_padding(NOISE, (20, 30, 20, 30), 3.0)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (edge == edge[0]).all()
    assert np.abs(edge[0].astype(int) - 127).max() < 12


def test_one_colour_stays_one_colour() -> None:
    flat = np.full((20, 30, 3), (10, 200, 255), dtype=np.uint8)
    image = add_blurred_padding(flat, (40, 40, 40, 40), 2.0)  # wider than the picture
    assert (image == (10, 200, 255)).all()


def test_margins_fade_steadily() -> None:
    white = np.full((40, 40, 3), 255, dtype=np.uint8)
    white[:, :5] = 0  # dark on the left: the margin begins there and becomes white
    row = add_blurred_padding(white, (40, 1, 1, 1), 1.0)[20, :41, 0].astype(int)
    assert row[0] == 255
    assert row[-1] < 40


GOLDEN = [f"{number:06d}.png" for number in range(0, 22, 2)]


@pytest.mark.parametrize("name", GOLDEN)
def test_faces_are_those_of_the_official_code(shared: Path, name: str) -> None:
    folder = shared / "golden/celebahq"
    landmarks = read_landmarks(folder / "celeba/Anno/list_landmarks_celeba.txt")
    picture = Image.open(folder / "celeba/img_celeba" / name)
    image = crop_face(picture, plan_crop(pixels_to_points(landmarks[name]), picture.size, 1024))
    expected = np.asarray(Image.open(folder / "expected" / name))
    difference = np.abs(image.astype(int) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.05


def dotted(points: np.ndarray, size: tuple[int, int], radius: float) -> Image.Image:
    """A black picture with a soft white dot at each point."""
    y, x = np.mgrid[: size[1], : size[0]] + 0.5
    dots = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * radius**2)) for px, py in points]
    grey = np.round(255 * np.max(dots, axis=0)).astype(np.uint8)
    return Image.fromarray(np.stack([grey] * 3, axis=-1))


@pytest.mark.parametrize(
    ("scale", "angle", "side", "what"),
    [
        (1.0, 0.0, 256, "enlarged"),
        (1.0, 2.5, 128, "as it is"),
        (6.0, -1.0, 32, "shrunk"),
        (2.0, 0.7, 128, "with margins"),
    ],
)
def test_pixels_are_where_landmarks_say(scale: float, angle: float, side: int, what: str) -> None:
    face = turned(FACE, angle, scale)
    room = 1000 if what == "shrunk" else 180
    size = (2 * room, 2 * room)
    face = face + np.float32(room) - (100 if what == "with margins" else 0)
    plan = plan_crop(face, size, side)
    assert (plan.enlargement > 1) == (what == "enlarged")
    assert bool(plan.shrunk) == (what == "shrunk")
    assert bool(plan.padding) == (what == "with margins")
    image = crop_face(dotted(face, size, 2.5 * scale), plan)
    assert image.shape == (side, side, 3)
    assert image.dtype == np.uint8
    y, x = np.mgrid[:side, :side] + 0.5
    places = plan.map_points(face)
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
    alone = crop_face(Image.fromarray(pixels), plan_crop(face, (300, 300), 64))
    moved = crop_face(
        Image.fromarray(wide), plan_crop(face + np.array([10, 40], np.float32), (380, 360), 64)
    )
    np.testing.assert_array_equal(alone, moved)
