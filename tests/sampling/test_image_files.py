"""Images as files, one by one, and what is written into them."""

import errno
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from progan import __version__
from progan.errors import UserError
from progan.images import read_png_text
from progan.sampling.image_files import (
    IMAGE_SUFFIXES,
    NPY,
    ImageOutput,
    format_seed_caption,
    make_exif,
    provenance,
    require_image_format,
    save_array,
    save_image,
    write_grid,
    write_images,
    write_sheet,
)
from progan.sampling.latents import batch_from_seeds, select_resolution
from progan.sampling.render import render
from progan.sampling.snapshot_file import Snapshot, compute_fingerprint
from progan.sizes import Size
from tests.builders import tiny_snapshot

TEXT = {"Software": "progan 9", "Command": "generate.py --outdir 'Bilder für Zoë →'"}
# JPEG smooths noise away; this is as smooth as images are.
SMOOTH = np.add.outer(np.arange(24), np.arange(32))[..., None] * np.array([4, 3, 2, 1])
PROVENANCE = {"Software": "progan"}


def noise_image(channels: int) -> np.ndarray:
    return SMOOTH[..., :channels].astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "channels"),
    [("png", 1), ("png", 3), ("png", 4), ("webp", 1), ("webp", 3), ("webp", 4)],
)
def test_png_and_webp_keep_every_pixel(tmp_path: Path, kind: str, channels: int) -> None:
    path = tmp_path / f"a{IMAGE_SUFFIXES[kind]}"
    save_image(path, kind, noise_image(channels), TEXT)
    with Image.open(path) as image:
        assert image.format == kind.upper()
        read = np.asarray(image)
    np.testing.assert_array_equal(read.reshape(24, 32, -1)[..., :channels], noise_image(channels))


def test_clear_pixels_keep_their_colours(tmp_path: Path) -> None:
    pixels = noise_image(4)
    pixels[..., 3] = 0
    save_image(tmp_path / "a.webp", "webp", pixels, TEXT)
    with Image.open(tmp_path / "a.webp") as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_near(tmp_path: Path, channels: int) -> None:
    save_image(tmp_path / "a.jpg", "jpeg", noise_image(channels), TEXT)
    with Image.open(tmp_path / "a.jpg") as image:
        assert image.format == "JPEG"
        read = np.asarray(image).reshape(24, 32, channels).astype(int)
    assert abs(read - noise_image(channels)).max() <= 8


def test_each_file_says_where_it_comes_from(tmp_path: Path) -> None:
    for kind, suffix in IMAGE_SUFFIXES.items():
        save_image(tmp_path / f"a{suffix}", kind, noise_image(3), TEXT)
    assert read_png_text(tmp_path / "a.png") == TEXT
    for name in ("a.jpg", "a.webp"):
        with Image.open(tmp_path / name) as image:
            exif = image.getexif()
        assert (exif[0x0131], json.loads(exif[0x010E])) == ("progan 9", TEXT)


def test_a_list_of_latents_that_exif_cannot_hold_is_left_away(tmp_path: Path) -> None:
    save_image(tmp_path / "a.jpg", "jpeg", noise_image(3), {**TEXT, "Latents": "seed0000 " * 9999})
    with Image.open(tmp_path / "a.jpg") as image:
        assert json.loads(image.getexif()[0x010E]) == TEXT


