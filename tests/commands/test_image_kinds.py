"""dataset_tool.py check and create-from-images with images of unusual kinds."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.reader import Dataset
from progan.projection.project import read_targets
from tests.builders import tiny_snapshot
from tests.data.importers.image_files import (
    SMOOTH,
    encoded,
    exif,
    grey_profile,
    png16,
    swapped_profile,
    turned,
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


def create(source: Path, *options: object) -> tuple[np.ndarray, str]:
    """The images of the top level, and what was said."""
    result = run(
        "create-from-images", "--source", source, "--dest", source.parent / "out", "--labels",
        "none", *options,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(source.parent / "out")
    return dataset.images(dataset.info.levels[-1], np.arange(len(dataset))), result.output


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def noise(seed: int) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 256, (16, 16, 3)).astype(np.uint8)


@pytest.mark.filterwarnings("error")
def test_damaged_metadata_are_counted_and_the_pixels_used(source: Path) -> None:
    (source / "cut.jpg").write_bytes(encoded(SMOOTH, "jpeg", exif=b"Exif\0\0II*\0"))
    (source / "wrong.png").write_bytes(encoded(SMOOTH[::-1], "png", exif=exif((0x112, 2, 2, 54))))
    (source / "turned.webp").write_bytes(encoded(SMOOTH[:, ::-1], "webp", exif=turned(3)))
    checked = run("check", source).stdout
    assert "metadata (2): nothing to do" in checked
    assert "cut.jpg: has damaged metadata, which are ignored: EXIF is cut off" in checked
    images, said = create(source)
    assert len(images) == 3
    assert (
        "2 of 3 images: damaged metadata are ignored, the pixels are used (EXIF is cut off: 1, "
        "EXIF orientation is not a number: 1), such as cut.jpg."
    ) in said
    assert "1 of 3 images: turned upright by their EXIF orientation, such as turned.webp." in said


def test_profiles_are_converted_and_counted(source: Path) -> None:
    for row in range(3):
        profile = swapped_profile() if row else grey_profile(1.0)
        (source / f"{row}.png").write_bytes(encoded(noise(row), "png", icc_profile=profile))
    checked = run("check", source).stdout
    assert "profile (2): nothing to do: create-from-images converts it to sRGB" in checked
    assert "0.png: has a colour profile that is made for GRAY, not for RGB pixels" in checked
    images, said = create(source)
    assert (
        "2 of 3 images: colours converted to sRGB by their colour profile (sRGB built-in: 2), "
        "such as 1.png."
    ) in said
    assert (
        "1 of 3 images: colour profile ignored (made for GRAY, not for RGB pixels: 1), such as "
        "0.png."
    ) in said
    np.testing.assert_array_equal(images[0], noise(0))
    np.testing.assert_allclose(images[1].astype(int), noise(1)[..., ::-1], atol=1)
    (target,) = read_targets([source / "2.png"], tiny_snapshot())
    np.testing.assert_array_equal(target.pixels, images[2])


def write_grey(source: Path, count: int, peak: int) -> None:
    for row in range(count):
        values = np.linspace(row, peak, 256).astype(np.uint16).reshape(16, 16)
        Image.fromarray(values).save(source / f"{peak}-{row}.png")


@pytest.mark.parametrize(("bits", "peak"), [(10, 1000), (12, 4095), (14, 16383)])
def test_a_set_of_few_bits_in_16_is_told_and_can_be_scaled(
    source: Path, bits: int, peak: int
) -> None:
    write_grey(source, 4, peak)
    white = 2**bits - 1
    advice = f"--white-level {white} makes {white} white"
    checked = run("check", source).stdout
    assert "dark (4):" in checked and advice in checked
    images, said = create(source)
    assert (
        f"4 of 4 16-bit grey images: no value above {peak} of 65535, as of {bits} bits stored in 16"
    ) in said
    assert advice in said
    assert images.max() <= 64
    (source.parent / "out").rename(source.parent / "dark")
    images, said = create(source, "--white-level", white)
    assert images.max() == round(peak * 255 / white)
    assert "no value above" not in said


def test_one_dark_image_makes_no_dark_set(source: Path) -> None:
    write_grey(source, 5, 65535)
    write_grey(source, 1, 1000)
    assert "dark (" not in run("check", source).stdout
    assert "no value above" not in create(source)[1]


def test_dark_colours_of_16_bits_are_told(source: Path) -> None:
    (source / "a.png").write_bytes(png16(noise(0).astype(np.uint16) * 16))
    assert "-evaluate multiply 16" in run("check", source).stdout
    assert "-evaluate multiply 16" in create(source)[1]


def test_what_a_white_level_cuts_off_is_told(source: Path) -> None:
    write_grey(source, 2, 5000)
    said = create(source, "--white-level", 4095)[1]
    assert (
        "2 of 2 images have values above --white-level 4095, which become white too, such as "
        "5000-0.png with 5000."
    ) in said


def test_a_white_level_without_effect_is_told(source: Path) -> None:
    (source / "a.png").write_bytes(encoded(noise(0), "png"))
    assert "--white-level has no effect" in create(source, "--white-level", 4095)[1]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "white"])
def test_what_is_no_white_level(source: Path, value: str) -> None:
    result = run(
        "create-from-images", "--source", source, "--dest", source.parent / "out", "--white-level",
        value,
    )  # fmt: skip
    assert result.exit_code == 2 and "--white-level" in result.stderr


def test_floating_point_images_are_refused_with_their_range(source: Path) -> None:
    for row in range(2):
        values = np.linspace(0, row + 1, 256, dtype=np.float32).reshape(16, 16)
        Image.fromarray(values).save(source / f"{row}.tiff")
    assert "white-level (2): name the value" in run("check", source).stdout
    result = run("create-from-images", "--source", source, "--dest", source.parent / "out")
    assert result.exit_code == 1
    assert "1.tiff: 32-bit floating-point values from 0 to 2: none of them is" in result.stderr
    images, said = create(source, "--white-level", 2)
    assert [image.max() for image in images] == [128, 255]
    assert "2 of 2 images: floating-point values scaled to 8 bits by --white-level" in said


def test_frames_and_inks_and_transparency_are_counted(source: Path) -> None:
    frames = [Image.fromarray(noise(row)) for row in range(2)]
    frames[0].save(source / "a.png", save_all=True, append_images=frames[1:])
    Image.fromarray(noise(2)).convert("CMYK").save(source / "b.tiff")
    Image.fromarray(noise(3)).convert("RGBA").save(source / "c.png")
    images, said = create(source, "--channels", 3)
    np.testing.assert_array_equal(images[0], noise(0))
    assert "1 of 3 images: only the first frame is taken, such as a.png." in said
    assert "1 of 3 images: converted from CMYK without a colour profile" in said
    assert "1 of 3 images: transparency is laid on white." in said
    checked = run("check", source).stdout
    assert "frames (1):" in checked and "CMYK (1):" in checked and "alpha (1):" in checked


def test_ordinary_images_are_not_talked_about(source: Path) -> None:
    for row, kind in enumerate(("png", "jpeg", "webp")):
        (source / f"{row}.{kind}").write_bytes(encoded(noise(row), kind))
    said = create(source)[1]
    assert "of 3 images" not in said


def test_the_resolution_is_that_of_upright_images(source: Path) -> None:
    lying = np.zeros((32, 64, 3), np.uint8)
    lying[:, ::2] = 9
    (source / "a.png").write_bytes(encoded(lying, "png", exif=turned(6)))  # upright: 32 x 64
    assert "will be enlarged" not in create(source, "--size", "32x64")[1]
