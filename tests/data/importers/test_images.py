"""Folders and zip files of images of every kind, good and bad."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL
import pytest
from PIL import Image

from progan.data.image_source import ImageSource, UnreadableImage
from progan.data.importers.file_source import make_natural_sort_key
from progan.data.importers.images import ImageOptions, import_images, is_constant
from progan.data.importers.labels import labels_from_folders
from progan.data.importers.pixels import convert_mode, list_image_extensions
from progan.errors import UserError

PILLOW = int(PIL.__version__.split(".")[0])


def imported(source: Path, **options: object) -> tuple[ImageSource, list[str]]:
    """The source, and what was said about it."""
    said: list[str] = []
    settings = ImageOptions(**options)  # type: ignore[arg-type]
    return import_images(source, settings, said.append), said


def save(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB", value: object = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)  # type: ignore[arg-type]
    return path


def truncated_jpeg(path: Path) -> Path:
    """A JPEG file with a whole header and half of its pixels."""
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "JPEG")
    path.write_bytes(stream.getvalue()[: len(stream.getvalue()) // 2])
    return path


@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_images_are_found_at_any_depth_in_natural_order(tmp_path: Path, pack: str) -> None:
    folder = tmp_path / "in"
    for value, name in enumerate(["img2.png", "img10.PNG", "sub/1.bmp", "sub/deep/x.tiff"]):
        save(folder / name, value=(value, value, value))
    for name in [".hidden.png", ".git/a.png", "__MACOSX/img2.png", "sub/._1.bmp"]:
        save(folder / name, value=(99, 99, 99))
    for name in ["notes.txt", "Thumbs.db", "sub/table.csv"]:
        (folder / name).write_text("no image")
    source = folder
    if pack == "zip":
        source = tmp_path / "in.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for path in sorted(folder.rglob("*")):
                archive.write(path, path.relative_to(folder))
    images, said = imported(source)
    assert [images.read(row).image[0, 0, 0] for row in range(images.count)] == [0, 1, 2, 3]
    assert "3 files that are not images are ignored (.txt .csv .db)." in said
    assert sorted(line for line in said if "ignored (" in line)[:2] == [
        "2 files and folders of macOS metadata are ignored (such as __MACOSX).",
        "2 hidden files and folders are ignored (such as .git). Rename such files if they are to "
        "be imported.",
    ]
    assert images.description == str(source)


def test_wide_is_a_band_on_black(tmp_path: Path) -> None:
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[7:25] = np.random.RandomState(0).randint(1, 256, (18, 32, 4))  # 32 to 18 is 16 to 9
    Image.fromarray(pixels[..., :3]).save(tmp_path / "a.png")
    image = imported(tmp_path, crop="wide")[0].read(0).image
    np.testing.assert_array_equal(image, pixels[..., :3])
    pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = imported(tmp_path, crop="wide")[0].read(0).image
    np.testing.assert_array_equal(image[7:25], pixels[7:25])
    assert not image[:7].any() and not image[25:].any()  # transparent


@pytest.mark.parametrize(
    ("size", "enlarged"),
    [((64, 18), True), ((32, 18), False), ((31, 64), True), ((32, 200), False)],
)
def test_wide_counts_what_the_band_is_made_of(
    tmp_path: Path, size: tuple[int, int], enlarged: bool
) -> None:
    save(tmp_path / "a.png", size)
    images, said = imported(
        tmp_path, crop="wide", resolution=64 if size[1] == 18 and enlarged else 32
    )
    assert images.read(0).image.shape == (images.resolution,) * 2 + (3,)
    assert any("will be enlarged" in line for line in said) == enlarged


@pytest.mark.parametrize("size", [(1, 1), (3, 1000), (1000, 3), (5, 4)])
@pytest.mark.parametrize("resolution", [4, 16])
def test_any_size_can_be_cut(tmp_path: Path, size: tuple[int, int], resolution: int) -> None:
    save(tmp_path / "a.png", size)
    for crop in ("wide", "random", "center", "pad", "stretch"):
        image = imported(tmp_path, crop=crop, resolution=resolution)[0].read(0).image
        assert image.shape == (resolution, resolution, 3)


@pytest.mark.parametrize("size", [(3, 1000), (1000, 3)])
def test_of_a_narrow_picture_a_line_remains(tmp_path: Path, size: tuple[int, int]) -> None:
    save(tmp_path / "a.png", size, value=(9, 9, 9))
    image = imported(tmp_path, crop="pad", resolution=16)[0].read(0).image
    assert (image.any(2).sum(0) > 0).sum() * (image.any(2).sum(1) > 0).sum() == 16


def test_random_squares_depend_on_seed_and_path_alone(tmp_path: Path) -> None:
    columns = np.arange(24, dtype=np.uint8)
    for number in range(60):
        Image.fromarray(np.broadcast_to(columns, (4, 24)).copy()).save(tmp_path / f"{number}.png")

    def lefts(**options: object) -> list[int]:
        images, _ = imported(tmp_path, crop="random", resolution=4, **options)
        squares = [images.read(row).image[0, :, 0] for row in range(images.count)]
        assert all((square == columns[square[0] : square[0] + 4]).all() for square in squares)
        return [int(square[0]) for square in squares]

    drawn = lefts(seed=1)
    assert drawn == lefts(seed=1)
    assert drawn != lefts(seed=2)
    assert lefts() == lefts(seed=0)
    assert min(drawn) < 4 and max(drawn) > 16 and len(set(drawn)) > 12
    taken = np.sort(np.random.RandomState(1).permutation(60)[:9])
    assert lefts(seed=1, max_images=9) == [drawn[row] for row in taken]


def test_natural_order() -> None:
    paths = ["a/10.png", "a/9.png", "B/1.png", "a2/1.png", "a10/1.png", "2.png", "10.png", "x.png"]
    assert sorted(paths, key=make_natural_sort_key) == [
        "2.png",
        "10.png",
        "a/9.png",
        "a/10.png",
        "a2/1.png",
        "a10/1.png",
        "B/1.png",
        "x.png",
    ]


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    save(tmp_path / "in/a/1.png")
    save(tmp_path / "elsewhere/2.png")
    (tmp_path / "in/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in/a/round").symlink_to(tmp_path / "in")
    assert imported(tmp_path / "in")[0].count == 2


def test_extensions_are_those_that_can_be_decoded() -> None:
    extensions = list_image_extensions()
    assert {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".gif"} <= extensions
    assert not extensions & {".pdf", ".eps", ".h5", ".mpg", ".txt", ".npy", ".zip"}


def gray16(path: Path) -> None:
    Image.fromarray(np.full((8, 8), 32896, np.uint16)).save(path)  # 128 * 257


def palette(path: Path) -> None:
    picture = Image.new("RGB", (8, 8), (10, 200, 30)).convert("P")
    picture.putpalette([10, 200, 30] * 256)
    picture.save(path)


def palette_transparent(path: Path) -> None:
    picture = Image.new("P", (8, 8), 1)
    picture.putpalette([0, 0, 0, 10, 200, 30])
    picture.save(path, transparency=0)


def turned(path: Path) -> None:
    """Stored lying, to be shown upright: the red left half becomes the top half."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif)


