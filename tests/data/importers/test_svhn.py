"""SVHN's own MATLAB file, whole and damaged."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from progan.data.importers.array_datasets import import_svhn
from progan.errors import UserError

IMAGES = np.random.RandomState(0).randint(0, 256, (32, 32, 3, 20)).astype(np.uint8)
LABELS = (np.arange(20) % 10 + 1).astype(np.uint8).reshape(20, 1)


def folder_with(folder: Path, **changes: np.ndarray) -> Path:
    savemat(folder / "train_32x32.mat", {"X": IMAGES, "y": LABELS, **changes}, do_compression=True)
    return folder


@pytest.mark.parametrize("name", ["", "train_32x32.mat"])
def test_images_and_digits(tmp_path: Path, name: str) -> None:
    images = import_svhn(folder_with(tmp_path) / name)
    assert (images.resolution, images.channels, images.count) == (32, 3, 20)
    assert images.label_names == tuple("0123456789")
    assert images.labels is not None
    assert images.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0] * 2  # 10 stands for 0
    for row in range(20):
        np.testing.assert_array_equal(images.read(row).image, IMAGES[..., row])


def test_labels_follow_the_chosen_images(tmp_path: Path) -> None:
    images = import_svhn(folder_with(tmp_path), max_images=5, seed=1)
    assert images.count == 5
    assert images.labels is not None
    for row in range(5):
        picture = images.read(row).image[..., np.newaxis]
        original = int(np.flatnonzero((IMAGES == picture).all(axis=(0, 1, 2)))[0])
        assert images.labels[row] == LABELS[original, 0] % 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"y": LABELS[:5]}, "and 5 labels, not"),
        ({"X": IMAGES[:28]}, r"shape \(28, 32, 3, 20\)"),
        ({"X": IMAGES.astype(float)}, "float64"),
        ({"y": LABELS - 1}, "labels from 0 to 9"),
        ({"y": LABELS + 1}, "labels from 2 to 11"),
        ({"y": LABELS / 2}, "labels from 0.5"),
        ({"X": IMAGES[..., :0], "y": LABELS[:0]}, "0 labels"),
    ],
)
def test_other_content_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        import_svhn(folder_with(tmp_path, **changes))


@pytest.mark.parametrize("data", [b"", b"text", b"MATLAB 7.3 MAT-file".ljust(200, b"\0")])
def test_a_file_of_another_kind_is_named(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "train_32x32.mat").write_bytes(data)
    with pytest.raises(UserError, match="Cannot read .*train_32x32.mat as SVHN's"):
        import_svhn(tmp_path)


def test_a_file_that_was_cut_short(tmp_path: Path) -> None:
    path = folder_with(tmp_path) / "train_32x32.mat"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(UserError, match="fetch it again"):
        import_svhn(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    savemat(tmp_path / "other.mat", {"x": LABELS})
    with pytest.raises(UserError, match=r"No such file: .*train_32x32.mat. Name"):
        import_svhn(tmp_path)
    with pytest.raises(UserError, match="KeyError"):
        import_svhn(tmp_path / "other.mat")
