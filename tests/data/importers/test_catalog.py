"""Original files are fetched with torchvision's downloaders, here with stand-ins for them."""

import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from scipy.io import savemat

from progan.cli.dataset import main
from progan.data.importers.catalog import _DOWNLOADS, download_files
from progan.data.reader import Dataset
from progan.errors import UserError
from tests.data.importers.test_cifar import IMAGES as PHOTOS
from tests.data.importers.test_cifar import LABELS as CLASSES
from tests.data.importers.test_cifar import archive_of, folder_with
from tests.data.importers.test_mnist import IMAGES, LABELS, idx

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = ["create-mnist", "create-cifar10", "create-cifar100", "create-svhn", "create-celeba"]


def mnist(root: str, *, train: bool, download: bool) -> None:
    assert train and download
    folder = Path(root, "MNIST/raw")
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(LABELS))


def cifar10(root: str, *, train: bool, download: bool) -> None:
    assert train and download
    Path(root).mkdir()
    folder_with(Path(root, "cifar-10-batches-py"))


def cifar100(root: str, *, train: bool, download: bool) -> None:
    assert train and download
    folder = Path(root, "cifar-100-python")
    folder.mkdir(parents=True)
    content = {"data": PHOTOS.reshape(20, 3072), "fine_labels": CLASSES}
    (folder / "train").write_bytes(pickle.dumps(content, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b", "c"]}))


def svhn(root: str, *, split: str, download: bool) -> None:
    assert split == "train" and download
    Path(root).mkdir()
    savemat(
        Path(root, "train_32x32.mat"),
        {"X": PHOTOS.transpose(2, 3, 1, 0), "y": np.arange(20).reshape(20, 1) % 10 + 1},
    )


def celeba(root: str, *, split: str, download: bool) -> None:
    assert split == "all" and download
    folder = Path(root, "celeba/img_align_celeba")
    folder.mkdir(parents=True)
    for number in range(20):
        Image.new("RGB", (178, 218), (number, 0, 0)).save(folder / f"{number}.png")


def stand_in(monkeypatch: pytest.MonkeyPatch, **makers: Any) -> None:
    module = SimpleNamespace(datasets=SimpleNamespace(**makers))
    monkeypatch.setitem(sys.modules, "torchvision", module)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", COMMANDS)
def test_what_was_fetched_becomes_a_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    stand_in(monkeypatch, MNIST=mnist, CIFAR10=cifar10, CIFAR100=cifar100, SVHN=svhn, CelebA=celeba)
    words = [command, "--source", str(tmp_path / "in"), "--dest", str(tmp_path / "d")]
    result = CliRunner().invoke(main, [*words, "--download"])
    assert result.exit_code == 0, result.output
    assert len(Dataset.open(tmp_path / "d")) == 20
    monkeypatch.setitem(sys.modules, "torchvision", None)
    result = CliRunner().invoke(main, [*words[:-1], str(tmp_path / "again")])
    assert result.exit_code == 0, result.output
    assert Dataset.open(tmp_path / "again").fingerprint == Dataset.open(tmp_path / "d").fingerprint


def test_files_put_there_by_hand_are_found(tmp_path: Path) -> None:
    archive = archive_of(folder_with(tmp_path / "x"))
    (tmp_path / "in").mkdir()
    archive.rename(tmp_path / "in/cifar-10-python.tar.gz")
    result = CliRunner().invoke(
        main, ["create-cifar10", "--source", str(tmp_path / "in"), "--dest", str(tmp_path / "d")]
    )
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("command", "title", "files"),
    list(
        zip(
            COMMANDS,
            ["MNIST", "CIFAR-10", "CIFAR-100", "SVHN", "CelebA"],
            [
                "train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz",
                "cifar-10-python.tar.gz",
                "cifar-100-python.tar.gz",
                "train_32x32.mat",
                "img_align_celeba.zip",
            ],
            strict=True,
        )
    ),
)
def test_without_a_network_one_line_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, title: str, files: str
) -> None:
    def offline(root: str, **_: object) -> None:
        raise RuntimeError("Error downloading x:\nTried https://x/, got:\nno network\n.")

    stand_in(
        monkeypatch, MNIST=offline, CIFAR10=offline, CIFAR100=offline, SVHN=offline, CelebA=offline
    )
    source = tmp_path / "in"
    result = CliRunner().invoke(
        main, [command, "--download", "--source", str(source), "--dest", str(tmp_path / "d")]
    )
    assert result.exit_code == 1
    assert result.output == (
        f"Error: Cannot download {title}: Error downloading x: Tried https://x/, got: no network. "
        f"Put {files} into {source} by hand, and omit --download.\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_torchvision_that_cannot_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(UserError, match="--download needs torchvision, .* Put train_32x32.mat"):
        download_files("svhn", tmp_path)


def test_a_file_is_no_place_to_download_to(tmp_path: Path) -> None:
    (tmp_path / "a.mat").touch()
    with pytest.raises(UserError, match="--download needs a folder as --source, and .*a.mat is a"):
        download_files("svhn", tmp_path / "a.mat")


def test_torchvision_has_these_downloaders() -> None:
    """Each is asked in a way that it understands; no network is touched."""
    script = """
import inspect, sys
try:
    from torchvision import datasets
except Exception as error:
    sys.exit(f"absent: {error}")
for name in ("MNIST", "CIFAR10", "CIFAR100"):
    inspect.signature(getattr(datasets, name)).bind("x", train=True, download=True)
inspect.signature(datasets.SVHN).bind("x", split="train", download=True)
inspect.signature(datasets.CelebA).bind("x", split="all", download=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT)
    if done.stderr.startswith("absent"):
        pytest.skip(f"torchvision cannot be imported: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert set(_DOWNLOADS) == {command.removeprefix("create-") for command in COMMANDS}