def of_mode(mode: str, value: object) -> Callable[[Path], None]:
    return lambda path: save(path, mode=mode, value=value) and None


def compressed_ycbcr(path: Path) -> None:
    Image.new("YCbCr", (8, 8), (100, 128, 128)).save(path, compression="tiff_lzw")


@pytest.mark.parametrize(
    ("name", "make", "expected"),
    [
        ("1.png", of_mode("1", 1), [255]),
        ("l.png", of_mode("L", 77), [77]),
        ("i16.png", gray16, [128]),
        ("i16.tiff", gray16, [128]),
        ("i.tiff", of_mode("I", 65535), [255]),
        ("p.png", palette, [10, 200, 30]),
        ("p.gif", palette, [10, 200, 30]),
        ("pt.png", palette_transparent, [10, 200, 30, 255]),
        ("rgb.png", of_mode("RGB", (1, 2, 3)), [1, 2, 3]),
        ("cmyk.tiff", of_mode("CMYK", (255, 0, 0, 0)), [0, 255, 255]),
        ("lzw.tiff", compressed_ycbcr, [100, 100, 100]),
        pytest.param(
            "ycbcr.tiff",
            of_mode("YCbCr", (100, 128, 128)),
            [100, 100, 100],
            marks=pytest.mark.skipif(
                PILLOW < 13, reason="Pillow before 13 cannot read what it has written"
            ),
        ),
        ("la.png", of_mode("LA", (50, 100)), [50, 50, 50, 100]),
        ("rgba.png", of_mode("RGBA", (1, 2, 3, 4)), [1, 2, 3, 4]),
        ("turned.png", turned, [255, 0, 0]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_pixel_becomes_grey_rgb_or_rgba(
    tmp_path: Path, name: str, make: Callable[[Path], None], expected: list[int]
) -> None:
    make(tmp_path / name)
    images, _ = imported(tmp_path)
    image = images.read(0).image
    assert images.channels == len(expected)
    assert image.shape == (8, 8, len(expected))
    assert image[0, 7].tolist() == expected


def test_each_of_the_16_bit_values_is_rounded_to_the_nearest_byte() -> None:
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    eight = np.asarray(convert_mode(Image.fromarray(values), 1))
    np.testing.assert_array_equal(eight, np.rint(values / 257))


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, [227]), (3, [227, 227, 227]), (4, [200, 200, 200, 128])]
)
def test_channels_converts_and_transparency_goes_onto_white(
    tmp_path: Path, channels: int, expected: list[int]
) -> None:
    save(tmp_path / "a.png", mode="RGBA", value=(200, 200, 200, 128))
    image = imported(tmp_path, channels=channels)[0].read(0).image
    np.testing.assert_allclose(image[3, 3], expected, atol=1)


