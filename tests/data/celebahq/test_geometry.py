"""The rectangle around a face, against the paper's formulas in complex numbers."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.data.celebahq.geometry import continuous, planned, rectangle

FACE = np.array([[-20, -25], [20, -25], [0, 0], [-15, 25], [15, 25]], dtype=np.float32)
ANGLES = st.floats(-3.14, 3.14)
SHIFTS = st.tuples(st.integers(-3000, 3000), st.integers(-3000, 3000))


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
    moved = rectangle(face + np.array(shift, dtype=np.float32))
    np.testing.assert_allclose(moved, rectangle(face) + np.array(shift), atol=0.05)


@given(faces(), ANGLES, st.floats(0.5, 3))
def test_the_rectangle_turns_and_grows_with_the_face(
    face: np.ndarray, angle: float, scale: float
) -> None:
    expected = turned(rectangle(face), angle, scale)
    side = np.ptp(expected, axis=0).max()
    np.testing.assert_allclose(rectangle(turned(face, angle, scale)), expected, atol=2e-3 * side)


@given(faces(), st.sampled_from([32, 256, 1024]))
def test_landmarks_come_to_the_places_of_the_paper(face: np.ndarray, side: int) -> None:
    cut = planned(face, (1000, 1000), side)
    # The official code samples half a pixel beside: in the enlarged or shrunk picture.
    slack = 1.2 * side / np.hypot(*(cut.quad[3] - cut.quad[0])) + 0.01 * side * bool(cut.shrunk)
    np.testing.assert_allclose(cut.placed(face), side * paper_places(face), atol=slack)


@given(faces(), st.tuples(st.integers(0, 200), st.integers(0, 200)))
def test_a_larger_picture_around_changes_nothing(
    face: np.ndarray, shift: tuple[int, int]
) -> None:
    cut = planned(face, (1000, 1000), 1024)
    if cut.margins or cut.shrunk:
        return
    around = planned(face + np.array(shift, dtype=np.float32), (1300, 1300), 1024)
    assert around.margins is None
    assert around.enlargement == cut.enlargement
    np.testing.assert_allclose(around.placed(face + np.array(shift, dtype=np.float32)),
                               cut.placed(face), atol=0.6)


@given(faces(), st.integers(40, 4000), st.integers(40, 4000))
def test_a_plan_stays_inside_of_the_picture(face: np.ndarray, width: int, height: int) -> None:
    face = face / 1000 * np.array([width, height], dtype=np.float32)
    cut = planned(face, (width, height), 128)
    left, top, right, bottom = cut.crop
    size = cut.shrunk or cut.original
    assert 0 <= left < right <= size[0]
    assert 0 <= top < bottom <= size[1]
    before, above = (cut.margins or (0, 0, 0, 0))[:2]
    after, below = (cut.margins or (0, 0, 0, 0))[2:]
    extent = np.array([(right - left) * cut.enlargement + before + after,
                       (bottom - top) * cut.enlargement + above + below])
    assert (cut.quad >= 0).all()
    assert (cut.quad <= extent).all()


def test_an_upright_face() -> None:
    cut = planned(FACE + 200, (400, 400), 1024)
    np.testing.assert_allclose(cut.quad[0] / cut.enlargement + cut.crop[:2],
                               [200 - 90, 200 - 20 - 90], atol=0.01)
    eyes = cut.placed(FACE[:2] + 200)
    np.testing.assert_allclose(eyes[:, 1], (90 - 5) / 180 * 1024, atol=0.5)
    np.testing.assert_allclose(eyes[:, 0], [70 / 180 * 1024, 110 / 180 * 1024], atol=0.5)


def test_pixels_have_their_centre_at_one_half() -> None:
    np.testing.assert_array_equal(continuous(np.array([[3, 5]])), [[3.5, 5.5]])


@pytest.mark.parametrize("landmarks", [
    np.zeros((5, 2)), np.full((5, 2), 0.1) * np.arange(5)[:, None],
    np.array([[10, 0], [-10, 0], [0, 0], [-10, 20], [10, 20]]),  # inside out
])
def test_landmarks_that_are_no_face(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="describe no face"):
        planned(landmarks.astype(np.float32), (100, 100), 64)


def test_faces_outside_of_the_picture() -> None:
    with pytest.raises(ValueError, match="outside of the picture"):
        planned(FACE + 2000, (400, 400), 64)
