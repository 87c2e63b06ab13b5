"""dataset_tool.py from the outside."""

import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.holdout import holdout_rows
from progan.data.pyramid import pyramid
from progan.data.reader import Dataset
from tests.builders import in_foreground

ROOT = Path(__file__).resolve().parents[2]
TOOL = (sys.executable, str(ROOT / "dataset_tool.py"))
NOISE = np.random.RandomState(0).randint(0, 256, (12, 32, 32, 3)).astype(np.uint8)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images 32x32 in two class folders."""
    for row, pixels in enumerate(NOISE):
        path = tmp_path / "in" / ("cat" if row < 6 else "dog") / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "in"


def require_nothing_written(folder: Path) -> None:
    assert [path.name for path in folder.parent.iterdir() if path != folder] == []


def test_a_folder_becomes_a_dataset(folder: Path) -> None:
    dest = folder.parent / "pets"
    result = run("create_from_images", "--source", folder, "--dest", dest, "--workers", 2)
    assert result.exit_code == 0, result.output
    assert "Resolution 32" in result.stdout
    assert "2 labels" in result.stdout
    assert f"{dest}: 12 images 32x32x3, 48." in result.stdout
    dataset = Dataset.open(dest)
    for level, images in pyramid(NOISE).items():
        np.testing.assert_array_equal(dataset.images(level, np.arange(12)), images)
    assert dataset.labels(np.arange(12)).tolist() == [0] * 6 + [1] * 6
    assert dataset.info.options["crop"] == "center"
    assert dataset.info.options["source"] == str(folder)


def test_info_verify_and_display(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dest = folder.parent / "pets"
    run("create-from-images", "--source", folder, "--dest", dest)
    assert "12\n" in run("info", dest).stdout
    assert run("verify", dest).stdout == f"{dest}: all 5 files are as they were written.\n"
    monkeypatch.chdir(folder.parent)
    assert run("display", dest).stdout == "pets-sheet.png\n"
    page = np.asarray(Image.open("pets-sheet.png"))
    assert page.shape == (3 * 34 - 2, 4 * 34 - 2, 3)
    np.testing.assert_array_equal(page[:32, :32], NOISE[0])
    np.testing.assert_array_equal(page[68:100, 102:134], NOISE[11])
    assert not page[32:34].any()
    result = run("display", dest, "--num", 2, "--resolution", 8, "--seed", 1, "--out", "small.png")
    assert result.stdout == "small.png\n"
    assert Image.open("small.png").size == (18, 8)


def test_a_sheet_shows_every_class(folder: Path) -> None:
    dest = folder.parent / "pets"
    run("create-from-images", "--source", folder, "--dest", dest)
    out = folder.parent / "a.png"
    run("display", dest, "--num", 2, "--out", out)
    np.testing.assert_array_equal(np.asarray(Image.open(out))[:, 34:], NOISE[6])


def test_verify_names_the_damaged_file(folder: Path) -> None:
    dest = folder.parent / "pets"
    run("create-from-images", "--source", folder, "--dest", dest)
    data = bytearray((dest / "level-03.npy").read_bytes())
    data[-1] ^= 1
    (dest / "level-03.npy").write_bytes(data)
    result = run("verify", dest)
    assert result.exit_code == 1
    assert "level-03.npy has other content" in result.stderr
    assert "level-04.npy" not in result.stderr


def test_display_of_a_level_that_is_not_there(folder: Path) -> None:
    dest = folder.parent / "pets"
    run("create-from-images", "--source", folder, "--dest", dest)
    result = run("display", dest, "--resolution", 64)
    assert result.exit_code == 1
    assert "--resolution is one of 4, 8, 16, 32." in result.stderr


@pytest.mark.parametrize("arguments", [("--resolution", 100), ("--resolution", 2048)])
def test_mistakes_leave_nothing_behind(folder: Path, arguments: tuple[object, ...]) -> None:
    result = run("create-from-images", "--source", folder, "--dest", folder.parent / "a/b",
                 *arguments)
    assert result.exit_code == 1
    assert "power of two" in result.stderr
    require_nothing_written(folder)


def test_images_are_held_out(folder: Path) -> None:
    rows = []
    for name, words in (("a", ["--seed", 3]), ("b", ["--seed", 3]), ("c", ["--seed", 4]),
                        ("d", ["--seed", 0]), ("e", [])):
        dest = folder.parent / name
        result = run("create-from-images", "--source", folder, "--dest", dest, "--holdout", 0.25,
                     "--max-images", 12, *words)
        assert result.exit_code == 0, result.output
        dataset = Dataset.open(dest)
        assert (len(dataset), len(dataset.training_rows)) == (12, 9)
        assert dataset.info.options["holdout"] == 0.25
        rows.append(dataset.held_out_rows.tolist())
    assert rows[0] == rows[1] != rows[2]
    assert rows[3] == rows[4]
    assert "held out      3 images\n" in run("info", dest).stdout
    assert "all 6 files are as they were written" in run("verify", dest).stdout
    data = bytearray((dest / "holdout.npy").read_bytes())
    data[-8] ^= 1
    (dest / "holdout.npy").write_bytes(data)
    assert "holdout.npy has other content" in run("verify", dest).stderr


def mnist(folder: Path) -> Path:
    (folder / "train-images-idx3-ubyte").write_bytes(
        struct.pack(">HBB3I", 0, 8, 3, 10, 28, 28) + bytes(10 * 28 * 28))
    (folder / "train-labels-idx1-ubyte").write_bytes(
        struct.pack(">HBBI", 0, 8, 1, 10) + bytes(range(10)))
    return folder


def cifar10(folder: Path) -> Path:
    for number in range(1, 6):
        content = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}, protocol=2))
    return folder


@pytest.mark.parametrize("words", [
    ("create-mnist", "--source", mnist), ("create-cifar10", "--source", cifar10),
    ("create-demo", "--num-images", 10, "--resolution", 4)], ids=lambda words: words[0])
def test_other_sources_hold_out_too(tmp_path: Path, words: tuple[Any, ...]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    words = tuple(word(source) if callable(word) else word for word in words)
    result = run(*words, "--dest", tmp_path / "d", "--holdout", 0.2, "--seed", 5, "--workers", 1)
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.held_out_rows.tolist() == holdout_rows(2, 10, 5).tolist()
    assert dataset.info.options["holdout"] == 0.2


@pytest.mark.parametrize("fraction", ["1", "-0.1", "1.5", "nan", "inf"])
def test_a_holdout_that_is_no_fraction(folder: Path, fraction: str) -> None:
    result = run("create-from-images", "--source", folder, "--dest", folder.parent / "pets",
                 "--holdout", fraction)
    assert result.exit_code == 2
    assert f"'--holdout': {float(fraction)} is not in the range 0<=x<1" in result.stderr
    require_nothing_written(folder)


def test_a_holdout_that_leaves_nothing_to_train_on(folder: Path) -> None:
    result = run("create-from-images", "--source", folder, "--dest", folder.parent / "pets",
                 "--holdout", 0.5, "--max-images", 1)
    assert result.exit_code == 1
    assert "--holdout 0.5 of 1 images keeps them all away from training. Name a" in result.stderr
    require_nothing_written(folder)


def test_a_bad_image_stops_or_is_skipped(folder: Path) -> None:
    whole = (folder / "dog/11.png").read_bytes()
    (folder / "dog/11.png").write_bytes(whole[:len(whole) // 2])  # its header is whole
    (folder / "cat/0.png").write_text("text")
    arguments = ("create-from-images", "--source", folder, "--dest", folder.parent / "pets")
    result = run(*arguments)
    assert result.exit_code == 1
    assert "1 of 12 images" in result.stderr
    assert "cat/0.png: not an image" in result.stderr
    require_nothing_written(folder)
    (folder / "cat/0.png").unlink()
    result = run(*arguments)
    assert result.exit_code == 1
    assert "Cannot read dog/11.png" in result.stderr
    require_nothing_written(folder)
    (folder / "cat/0.png").write_text("text")
    result = run(*arguments, "--on-error", "skip")
    assert result.exit_code == 0, result.output
    assert "2 images were left out:\n  cat/0.png: not an image" in result.stderr
    assert "  dog/11.png: " in result.stderr
    dataset = Dataset.open(folder.parent / "pets")
    np.testing.assert_array_equal(dataset.images(5, np.arange(10)), NOISE[1:11])
    assert dataset.labels(np.arange(10)).tolist() == [0] * 5 + [1] * 5
    assert "dog/11.png: " in run("info", dataset.path).stdout


def test_dest_is_looked_at_first(folder: Path) -> None:
    (folder.parent / "taken").mkdir()
    (folder.parent / "taken/mine.txt").write_text("x")
    for command in sorted(name for name in main.commands if name.startswith("create-")):
        if command == "create-demo":
            continue
        result = run(command, "--source", folder / "absent", "--dest", folder.parent / "taken")
        assert result.exit_code == 1
        assert "taken exists already and is not empty" in result.stderr
    assert [path.name for path in (folder.parent / "taken").iterdir()] == ["mine.txt"]


def test_dest_below_a_file(folder: Path) -> None:
    result = run("create-from-images", "--source", folder, "--dest", folder / "cat/0.png/d")
    assert result.exit_code == 1
    assert "Cannot create" in result.stderr
    assert "Not a directory" in result.stderr


def test_a_full_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.disk_usage(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=1000))
    result = run("create-from-images", "--source", folder, "--dest", folder.parent / "pets")
    assert result.exit_code == 1
    assert "needs 48." in result.stderr
    assert "has only 1000 bytes free" in result.stderr
    require_nothing_written(folder)


def test_the_disk_fills_on_the_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("progan.data.arrays.RowWriter._write", full)
    result = run("create-from-images", "--source", folder, "--dest", folder.parent / "pets")
    assert result.exit_code == 1
    assert f"{folder.parent / 'pets'}: No space left on device. Free some" in result.stderr
    require_nothing_written(folder)


@pytest.mark.parametrize("command", ["info", "verify", "display"])
def test_what_is_no_dataset(folder: Path, command: str) -> None:
    for path, message in [(folder, "has no dataset.json"), (folder / "x", "does not exist")]:
        result = run(command, path)
        assert result.exit_code == 1
        assert message in result.stderr


def test_demo(tmp_path: Path) -> None:
    result = run("create-demo", "--dest", tmp_path / "d", "--resolution", 32, "--num_images", 6,
                 "--workers", 2)
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert len(dataset) == 6
    assert dataset.landmarks(np.arange(6)).shape == (6, 5, 2)


def test_real_pictures(shared: Path, tmp_path: Path) -> None:
    result = run("create-from-images", "--source", shared / "data/landscape-1024-jpg.zip",
                 "--dest", tmp_path / "d", "--max-images", 3, "--seed", 1)
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert (dataset.resolution, dataset.channels, len(dataset)) == (1024, 3, 3)
    assert 20 < dataset.images(2, np.arange(3)).mean() < 235


def test_real_digits_and_classes(shared: Path, tmp_path: Path) -> None:
    for name, classes in (("mnist-10k-png", "0"), ("cifar10-train-jpg", "airplane")):
        result = run("create-from-images", "--source", shared / f"data/{name}.zip", "--dest",
                     tmp_path / name, "--max-images", 50, "--seed", 1, "--resolution", 32)
        assert result.exit_code == 0, result.output
        dataset = Dataset.open(tmp_path / name)
        assert dataset.label_size == 10
        assert dataset.label_names[0] == classes
        assert len(set(dataset.labels(np.arange(50)).tolist())) > 7


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    script = ("import sys, progan.cli.dataset\n"
              "print([name for name in ('numpy', 'torch', 'PIL') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
    seconds = []
    for _ in range(3):
        start = time.monotonic()
        subprocess.run([*TOOL, "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - start)
    assert min(seconds) < 0.3


def test_every_command_has_its_help() -> None:
    for name in main.commands:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Usage: " in result.stdout


def test_errors_from_outside() -> None:
    done = subprocess.run([*TOOL, "info", "/absent"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: /absent does not exist.")
    done = subprocess.run([*TOOL, "create-from-image"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Did you mean create-from-images" in done.stderr


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_leaves_nothing(tmp_path: Path, presses: int) -> None:
    with in_foreground(*TOOL, "create-demo", "--dest", tmp_path / "d", "--resolution", "64",
                       "--num-images", "100000", "--workers", "2") as process:
        deadline = time.monotonic() + 20
        while not list(tmp_path.glob(".d.*/level-02.npy")) and time.monotonic() < deadline:
            time.sleep(0.02)
        for _ in range(presses):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            time.sleep(0.1)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr == "\nInterrupted.\n"
    assert list(tmp_path.iterdir()) == []