def test_mixed_kinds_are_named_with_the_remedy(tmp_path: Path) -> None:
    save(tmp_path / "a.png", mode="L")
    save(tmp_path / "b.png")
    save(tmp_path / "c.png")
    save(tmp_path / "d.png", mode="RGBA")
    with pytest.raises(UserError) as caught:
        imported(tmp_path)
    assert str(caught.value).splitlines() == [
        "The images are not all of one kind:",
        "  1 grey (1 channel), such as a.png",
        "  2 colour (3 channels), such as b.png",
        "  1 with transparency (4 channels), such as d.png",
        "Make them alike with --channels 1, --channels 3 or --channels 4.",
    ]
    images, _ = imported(tmp_path, channels=3)
    assert {images.read(row).image.shape for row in range(4)} == {(8, 8, 3)}


@pytest.mark.parametrize(
    ("crop", "expected"),
    [
        ("center", [[2, 2, 2, 2]]),
        ("pad", [[0, 0, 0, 0], [1, 2, 2, 3], [0, 0, 0, 0]]),
        ("stretch", [[1, 2, 2, 3]]),
    ],
)
def test_crop(tmp_path: Path, crop: str, expected: list[list[int]]) -> None:
    pixels = np.repeat(np.array([1, 2, 2, 3], np.uint8), 4)[np.newaxis].repeat(8, axis=0)  # 16 x 8
    Image.fromarray(pixels * 50).save(tmp_path / "a.png")
    image = imported(tmp_path, crop=crop, resolution=4, resize_filter="box")[0].read(0).image
    rows = {tuple(row) for row in (image[:, :, 0] // 50).tolist()}
    assert rows == {tuple(row) for row in expected}


def test_resize_filters_differ_and_box_is_the_mean(tmp_path: Path) -> None:
    noise = np.random.RandomState(0).randint(0, 256, (16, 16)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    box, lanczos = (
        imported(tmp_path, resolution=8, resize_filter=name)[0].read(0).image
        for name in ("box", "lanczos")
    )
    mean = noise.reshape(8, 2, 8, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(box[:, :, 0], mean, atol=1)  # Pillow rounds after each axis
    assert np.abs(lanczos[:, :, 0] - mean).max() > 2


@pytest.mark.parametrize(
    ("sizes", "resolution"),
    [([(100, 64), (300, 300)], 64), ([(65, 63)], 32), ([(4, 4)], 4), ([(2100, 2048)], 1024)],
)
def test_the_resolution_is_the_largest_that_enlarges_nothing(
    tmp_path: Path, sizes: list[tuple[int, int]], resolution: int
) -> None:
    for number, size in enumerate(sizes):
        save(tmp_path / f"{number}.png", size, mode="L")
    images, said = imported(tmp_path)
    assert images.resolution == resolution
    assert said == [f"Resolution {resolution}, the largest that no image has to be enlarged for."]


def test_enlarged_images_are_counted(tmp_path: Path) -> None:
    for number, size in enumerate([(100, 20), (32, 32), (31, 40)]):
        save(tmp_path / f"{number}.png", size)
    enlarged = "2 of 3 images are smaller than 32x32 and will be enlarged."
    assert imported(tmp_path, resolution=32)[1] == [enlarged]
    assert imported(tmp_path, resolution=32, crop="pad")[1] == []


@pytest.mark.parametrize("crop", ["center", "random", "pad", "stretch"])
@pytest.mark.parametrize("source", [(1, 1), (3, 1000), (1000, 3), (12, 8)])
def test_any_size_becomes_any_other(tmp_path: Path, crop: str, source: tuple[int, int]) -> None:
    save(tmp_path / "a.png", source)
    images, _ = imported(tmp_path, crop=crop, size="12x8")
    assert (images.resolution, images.base, images.size) == (8, (4, 6), (8, 12))
    assert images.read(0).image.shape == (8, 12, 3)


def test_padding_keeps_the_shape_of_what_it_surrounds(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (8, 8), mode="L", value=200)
    image = imported(tmp_path, size="12x8", crop="pad")[0].read(0).image[:, :, 0]
    assert (image[:, 2:10] == 200).all() and not image[:, :2].any() and not image[:, 10:].any()


def test_the_largest_part_of_the_aspect_ratio_is_taken(tmp_path: Path) -> None:
    wide = np.broadcast_to(np.arange(48, dtype=np.uint8), (16, 48)).copy()  # 48x16
    Image.fromarray(wide).save(tmp_path / "a.png")
    image = imported(tmp_path, size="24x16", resize_filter="box")[0].read(0).image
    np.testing.assert_array_equal(image[:, :, 0], wide[:, 12:36])  # its full height
    Image.fromarray(wide.T.copy()).save(tmp_path / "a.png")
    image = imported(tmp_path, size="16x8", resize_filter="box")[0].read(0).image
    np.testing.assert_array_equal(image[:, :, 0], wide.T[20:28])  # its full width
    drawn = imported(tmp_path, size="16x8", crop="random", seed=4)[0].read(0).image
    top = int(drawn[0, 0, 0])
    np.testing.assert_array_equal(drawn[:, :, 0], wide.T[top : top + 8])
    assert top != 20


def test_a_square_may_have_any_base(tmp_path: Path) -> None:
    save(tmp_path / "a.png", (100, 100))
    images, said = imported(tmp_path, size="96x96", crop="wide")
    assert (images.resolution, images.base) == (64, (6, 6))
    assert images.read(0).image.shape == (96, 96, 3)
    assert said == []


@pytest.mark.parametrize(
    ("crop", "enlarged"), [("center", 3), ("random", 3), ("stretch", 3), ("pad", 1)]
)
def test_enlarged_images_of_other_shapes_are_counted(
    tmp_path: Path, crop: str, enlarged: int
) -> None:
    for number, size in enumerate([(24, 16), (23, 100), (100, 15), (20, 15), (48, 32)]):
        save(tmp_path / f"{number}.png", size)
    assert imported(tmp_path, size="24x16", crop=crop)[1] == [
        f"{enlarged} of 5 images {'is' if enlarged == 1 else 'are'} smaller than 24x16 and will "
        "be enlarged."
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "24x16", "resolution": 16}, "--resolution 16 is for squares.*name one of them"),
        ({"size": "24x16", "crop": "wide"}, "--crop wide makes squares, not images of 24x16"),
        ({"size": "24"}, "'24' is not WIDTHxHEIGHT"),
        ({"size": "1280x720"}, "1280x768"),
    ],
)
def test_other_sizes_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(UserError, match=message):
        imported(tmp_path, **options)


@pytest.mark.parametrize("resolution", [0, -4, 2, 5, 100, 2048])
def test_other_resolutions_are_refused(tmp_path: Path, resolution: int) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(UserError, match=f"--resolution must be a power of two .* not {resolution}"):
        imported(tmp_path, resolution=resolution)


def test_too_small_images_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "large.png", (50, 50))
    save(tmp_path / "dot.png", (3, 50))
    with pytest.raises(UserError, match="dot.png has only 3x50 pixels"):
        imported(tmp_path)


