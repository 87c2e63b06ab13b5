"""One picture -> one file, with what is known of it inside."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.errors import UserError
from progan.images import png_text
from progan.sampling.image_files import IMAGE_SUFFIXES, require_image_format, save_array, save_image

TEXT = {"Software": "progan 9", "Command": "generate.py --outdir 'Bilder für Zoë →'"}
# JPEG smooths noise away; this is as smooth as pictures are.
SMOOTH = np.add.outer(np.arange(24), np.arange(32))[..., None] * np.array([4, 3, 2, 1])


def picture(channels: int) -> np.ndarray:
    return SMOOTH[..., :channels].astype(np.uint8)


@pytest.mark.parametrize(("kind", "channels"), [
    ("png", 1), ("png", 3), ("png", 4), ("webp", 1), ("webp", 3), ("webp", 4)])
def test_png_and_webp_keep_every_pixel(tmp_path: Path, kind: str, channels: int) -> None:
    path = tmp_path / f"a{IMAGE_SUFFIXES[kind]}"
    save_image(path, kind, picture(channels), TEXT)
    with Image.open(path) as image:
        assert image.format == kind.upper()
        read = np.asarray(image)
    np.testing.assert_array_equal(read.reshape(24, 32, -1)[..., :channels], picture(channels))


def test_clear_pixels_keep_their_colours(tmp_path: Path) -> None:
    pixels = picture(4)
    pixels[..., 3] = 0
    save_image(tmp_path / "a.webp", "webp", pixels, TEXT)
    with Image.open(tmp_path / "a.webp") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_near(tmp_path: Path, channels: int) -> None:
    save_image(tmp_path / "a.jpg", "jpeg", picture(channels), TEXT)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
        read = np.asarray(image).reshape(24, 32, channels).astype(int)
    assert abs(read - picture(channels)).max() <= 8


def test_each_file_says_where_it_comes_from(tmp_path: Path) -> None:
    for kind, suffix in IMAGE_SUFFIXES.items():
        save_image(tmp_path / f"a{suffix}", kind, picture(3), TEXT)
    assert png_text(tmp_path / "a.png") == TEXT
    for name in ("a.jpg", "a.webp"):
        with Image.open(tmp_path / name) as image:
            exif = image.getexif()
        assert (exif[0x0131], json.loads(exif[0x010E])) == ("progan 9", TEXT)


def test_a_list_of_latents_that_exif_cannot_hold_is_left_away(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg", "jpeg", picture(3), {**TEXT, "Latents": "seed0000 " * 9999})
    with Image.open(tmp_path / "a.jpg") as image:
        assert json.loads(image.getexif()[0x010E]) == TEXT


def test_arrays(tmp_path: Path) -> None:
    floats = np.random.RandomState(0).randn(4, 5, 3).astype(np.float32)
    save_array(tmp_path / "a.npy", floats)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), floats)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize(("kind", "shape", "words"), [
    ("jpeg", (8, 8, 4), "JPEG has none"), ("webp", (8, 16384, 3), "16383"),
    ("jpeg", (65501, 8, 1), "65500")])
def test_what_a_format_cannot_hold_is_said_before(
    kind: str, shape: tuple[int, int, int], words: str
) -> None:
    with pytest.raises(UserError, match=f"--format {kind}: .*{words}.* Choose png"):
        require_image_format(kind, *shape)
    require_image_format("png", *shape)


def test_arrays_on_a_full_disk_are_an_error_that_names_the_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError) as caught:
            save_array(tmp_path / "a.npy", np.zeros((32, 32, 3), np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(tmp_path / "a.npy"))
    assert list(tmp_path.iterdir()) == []
