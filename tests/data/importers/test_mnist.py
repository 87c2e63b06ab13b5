"""MNIST and MNIST-RGB."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from progan.cli.dataset import main
from progan.data.importers.array_datasets import import_mnist, import_mnist_rgb
from progan.data.reader import Dataset
from progan.errors import UserError

IMAGES = np.random.RandomState(0).randint(0, 256, (20, 28, 28)).astype(np.uint8)
LABELS = (np.arange(20) % 10).astype(np.uint8)


def idx(array: np.ndarray, *, element_type: int = 8) -> bytes:
    return (
        struct.pack(f">HBB{array.ndim}I", 0, element_type, array.ndim, *array.shape)
        + array.tobytes()
    )


def folder_with(folder: Path, images: bytes, labels: bytes, suffix: str = "") -> Path:
    (folder / f"train-images-idx3-ubyte{suffix}").write_bytes(images)
    (folder / f"train-labels-idx1-ubyte{suffix}").write_bytes(labels)
    return folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_digits_are_padded_to_32(tmp_path: Path, suffix: str) -> None:
    pack = gzip.compress if suffix else bytes
    images = import_mnist(folder_with(tmp_path, pack(idx(IMAGES)), pack(idx(LABELS)), suffix))
    assert (images.resolution, images.channels, images.count) == (32, 1, 20)
    assert images.labels is not None
    assert images.labels.tolist() == LABELS.tolist()
    assert images.label_names == tuple("0123456789")
    padded = images.read(7).image
    assert padded.shape == (32, 32, 1)
    np.testing.assert_array_equal(padded[2:30, 2:30, 0], IMAGES[7])
    padded[2:30, 2:30] = 0
    assert not padded.any()


def test_labels_follow_the_chosen_images(tmp_path: Path) -> None:
    images = import_mnist(folder_with(tmp_path, idx(IMAGES), idx(LABELS)), max_images=4, seed=3)
    assert images.count == 4
    assert images.labels is not None
    for row in range(4):
        digit = images.read(row).image[2:30, 2:30, 0]
        original = int(np.flatnonzero((IMAGES == digit).all(axis=(1, 2)))[0])
        assert images.labels[row] == LABELS[original]


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (b"", idx(LABELS), "Cannot read .*train-images-idx3-ubyte: "),
        (idx(IMAGES)[:-1], idx(LABELS), "was cut short"),
        (idx(IMAGES, element_type=13), idx(LABELS), "is not an IDX file of bytes with 3 axes"),
        (idx(LABELS), idx(LABELS), "is not an IDX file of bytes with 3 axes"),
        (idx(IMAGES[:, :27]), idx(LABELS), "images of 27x28, not the 28x28"),
        (idx(IMAGES), idx(LABELS[:5]), "each of the 20 images, but 5 numbers up to 4"),
        (idx(IMAGES), idx(LABELS + 1), "20 numbers up to 10"),
        (idx(IMAGES), idx(LABELS[:0]), "but 0 numbers"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, images: bytes, labels: bytes, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        import_mnist(folder_with(tmp_path, images, labels))


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(idx(IMAGES))[:-20], b""])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match="train-images-idx3-ubyte.gz.* Fetch it again"):
        import_mnist(folder_with(tmp_path, data, gzip.compress(idx(LABELS)), ".gz"))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No train-images-idx3-ubyte or .*gz in --source"):
        import_mnist(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    with pytest.raises(UserError, match="No train-labels-idx1-ubyte or"):
        import_mnist(tmp_path)


def test_images_are_drawn_as_the_official_tool_draws_them(tmp_path: Path) -> None:
    images = import_mnist_rgb(
        folder_with(tmp_path, idx(IMAGES), idx(LABELS)), num_images=50, seed=123
    )
    assert (images.resolution, images.channels, images.count) == (32, 3, 50)
    assert images.label_names[:2] == ("000", "001")
    assert len(images.label_names) == 1000
    assert images.labels is not None
    state = np.random.RandomState(123)
    for row in range(50):
        three = state.randint(len(IMAGES), size=3)
        image = images.read(row).image
        np.testing.assert_array_equal(image[2:30, 2:30], IMAGES[three].transpose(1, 2, 0))
        name = images.label_names[images.labels[row]]
        assert name == "".join(str(LABELS[index]) for index in three)
    image[2:30, 2:30] = 0
    assert not image.any()


def test_the_command(tmp_path: Path) -> None:
    folder_with(tmp_path, idx(IMAGES), idx(LABELS))
    for name, seed in (("a", []), ("b", ["--seed", "123"]), ("c", ["--seed", "124"])):
        result = CliRunner().invoke(
            main,
            [
                "create-mnist-rgb",
                "--source",
                str(tmp_path),
                "--dest",
                str(tmp_path / name),
                "--num_images",
                "30",
                "--holdout",
                "0.1",
                *seed,
            ],
        )
        assert result.exit_code == 0, result.output
    a, b, c = (Dataset.open(tmp_path / name) for name in "abc")
    assert (len(a), len(a.held_out_rows), a.label_size) == (30, 3, 1000)
    assert a.fingerprint == b.fingerprint != c.fingerprint


def test_no_digits_are_refused(tmp_path: Path) -> None:
    folder_with(tmp_path, idx(IMAGES[:0]), idx(LABELS[:0]))
    with pytest.raises(UserError, match="No digits in"):
        import_mnist_rgb(tmp_path, num_images=3, seed=0)