def test_all_unreadable_images_are_listed_at_once(tmp_path: Path) -> None:
    save(tmp_path / "good.png")
    for number in range(12):
        (tmp_path / f"bad{number}.jpg").write_text("this is text")
    (tmp_path / "bad12.png").write_bytes(b"")
    Image.new("F", (8, 8)).save(tmp_path / "bad13.tiff")
    with pytest.raises(UserError) as caught:
        imported(tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"14 of 15 images in {tmp_path} cannot be read:"
    assert lines[1] == "  bad0.jpg: not an image, or damaged at its beginning"
    assert len(lines) == 13
    assert (
        lines[11]
        == "  and 4 more; of folders, zip and tar files python dataset_tool.py check lists all"
    )
    assert "--on-error skip" in lines[12]
    images, _ = imported(tmp_path, on_error="skip")
    assert images.count == 1
    assert [item.path for item in images.skipped] == [
        *(f"bad{number}.jpg" for number in range(12)),
        "bad12.png",
        "bad13.tiff",
    ]
    assert images.skipped[12].reason == "an empty file"
    assert images.skipped[13].reason.startswith("32-bit floating-point values from 0 to 0: none")


def test_nothing_readable_is_an_error_even_with_skip(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("this is text")
    with pytest.raises(UserError, match="None of the images .* can be read:\n  bad.jpg: not an"):
        imported(tmp_path, on_error="skip")


def test_a_truncated_image_is_named_when_it_is_read(tmp_path: Path) -> None:
    truncated_jpeg(tmp_path / "half.jpg")
    images, _ = imported(tmp_path)
    with pytest.raises(UnreadableImage, match="half.jpg: .*truncated"):
        images.read(0)


def test_grey_values_of_32_bits_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "deep.tiff", mode="I", value=70000)
    images, _ = imported(tmp_path)
    with pytest.raises(UnreadableImage, match="deep.tiff: 32-bit grey values"):
        images.read(0)


def test_a_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    source = tmp_path / "in.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.write(save(tmp_path / "a.png", (40, 40)), "a.png")
    data = bytearray(source.read_bytes())
    data[80] ^= 255  # in the middle of a.png
    source.write_bytes(data)
    with pytest.raises(UserError, match=r"a.png: damaged in the zip file \(Bad CRC-32"):
        imported(source)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "in does not exist"),
        (lambda path: path.mkdir(), "No images in .*in, it is empty"),
        (
            lambda path: (path.mkdir(), (path / "a.txt").write_text("")),
            r"No images in .*in:\n  1 file that is not an image is ignored \(.txt\)",
        ),
        (lambda path: path.write_text("no zip"), "neither a folder nor a readable zip file"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)), "nor a readable zip file"),
    ],
    ids=["missing", "empty", "no image", "text", "broken zip"],
)
def test_sources_that_are_none(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "in")
    with pytest.raises(UserError, match=message):
        imported(tmp_path / "in")


