"""Portraits that are drawn on the spot."""

import pickle

import numpy as np
import pytest

from progan.data.importers.demo import import_demo
from progan.errors import UserError


def test_portraits_are_drawn_by_number_and_seed() -> None:
    images = import_demo(resolution=32, num_images=3, seed=5)
    assert (images.resolution, images.channels, images.count) == (32, 3, 3)
    assert images.has_landmarks
    first = images.read(0)
    assert first.image.shape == (32, 32, 3)
    assert first.image.dtype == np.uint8
    assert first.landmarks is not None
    assert first.landmarks.shape == (5, 2)
    again = pickle.loads(pickle.dumps(images.read))  # as another process draws it
    np.testing.assert_array_equal(again(0).image, first.image)
    assert not np.array_equal(images.read(1).image, first.image)
    other = import_demo(resolution=32, num_images=3, seed=6)
    assert not np.array_equal(other.read(0).image, first.image)


@pytest.mark.parametrize(("resolution", "num_images", "message"), [
    (100, 5, "--resolution must be a power of two"), (32, 0, "--num-images must be at least 1")])
def test_impossible_wishes_are_refused(resolution: int, num_images: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_demo(resolution=resolution, num_images=num_images, seed=0)
