"""The explorer's pictures are generate.py's."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.explorer.renderer import Renderer
from progan.explorer.view_state import ImageSpec, NamedLatent, add_step
from progan.loading import TrainedGenerator
from tests.builders import tiny_snapshot


def painter(label_names: tuple[str, ...] = (), **settings: object) -> Renderer:
    return Renderer(snapshot=tiny_snapshot(label_names, **settings),  # type: ignore[arg-type]
                    file=Path("x.safetensors"), fingerprint="0" * 12)


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_seed_is_drawn_as_everywhere(level: int) -> None:
    here = painter(("cat", "dog", "owl"), alpha=.5)
    expected = TrainedGenerator(here.snapshot).render([7], resolution=1 << level)[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(NamedLatent(7), None, level)), expected)


def test_a_class_may_be_another_than_that_of_the_seed() -> None:
    here = painter(("cat", "dog", "owl"))
    expected = TrainedGenerator(here.snapshot).render([7], "owl")[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(NamedLatent(7), 2, 4)), expected)
    assert [here.kind_of(ImageSpec(NamedLatent(7), kind, 4)) for kind in (None, 2)] == [1, 2]


def test_places_between_have_the_class_of_their_seed() -> None:
    here = painter(("cat", "dog", "owl"))
    place = add_step(NamedLatent(7), 8, 100)
    expected = TrainedGenerator(here.snapshot).render([8], "dog")[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(place, None, 4)), expected)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_files_have_all_channels(channels: int, mode: str) -> None:
    here = painter(channels=channels)
    with Image.open(io.BytesIO(here.png(ImageSpec(NamedLatent(7), None, 4)))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (16, 16))
        np.testing.assert_array_equal(np.asarray(image).reshape(16, 16, channels),
                                      here.pixels(ImageSpec(NamedLatent(7), None, 4)))


def test_it_knows_what_it_can_draw() -> None:
    here = painter(("cat", "dog"))
    assert here.levels == (2, 3, 4) and here.kinds == ("cat", "dog")
    assert here.knows(ImageSpec(NamedLatent(7), 1, 4))
    assert not here.knows(ImageSpec(NamedLatent(7), 2, 4))
    assert not here.knows(ImageSpec(NamedLatent(7), None, 5))
    assert not painter().knows(ImageSpec(NamedLatent(7), 0, 4))