def test_a_single_image_is_no_source(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.jpg")
    with pytest.raises(
        UserError, match="photo.jpg is a single image. Name a folder or a zip file of images."
    ):
        imported(path)


def test_max_images_takes_the_first_or_draws(tmp_path: Path) -> None:
    for number in range(30):
        save(tmp_path / f"{number}.png", mode="L", value=number)

    def values(**options: object) -> list[int]:
        images, _ = imported(tmp_path, **options)
        return [int(images.read(row).image[0, 0, 0]) for row in range(images.count)]

    assert values(max_images=5) == [0, 1, 2, 3, 4]
    drawn = values(max_images=5, seed=1)
    assert drawn == sorted(set(drawn)) == values(max_images=5, seed=1)
    assert max(drawn) > 4


@pytest.mark.parametrize(
    ("paths", "names", "labels"),
    [
        (["cat/1.png", "dog/1.png", "cat/2.png"], ("cat", "dog"), [0, 1, 0]),
        (["top/b/1.png", "top/a/x/1.png"], ("a", "b"), [1, 0]),
        (["c10/1.png", "c9/1.png"], ("c9", "c10"), [1, 0]),
        (["a/1.png", "a/2.png"], (), None),
        (["1.png"], (), None),
        (["a/1.png", "b/1.png", "1.png"], (), None),
        (["a/1.png", "a/b/1.png"], (), None),
    ],
)
def test_labels_come_from_the_folders(
    paths: list[str], names: tuple[str, ...], labels: list[int] | None
) -> None:
    found = labels_from_folders(paths, paths)
    assert found.names == names
    assert (found.labels.tolist() if found.labels is not None else None) == labels


def test_folders_that_differ_by_unicode_composition_are_one_class(tmp_path: Path) -> None:
    """As from a zip file that was packed on macOS and added to elsewhere."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    path = tmp_path / "mixed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number, folder in enumerate((composed, decomposed, "tea", "Tea", "alone\u0301")):
            file = save(tmp_path / f"{number}.png")
            archive.write(file, f"{folder}/{number}.png")
    images, said = imported(path)
    assert images.label_names == ("alone\u0301", composed, "Tea", "tea")
    assert images.labels is not None and images.labels.tolist() == [0, 1, 1, 3, 2]
    assert said[1:3] == [
        f"The name {composed!r} is written with different Unicode compositions (NFC and NFD): "
        "this is one class.",
        "'Tea' and 'tea' differ by case only and are 2 classes: rename them if they are one.",
    ]
    top = [f"{composed}/a/1.png", f"{decomposed}/b/2.png"]
    assert labels_from_folders(top, top).names == ("a", "b")


def test_labels_can_be_left_out_or_insisted_on(tmp_path: Path) -> None:
    save(tmp_path / "in/cat/1.png")
    save(tmp_path / "in/dog/1.png")
    images, said = imported(tmp_path / "in", max_images=1)
    assert images.label_names == ("cat", "dog")
    assert images.labels is not None and images.labels.tolist() == [0]
    assert said[0].startswith("2 labels from the names of the folders")
    assert said[1] == (
        "1 class of the source has no image among those taken: take more images with --max-images."
    )
    assert imported(tmp_path / "in", labels="none")[0].label_names == ()
    with pytest.raises(UserError, match="--labels folders needs every image in a folder"):
        imported(tmp_path / "in/cat", labels="folders")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [10, 20])  # Pillow warns of the one and refuses the other
def test_a_decompression_bomb_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: int
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64)
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", size=(side, side))
    with pytest.raises(UserError, match="1 of 2 images .*\n  b.png: .*decompression bomb"):
        imported(tmp_path)
    source, _ = imported(tmp_path, on_error="skip")
    assert (source.count, [item.path for item in source.skipped]) == (1, ["b.png"])


def test_one_colour_and_copies_are_doubtful(tmp_path: Path) -> None:
    noise = np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    noise[3] = noise[3, 0, 0]
    noise[2] = 7
    noise[2, 3, 2] = 8  # neither a corner nor the middle
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    (tmp_path / "0 again.png").write_bytes((tmp_path / "0.png").read_bytes())
    source, _ = imported(tmp_path, labels="none")
    doubts = [source.read(row).doubt for row in range(source.count)]
    assert {item.path: item.reason for item in doubts if item is not None} == {
        "0.png": "has the content of 0 again.png",
        "3.png": "all pixels are the same",
    }


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_one_colour_of_any_kind(mode: str) -> None:
    picture = Image.new(mode, (5, 1))
    assert is_constant(picture)
    picture.putpixel((1, 0), 1 if len(picture.getbands()) == 1 else (1,) * len(picture.getbands()))
    assert not is_constant(picture)


@pytest.mark.parametrize(
    ("color", "expected"),
    [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#102030", (16, 32, 48))],
)
def test_transparency_is_laid_on_a_colour(
    tmp_path: Path, color: str, expected: tuple[int, int, int]
) -> None:
    picture = Image.new("RGBA", (8, 8), (200, 100, 50, 255))
    picture.putpixel((0, 0), (9, 9, 9, 0))
    picture.save(tmp_path / "a.png")
    image = imported(tmp_path, channels=3, alpha_color=color)[0].read(0).image
    assert (tuple(image[0, 0]), tuple(image[1, 1])) == (expected, (200, 100, 50))


@pytest.mark.parametrize("color", ["", "whiet", "#12345", "#11223344", "3"])
def test_what_is_no_colour(tmp_path: Path, color: str) -> None:
    with pytest.raises(UserError, match="--alpha-color .* is not a colour. Take a name"):
        imported(save(tmp_path / "a.png").parent, alpha_color=color)
