"""Aligned faces, in a folder and in a zip file."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers.photo_datasets import import_celeba
from progan.data.reader import Dataset
from progan.errors import UserError

FACES = np.random.RandomState(0).randint(0, 256, (5, 218, 178, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "img_align_celeba"
    path.mkdir()
    for number, face in enumerate(FACES, 1):
        Image.fromarray(face).save(path / f"{number:06d}.png")
    return path


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"img_align_celeba/{file.name}")
    return path


def moved_as_torchvision_lays_it(folder: Path) -> Path:
    root = folder.parent / "root"
    (root / "celeba").mkdir(parents=True)
    folder.rename(root / "celeba/img_align_celeba")
    (root / "celeba/other.png").touch()
    return root


@pytest.mark.parametrize(
    "source",
    [lambda path: path, lambda path: path.parent, zipped, moved_as_torchvision_lays_it],
    ids=["folder", "above", "zip", "torchvision"],
)
def test_the_middle_is_cut_out(folder: Path, source: Callable[[Path], Path]) -> None:
    images = import_celeba(source(folder), print_line=print)
    assert (images.resolution, images.channels, images.count) == (128, 3, 5)
    for row in range(5):
        expected = FACES[row, 121 - 64 : 121 + 64, 89 - 64 : 89 + 64]
        np.testing.assert_array_equal(images.read(row).image, expected)


def test_another_middle(folder: Path) -> None:
    images = import_celeba(folder, print_line=print, cx=114, cy=64)
    np.testing.assert_array_equal(images.read(1).image, FACES[1, :128, 50:])


def test_some_of_them(folder: Path) -> None:
    taken = import_celeba(folder, print_line=print, max_images=2, seed=3)
    middles = FACES[:, 57:185, 25:153]
    for row in range(2):
        assert (middles == taken.read(row).image).all(axis=(1, 2, 3)).any()


def test_images_of_another_size_stop_or_are_skipped(folder: Path) -> None:
    Image.fromarray(FACES[0, :200]).save(folder / "000002.png")
    (folder / "000004.png").write_text("text")
    words = ["create-celeba", "--source", str(folder), "--dest", str(folder.parent / "d")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "2 of 5 images in" in result.output
    assert "000002.png: it has 178x200 pixels, not the 178x218 of aligned CelebA" in result.output
    assert "000004.png: not an image" in result.output
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    result = CliRunner().invoke(main, [*words, "--on-error", "skip", "--holdout", "0.3"])
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(folder.parent / "d")
    np.testing.assert_array_equal(dataset.images(7, np.arange(3)), FACES[[0, 2, 4], 57:185, 25:153])
    assert [item.path for item in dataset.info.skipped] == ["000004.png", "000002.png"]


def test_no_image_fits(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"None of the images in [\s\S]*8x8 pixels"):
        import_celeba(tmp_path, print_line=print, on_error="skip")
    with pytest.raises(UserError, match="absent does not exist"):
        import_celeba(tmp_path / "absent", print_line=print)


def test_a_crop_outside_is_refused(folder: Path) -> None:
    result = CliRunner().invoke(
        main,
        [
            "create-celeba",
            "--source",
            str(folder),
            "--dest",
            str(folder.parent / "d"),
            "--cx",
            "63",
        ],
    )
    assert result.exit_code == 2
    assert "64<=x<=114" in result.output