def test_arrays(tmp_path: Path) -> None:
    floats = np.random.RandomState(0).randn(4, 5, 3).astype(np.float32)
    save_array(tmp_path / "a.npy", floats)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), floats)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize(
    ("kind", "shape", "words"),
    [
        ("jpeg", (8, 8, 4), "JPEG has none"),
        ("webp", (8, 16384, 3), "16383"),
        ("jpeg", (65501, 8, 1), "65500"),
    ],
)
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


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_seed_gets_its_file(tmp_path: Path, channels: int) -> None:
    snapshot = select_resolution(tiny_snapshot(channels=channels), 8)
    latent_batch = batch_from_seeds(snapshot, "0-70")  # more than are in memory
    folder = tmp_path / "new/out"
    paths = list(write_images(snapshot, latent_batch, ImageOutput(folder=folder, text=PROVENANCE)))
    assert [path.name for path in paths] == [f"seed{seed:04d}.png" for seed in range(71)]
    assert sorted(folder.iterdir()) == sorted(paths)
    expected = render(snapshot.generator, latent_batch.latents, latent_batch.labels, 3).astype(int)
    for path, image in zip(paths, expected, strict=True):
        assert abs(pixels(path).reshape(image.shape) - image).max() <= 1
    assert read_png_text(paths[7]) == {"Software": "progan", "Latent": "seed0007"}


@pytest.mark.parametrize("batch", [1, 2, 5, 99])
def test_no_pixel_depends_on_what_is_drawn_beside_it(
    snapshot: Snapshot, tmp_path: Path, batch: int
) -> None:
    alone = ImageOutput(folder=tmp_path / "alone")
    for seed in range(7):
        list(write_images(snapshot, batch_from_seeds(snapshot, f"{seed}"), alone))
    latent_batch = batch_from_seeds(snapshot, "0-6")
    paths = list(
        write_images(snapshot, latent_batch, ImageOutput(folder=tmp_path / "together", batch=batch))
    )
    sheet = pixels(write_grid(snapshot, latent_batch, ImageOutput(folder=tmp_path), 4, 2))
    for number, path in enumerate(paths):
        image = pixels(alone.path(path.stem))
        np.testing.assert_array_equal(pixels(path), image)
        row, column = divmod(number, 4)
        np.testing.assert_array_equal(
            sheet[16 * row : 16 * row + 16, 16 * column : 16 * column + 16], image
        )


def test_a_grid_is_one_file_with_all_cells(snapshot: Snapshot, tmp_path: Path) -> None:
    path = write_grid(
        snapshot,
        batch_from_seeds(snapshot, "0-2"),
        ImageOutput(folder=tmp_path, text=PROVENANCE),
        2,
        3,
    )
    sheet = pixels(path)
    assert (path.name, sheet.shape) == ("grid.png", (48, 32, 3))
    assert not sheet[16:, 16:].any() and not sheet[32:].any()
    assert sheet[:16, :16].any() and sheet[:16, 16:].any() and sheet[16:32, :16].any()
    assert read_png_text(path) == {"Software": "progan", "Latents": "seed0000 seed0001 seed0002"}


def test_a_contact_sheet_has_all_images_and_room_for_words(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    path = write_sheet(
        snapshot, batch_from_seeds(snapshot, "3,17"), ImageOutput(folder=tmp_path), 2, 1
    )
    page = pixels(path)
    assert path.name == "sheet.png" and page.shape[0] > 64 + 10 and page.shape[1] >= 2 * 64
    (image,) = write_images(snapshot, batch_from_seeds(snapshot, "3"), ImageOutput(folder=tmp_path))
    np.testing.assert_array_equal(page[2:66:4, 2:66:4], pixels(image))
    assert read_png_text(path)["Latents"] == "seed0003 seed0017"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed0007", "seed 7"),
        ("seed0000", "seed 0"),
        ("seed10000", "seed 10000"),
        ("latent0120", "latent 120"),
    ],
)
def test_names_in_words(name: str, words: str) -> None:
    assert format_seed_caption(name) == words


def test_other_kinds_of_files(snapshot: Snapshot, tmp_path: Path) -> None:
    latent_batch = batch_from_seeds(snapshot, "0-1")
    for kind, suffix in (("jpeg", ".jpg"), ("webp", ".webp")):
        paths = list(
            write_images(
                snapshot, latent_batch, ImageOutput(folder=tmp_path, kind=kind, text=PROVENANCE)
            )
        )
        assert [path.name for path in paths] == [f"seed0000{suffix}", f"seed0001{suffix}"]
        assert (
            write_grid(snapshot, latent_batch, ImageOutput(folder=tmp_path, kind=kind), 2, 1).name
            == f"grid{suffix}"
        )


