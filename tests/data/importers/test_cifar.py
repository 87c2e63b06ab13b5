"""CIFAR's own pickles, and pickles that are up to something."""

import io
import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from progan.data.importers.array_datasets import CIFAR10, CIFAR100, import_cifar
from progan.errors import UserError
from tests.runtime.attacks import Attack

NAMES = ["plane", "car", "bird"]
IMAGES = np.random.RandomState(0).randint(0, 256, (20, 3, 32, 32)).astype(np.uint8)
LABELS = [row % 3 for row in range(20)]


def batch(number: int) -> dict[str, Any]:
    rows = slice(4 * number - 4, 4 * number)
    return {"data": IMAGES[rows].reshape(4, 3072), "labels": LABELS[rows]}


def folder_with(folder: Path, **changes: Any) -> Path:
    """A folder in CIFAR-10's layout; a change of None leaves the file out."""
    contents: dict[str, Any] = {f"data_batch_{number}": batch(number) for number in range(1, 6)}
    contents["batches.meta"] = {"label_names": NAMES}
    contents |= {
        name.replace("batches_meta", "batches.meta"): value for name, value in changes.items()
    }
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        if content is not None:
            data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
            (folder / name).write_bytes(data)
    return folder


def archive_of(folder: Path) -> Path:
    path = folder.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-py")
    return path


@pytest.mark.parametrize("pack", [lambda path: path, archive_of], ids=["folder", "archive"])
def test_images_labels_and_names(tmp_path: Path, pack: Callable[[Path], Path]) -> None:
    images = import_cifar(pack(folder_with(tmp_path / "in")), CIFAR10)
    assert (images.resolution, images.channels, images.count) == (32, 3, 20)
    assert images.label_names == tuple(NAMES)
    assert images.labels is not None
    assert images.labels.tolist() == LABELS
    for row in range(20):
        np.testing.assert_array_equal(images.read(row).image, IMAGES[row].transpose(1, 2, 0))


def test_labels_follow_the_chosen_images(tmp_path: Path) -> None:
    images = import_cifar(folder_with(tmp_path / "in"), CIFAR10, max_images=5, seed=1)
    assert images.labels is not None
    for row in range(5):
        picture = images.read(row).image.transpose(2, 0, 1)
        original = int(np.flatnonzero((IMAGES == picture).all(axis=(1, 2, 3)))[0])
        assert images.labels[row] == LABELS[original]


@pytest.mark.parametrize("row", [2, 5])
def test_pickles_that_call_something_are_refused_by_file(tmp_path: Path, row: int) -> None:
    data = pickle.dumps({"data": Attack(os.mkdir, str(tmp_path / "made"))}, protocol=2)
    with pytest.raises(UserError, match=f"data_batch_{row} is refused. .* asks for posix.mkdir"):
        import_cifar(folder_with(tmp_path / "in", **{f"data_batch_{row}": data}), CIFAR10)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data_batch_3": None, "data_batch_4": None}, "has no data_batch_3, data_batch_4. Name"),
        ({"batches_meta": None}, "has no batches.meta"),
        ({"batches_meta": {"names": []}}, "batches.meta has no class names"),
        ({"batches_meta": {"label_names": ["one"]}}, "has a label 1, but 1 class names"),
        ({"data_batch_1": b""}, "data_batch_1 is not a readable pickle"),
        ({"data_batch_1": b"text"}, "data_batch_1 is not a readable pickle"),
        ({"data_batch_1": pickle.dumps(batch(1))[:-100]}, "data_batch_1 is not a readable pickle"),
        ({"data_batch_1": [1, 2]}, "data_batch_1 is not a batch of CIFAR-10"),
        ({"data_batch_1": {"data": 1}}, "data_batch_1 is not a batch of CIFAR-10"),
        ({"data_batch_1": {**batch(1), "data": np.zeros((4, 3071), np.uint8)}}, "is not a batch"),
        ({"data_batch_1": {**batch(1), "data": np.zeros((4, 3072))}}, "4 images of float64"),
        ({"data_batch_1": {**batch(1), "labels": [1]}}, "4 images of uint8 and 1 labels"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        import_cifar(folder_with(tmp_path / "in", **changes), CIFAR10)


@pytest.mark.parametrize("cut", [0, 50, 1000])
def test_a_damaged_archive_is_named(tmp_path: Path, cut: int) -> None:
    path = archive_of(folder_with(tmp_path / "in"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match="in.tar.gz"):
        import_cifar(path, CIFAR10)


def test_archives_are_never_unpacked_to_disk(tmp_path: Path) -> None:
    path = archive_of(folder_with(tmp_path / "in"))
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../escaped")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(UserError, match="has no data_batch_1"):
        import_cifar(tmp_path / "evil.tar", CIFAR10)
    before = sorted(tmp_path.iterdir())
    import_cifar(path, CIFAR10)
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent does not exist"):
        import_cifar(tmp_path / "absent", CIFAR10)


def test_cifar100_has_its_fine_labels(tmp_path: Path) -> None:
    content = {"data": IMAGES.reshape(20, 3072), "fine_labels": LABELS, "coarse_labels": [0] * 20}
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "train").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(UserError, match="has no meta. Name the folder cifar-100-python or"):
        import_cifar(folder, CIFAR100)
    names = {"fine_label_names": NAMES, "coarse_label_names": ["thing"]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol=2))
    for source in (folder, archive_of(folder)):
        images = import_cifar(source, CIFAR100)
        assert images.description == f"CIFAR-100, {source}"
        assert images.label_names == tuple(NAMES)
        assert images.labels is not None
        assert images.labels.tolist() == LABELS
        np.testing.assert_array_equal(images.read(7).image, IMAGES[7].transpose(1, 2, 0))
    with pytest.raises(UserError, match="has no data_batch_1"):
        import_cifar(folder, CIFAR10)
