"""HDF5 files of the official layout and of others, written on the spot."""

import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from progan.cli.dataset import main
from progan.data.importers.hdf5 import import_hdf5
from progan.data.pyramid import build_pyramid
from progan.data.reader import Dataset
from progan.errors import UserError

IMAGES = np.random.RandomState(0).randint(0, 256, (6, 8, 8, 3)).astype(np.uint8)
LABELS = np.array([2, 0, 1, 1, 2, 0])


def file_with(path: Path, **arrays: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name.replace("__", "/"), data=array)
    return path


def official(path: Path) -> Path:
    levels = {
        f"data{2**level}x{2**level}": images.transpose(0, 3, 1, 2)
        for level, images in build_pyramid(IMAGES).items()
    }
    return file_with(path, **levels, data2x2=np.zeros((6, 3, 2, 2), np.uint8))


def test_the_official_layout(tmp_path: Path) -> None:
    source = official(tmp_path / "faces.h5")
    np.save(tmp_path / "faces-labels.npy", np.eye(3)[LABELS])
    result = CliRunner().invoke(
        main,
        [
            "create_from_hdf5",
            "--source",
            str(source),
            "--dest",
            str(tmp_path / "d"),
            "--workers",
            "2",
            "--holdout",
            "0.2",
        ],
    )
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    rows = np.arange(6)
    for level, images in build_pyramid(IMAGES).items():
        np.testing.assert_array_equal(dataset.images(level, rows), images)
    assert dataset.labels(rows).tolist() == LABELS.tolist()
    assert dataset.label_names == ("0", "1", "2")
    assert len(dataset.held_out_rows) == 1


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (IMAGES, IMAGES),
        (IMAGES.transpose(0, 3, 1, 2), IMAGES),
        (IMAGES[..., 0], IMAGES[..., :1]),
        (IMAGES[..., :1], IMAGES[..., :1]),
        (IMAGES[:, np.newaxis, :, :, 0], IMAGES[..., :1]),
    ],
    ids=["nhwc", "nchw", "nhw", "nhw1", "n1hw"],
)
def test_images_in_any_order(tmp_path: Path, stored: np.ndarray, expected: np.ndarray) -> None:
    source = file_with(tmp_path / "a.h5", train__x=stored, train__y=LABELS)
    images = import_hdf5(source, key="train/x", labels_key="train/y", max_images=4, seed=1)
    assert (images.resolution, images.channels, images.count) == (8, expected.shape[3], 4)
    rows = np.sort(np.random.RandomState(1).permutation(6)[:4])
    for row, original in enumerate(rows):
        np.testing.assert_array_equal(images.read(row).image, expected[original])
    assert images.labels is not None
    assert images.labels.tolist() == LABELS[rows].tolist()


def test_without_labels(tmp_path: Path) -> None:
    images = import_hdf5(official(tmp_path / "a.h5"))
    assert images.labels is None
    assert images.label_names == ()


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (IMAGES[:, :4], r"/x has the shape \[6, 4, 8, 3\] of uint8. Square images"),
        (IMAGES[..., :2], "Square images"),
        (IMAGES.astype(np.float32), "of float32"),
        (IMAGES[:0], r"\[0, 8, 8, 3\]"),
        (np.uint8(1), "Square images"),
        (LABELS, "Square images"),
        (np.zeros((2, 12, 12, 3), np.uint8), "12x12, which is not a power of two from 4 to 1024"),
        (np.zeros((2, 3, 2, 2), np.uint8), "2x2, which is not a power of two"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_hdf5(file_with(tmp_path / "a.h5", x=array), key="x")


def test_missing_names_are_told_with_what_there_is(tmp_path: Path) -> None:
    source = file_with(tmp_path / "a.h5", group__x=IMAGES)
    with pytest.raises(UserError, match=r"--key; there are group/x \[6, 8, 8, 3\]"):
        import_hdf5(source)
    with pytest.raises(UserError, match=r"no array 'y'. Name another one with --key; .* group/x"):
        import_hdf5(source, key="y")
    with pytest.raises(UserError, match="no array 'group'"):
        import_hdf5(source, key="group")
    with pytest.raises(UserError, match="no array 'y'. Name another one with --labels-key"):
        import_hdf5(source, key="group/x", labels_key="y")
    with pytest.raises(UserError, match=r"/group/x has labels of the shape \(6, 8, 8, 3\)"):
        import_hdf5(source, key="group/x", labels_key="group/x")


def test_what_is_no_hdf5(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    (tmp_path / "a.h5").write_bytes(b"text")
    with pytest.raises(UserError, match="Cannot read .*a.h5 as HDF5"):
        import_hdf5(tmp_path / "a.h5")
    with pytest.raises(UserError, match="is not a file"):
        import_hdf5(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"needs the package h5py: pip install h5py"):
        import_hdf5(tmp_path / "a.h5")


def test_labels_in_a_column(tmp_path: Path) -> None:
    """As Keras stores them; a row of a single one-hot class is none."""
    column = np.array([[2], [0], [1], [1], [0], [2]])
    source = import_hdf5(file_with(tmp_path / "a.h5", x=IMAGES, y=column), key="x", labels_key="y")
    assert source.labels is not None and source.labels.tolist() == [2, 0, 1, 1, 0, 2]
    ones = np.ones((6, 1), np.int64)
    source = import_hdf5(file_with(tmp_path / "b.h5", x=IMAGES, y=ones), key="x", labels_key="y")
    assert source.labels is not None and source.labels.tolist() == [0] * 6


def test_another_file_of_the_same_name_is_another_source(tmp_path: Path) -> None:
    first = import_hdf5(file_with(tmp_path / "a.h5", x=IMAGES), key="x")
    again = import_hdf5(file_with(tmp_path / "b.h5", x=IMAGES), key="x")
    changed = IMAGES.copy()
    changed[0, 0, 0, 0] ^= 1
    other = import_hdf5(file_with(tmp_path / "c.h5", x=changed), key="x")
    assert first.identity == again.identity != other.identity