def test_arrays_are_the_numbers_of_the_network(snapshot: Snapshot, tmp_path: Path) -> None:
    latent_batch = batch_from_seeds(snapshot, "4")
    (path,) = write_images(snapshot, latent_batch, ImageOutput(folder=tmp_path, kind=NPY))
    expected = snapshot.generator(latent_batch.latents, latent_batch.labels, 4)[0].permute(1, 2, 0)
    array = np.load(path)
    assert (path.name, array.dtype, array.shape) == ("seed0004.npy", np.float32, (16, 16, 3))
    np.testing.assert_array_equal(array, expected)
    (image,) = write_images(snapshot, latent_batch, ImageOutput(folder=tmp_path))
    np.testing.assert_array_equal(pixels(image), np.clip(np.rint(array * 127.5 + 127.5), 0, 255))


def test_images_of_other_shapes(tmp_path: Path) -> None:
    landscape = tiny_snapshot(base=Size(4, 6))
    latent_batch = batch_from_seeds(landscape, "0-2")
    for path in write_images(
        select_resolution(landscape, 8), latent_batch, ImageOutput(folder=tmp_path)
    ):
        assert pixels(path).shape == (8, 12, 3)
    assert pixels(
        write_grid(landscape, latent_batch, ImageOutput(folder=tmp_path), 2, 2)
    ).shape == (32, 48, 3)


def test_what_cannot_be_written_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    clear = tiny_snapshot(channels=4)
    latent_batch = batch_from_seeds(clear, "0")
    output = ImageOutput(folder=tmp_path / "out", kind="jpeg")
    with pytest.raises(UserError, match="JPEG has none"):
        list(write_images(clear, latent_batch, output))
    with pytest.raises(UserError, match="JPEG has none"):
        write_grid(clear, latent_batch, output, 1, 1)
    with pytest.raises(UserError, match="GiB large"):
        write_grid(clear, latent_batch, output, 9999, 9999)
    assert not output.folder.exists()
    assert pixels(write_sheet(clear, latent_batch, output, 1, 1)).shape[2] == 3  # it lies on white


def test_a_image_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "n.safetensors").write_bytes(b"abc")
    assert provenance(tmp_path / "n.safetensors", "generate.py --seeds 0") == {
        "Software": f"progan {__version__}",
        "Command": "generate.py --seeds 0",
        "Network": f"n.safetensors {compute_fingerprint(tmp_path / 'n.safetensors')}",
    }


def test_fading_levels_are_drawn_as_they_were_saved(tmp_path: Path) -> None:
    fading = tiny_snapshot(alpha=0.25)
    latent_batch = batch_from_seeds(fading, "1")
    (path,) = write_images(fading, latent_batch, ImageOutput(folder=tmp_path, kind=NPY))
    expected = fading.generator(latent_batch.latents, latent_batch.labels, 4, torch.tensor(0.25))
    np.testing.assert_array_equal(np.load(path), expected[0].permute(1, 2, 0))


def test_names_that_are_no_utf_8_are_written_as_far_as_they_are(
    snapshot: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "n").write_bytes(b"abc")
    text = provenance(tmp_path / "n", "generate.py --outdir bad\udcff")
    (path,) = write_images(
        snapshot, batch_from_seeds(snapshot, "0"), ImageOutput(folder=tmp_path, text=text)
    )
    assert read_png_text(path)["Command"] == "generate.py --outdir bad?"


@pytest.mark.parametrize("character", ["x", "é"])
def test_a_command_that_is_too_long_for_exif_is_cut(character: str) -> None:
    text = {"Latents": "1," * 40_000, "Command": character * 70_000, "Network": "n"}
    description = json.loads(make_exif(text)[ExifTags.Base.ImageDescription])
    assert description["Network"] == "n" and description["Command"].endswith("...")
    assert len(description["Command"]) > 50_000
    assert len(make_exif(text).tobytes()) < 2**16
