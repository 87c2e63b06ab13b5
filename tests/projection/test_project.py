"""Pictures of people as a network would draw them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.errors import UserError
from progan.images import to_pixels
from progan.projection.project import read_targets
from progan.sizes import Size
from tests.builders import tiny_snapshot

ORIENTATION, TURNED = 0x0112, 6  # of EXIF: to be turned clockwise


def saved(path: Path, pixels: np.ndarray, **settings: object) -> Path:
    Image.fromarray(pixels).save(path, **settings)
    return path


def noise(*shape: int) -> np.ndarray:
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


def test_a_picture_of_the_right_size_keeps_its_pixels(tmp_path: Path) -> None:
    pixels = noise(16, 16, 3)
    (target,) = read_targets([saved(tmp_path / "me.png", pixels)], tiny_snapshot())
    assert target.name == "me"
    np.testing.assert_array_equal(target.pixels, pixels)
    image = target.image()
    assert image.shape == (1, 3, 16, 16)
    np.testing.assert_array_equal(to_pixels(image)[0], pixels)


def test_others_are_turned_cut_and_resized(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = TURNED
    stripes = np.zeros((16, 48, 3), np.uint8)  # upright: 48 high, 16 wide
    stripes[:, 16:32] = 200
    path = saved(tmp_path / "me.png", stripes, exif=exif)
    (target,) = read_targets([path], tiny_snapshot(level=3))
    assert target.pixels.shape == (8, 8, 3)
    assert abs(target.pixels.astype(int) - 200).max() < 15  # Lanczos looks beyond the cut


@pytest.mark.parametrize(("channels", "base"), [(1, Size(4, 4)), (4, Size(4, 4)), (3, Size(4, 8))])
def test_they_have_the_channels_and_the_shape_of_the_network(
    tmp_path: Path, channels: int, base: Size
) -> None:
    snapshot = tiny_snapshot(channels=channels, base=base)
    (target,) = read_targets([saved(tmp_path / "me.png", noise(40, 30, 3))], snapshot)
    assert target.image().shape == (1, channels, *snapshot.generator.config.size(4))
    assert torch.isfinite(target.image()).all()


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with pytest.raises(UserError, match=r"damaged\.png") as caught:
        read_targets([damaged], tiny_snapshot())
    assert "--on-error" not in str(caught.value)
    with pytest.raises(UserError, match="is a folder"):
        read_targets([tmp_path], tiny_snapshot())


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    folders = tmp_path, tmp_path / "other"
    paths = [saved(folder / "me.png", noise(16, 16, 3)) for folder in folders]
    with pytest.raises(UserError, match="2 images are called me"):
        read_targets(paths, tiny_snapshot())


@pytest.mark.parametrize("names", [("Me", "me"), ("caf\u00e9", "cafe\u0301")])
def test_names_that_are_one_on_many_disks_are_refused(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    paths = [saved(tmp_path / f"{name}.png", noise(16, 16, 3)) for name in names]
    with pytest.raises(UserError, match=f"2 images are called {' and '.join(sorted(names))},"):
        read_targets(paths, tiny_snapshot())
