"""dataset_tool.py from the outside."""

import json
import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.pyramid import build_pyramid
from progan.data.reader import Dataset, draw_holdout_rows
from tests.builders import in_foreground, noise_dataset

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
    for level, images in build_pyramid(NOISE).items():
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
    result = run(
        "create-from-images", "--source", folder, "--dest", folder.parent / "a/b", *arguments
    )
    assert result.exit_code == 1
    assert "power of two" in result.stderr
    require_nothing_written(folder)


def test_images_are_held_out(folder: Path) -> None:
    rows = []
    for name, words in (
        ("a", ["--seed", 3]),
        ("b", ["--seed", 3]),
        ("c", ["--seed", 4]),
        ("d", ["--seed", 0]),
        ("e", []),
    ):
        dest = folder.parent / name
        result = run(
            "create-from-images", "--source", folder, "--dest", dest, "--holdout", 0.25,
            "--max-images", 12, *words,
        )  # fmt: skip
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
        struct.pack(">HBB3I", 0, 8, 3, 10, 28, 28) + bytes(10 * 28 * 28)
    )
    (folder / "train-labels-idx1-ubyte").write_bytes(
        struct.pack(">HBBI", 0, 8, 1, 10) + bytes(range(10))
    )
    return folder


def cifar10(folder: Path) -> Path:
    for number in range(1, 6):
        content = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1]}
        (folder / f"data_batch_{number}").write_bytes(pickle.dumps(content, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}, protocol=2))
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("create-mnist", "--source", mnist),
        ("create-cifar10", "--source", cifar10),
        ("create-demo", "--num-images", 10, "--resolution", 4),
    ],
    ids=lambda words: words[0],
)
def test_other_sources_hold_out_too(tmp_path: Path, words: tuple[Any, ...]) -> None:
    source = tmp_path / "in"
    source.mkdir()
    words = tuple(word(source) if callable(word) else word for word in words)
    result = run(*words, "--dest", tmp_path / "d", "--holdout", 0.2, "--seed", 5, "--workers", 1)
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert dataset.held_out_rows.tolist() == draw_holdout_rows(2, 10, 5).tolist()
    assert dataset.info.options["holdout"] == 0.2


@pytest.mark.parametrize("fraction", ["1", "-0.1", "1.5", "nan", "inf"])
def test_a_holdout_that_is_no_fraction(folder: Path, fraction: str) -> None:
    result = run(
        "create-from-images", "--source", folder, "--dest", folder.parent / "pets", "--holdout",
        fraction,
    )  # fmt: skip
    assert result.exit_code == 2
    problem = "is not a finite number" if fraction == "nan" else "is not in the range 0<=x<1"
    assert f"'--holdout': {float(fraction)} {problem}" in result.stderr
    require_nothing_written(folder)


def test_a_holdout_that_leaves_nothing_to_train_on(folder: Path) -> None:
    result = run(
        "create-from-images", "--source", folder, "--dest", folder.parent / "pets", "--holdout",
        0.5, "--max-images", 1,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "--holdout 0.5 of 1 image keeps it away from training. Name a" in result.stderr
    require_nothing_written(folder)


def test_a_bad_image_stops_or_is_skipped(folder: Path) -> None:
    whole = (folder / "dog/11.png").read_bytes()
    (folder / "dog/11.png").write_bytes(whole[: len(whole) // 2])  # its header is whole
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
    assert "dog/11.png: image file is truncated" in result.stderr
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

    monkeypatch.setattr("progan.data.array_files.ArrayWriter._write", full)
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
    result = run(
        "create-demo", "--dest", tmp_path / "d", "--resolution", 32, "--num_images", 6, "--workers",
        2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert len(dataset) == 6
    assert dataset.landmarks(np.arange(6)).shape == (6, 5, 2)


def test_real_pictures(shared: Path, tmp_path: Path) -> None:
    result = run(
        "create-from-images", "--source", shared / "data/landscape-1024-jpg.zip", "--dest",
        tmp_path / "d", "--max-images", 3, "--seed", 1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(tmp_path / "d")
    assert (dataset.resolution, dataset.channels, len(dataset)) == (1024, 3, 3)
    assert 20 < dataset.images(2, np.arange(3)).mean() < 235


def test_real_digits_and_classes(shared: Path, tmp_path: Path) -> None:
    for name, classes in (("mnist-10k-png", "0"), ("cifar10-train-jpg", "airplane")):
        result = run(
            "create-from-images", "--source", shared / f"data/{name}.zip", "--dest",
            tmp_path / name, "--max-images", 50, "--seed", 1, "--resolution", 32,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        dataset = Dataset.open(tmp_path / name)
        assert dataset.label_size == 10
        assert dataset.label_names[0] == classes
        assert len(set(dataset.labels(np.arange(50)).tolist())) > 7


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys, progan.cli.dataset\n"
        "print([name for name in ('numpy', 'torch', 'PIL') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


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


DEMO = ("create-demo", "--resolution", "64", "--num-images", "2000", "--workers", "2", "--dest")


def contents(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.fixture(scope="module")
def portraits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that nothing interrupted; its name is the one of the others."""
    dest = tmp_path_factory.mktemp("whole") / "d"
    assert run(*DEMO, dest).exit_code == 0
    return dest


def wait_for(moment: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not moment() and time.monotonic() < deadline:
        time.sleep(0.01)


def asked(journal: Path) -> int:
    """How many images an interrupted creation has read."""
    return json.loads(journal.read_text())["asked"] if journal.exists() else 0


@pytest.mark.parametrize("presses", [1, 2])
def test_what_ctrl_c_interrupts_the_same_command_continues(
    tmp_path: Path, portraits: Path, presses: int
) -> None:
    with in_foreground(*TOOL, *DEMO, tmp_path / "d") as process:
        wait_for(lambda: list(tmp_path.glob(".d.*/level-02.npy")))
        time.sleep(0.3)
        for _ in range(presses):
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            time.sleep(0.1)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith("\nInterrupted.\n")
    assert not (tmp_path / "d").exists()
    assert run(*DEMO, tmp_path / "d").exit_code == 0
    assert contents(tmp_path / "d") == contents(portraits)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_creation_that_is_killed_five_times_ends_in_the_same_bytes(
    tmp_path: Path, portraits: Path
) -> None:
    # Its own journal would be written only once in such a short life.
    often = (
        "import progan.data.writer as writer; writer.JOURNAL_SECONDS = 0.01; "
        "from progan.cli.dataset import main; main()"
    )
    command = [sys.executable, "-c", often, *DEMO, str(tmp_path / "d")]
    journal, progress = tmp_path / ".d.partial" / "journal.json", [0]
    for images in np.random.RandomState(0).randint(1, 200, 5):
        with in_foreground(*command) as process:
            wait_for(lambda: asked(journal) >= progress[-1] + images)  # noqa: B023
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        progress.append(asked(journal))
    assert progress == sorted(set(progress)) and progress[-1] < 2000
    assert run(*DEMO, tmp_path / "d").exit_code == 0
    assert contents(tmp_path / "d") == contents(portraits)


def test_every_problem_is_named_with_what_mends_it(tmp_path: Path) -> None:
    source = tmp_path / "in"
    fixtures = {
        "cut.png": "unreadable", "empty.png": "unreadable", "text.jpg": "unreadable",
        "odd.png": "size", "palette.png": "palette", "print.jpg": "CMYK", "deep.png": "16-bit",
        "clear.png": "alpha", "turned.jpg": "rotated", "copy.png": "duplicate",
        "plain.png": "constant", "outside.png": "label",
    }  # fmt: skip
    good = np.random.RandomState(0).randint(0, 256, (150, 32, 32, 3)).astype(np.uint8)
    for folder in ("a", "b"):
        (source / folder).mkdir(parents=True)
    for number, pixels in enumerate(good):
        Image.fromarray(pixels).save(source / "ab"[number % 2] / f"{number}.png")
    place = source / "a"
    picture = Image.fromarray(good[0][::-1])
    picture.save(place / "cut.png")
    (place / "cut.png").write_bytes((place / "cut.png").read_bytes()[:-500])
    (place / "empty.png").touch()
    (place / "text.jpg").write_text("words")
    picture.resize((48, 32)).save(place / "odd.png")
    picture.convert("P").save(place / "palette.png")
    picture.convert("CMYK").save(place / "print.jpg")
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64).save(place / "deep.png")
    picture.convert("RGBA").save(place / "clear.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(place / "turned.jpg", exif=exif)
    shutil.copy(place / "0.png", place / "copy.png")
    Image.new("RGB", (32, 32), "red").save(place / "plain.png")
    Image.fromarray(good[1][::-1]).save(source / "outside.png")

    result = run("check", source, "--json", tmp_path / "report.json", "--resolution", 32)
    assert result.exit_code == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["images"] == 162
    found = {(Path(item["path"]).name, item["kind"]) for item in report["problems"]}
    assert found >= set(fixtures.items())
    others = {("deep.png", "kind"), ("clear.png", "kind")}
    assert found - set(fixtures.items()) <= others
    assert all(item["remedy"] and item["detail"] for item in report["problems"])
    assert all(f"{name}: " in result.stdout for name in fixtures)
    assert "162 images, 12 of them with" in result.stdout

    done = run(
        "create-from-images", "--source", source, "--dest", tmp_path / "out", "--on-error", "skip",
        "--channels", 3, "--labels", "none",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    dataset = Dataset.open(tmp_path / "out")
    assert len(dataset) == 157
    assert {Path(item.path).name for item in dataset.info.skipped} == {
        "cut.png",
        "empty.png",
        "text.jpg",
        "copy.png",
        "plain.png",
    }


def test_suspicious_images_are_written_with_a_warning_or_skipped(folder: Path) -> None:
    shutil.copy(folder / "cat/2.png", folder / "dog/6a.png")
    Image.new("RGB", (32, 32), "red").save(folder / "dog/7a.png")
    command = ("create-from-images", "--source", folder, "--dest")
    result = run(*command, folder.parent / "all", "--alpha-color", "#102030")
    assert result.exit_code == 0, result.output
    assert (
        "2 images are in the dataset though they are suspicious:\n"
        "  dog/6a.png: has the content of cat/2.png\n"
        "  dog/7a.png: all pixels are the same\n"
        "Leave such images out with --on-error skip.\n"
    ) in result.stderr
    everything = Dataset.open(folder.parent / "all")
    assert (len(everything), everything.info.skipped) == (14, ())
    assert everything.info.options["alpha_color"] == "#102030"
    result = run(*command, folder.parent / "sound", "--on-error", "skip")
    assert "2 images were left out:\n  dog/6a.png: has" in result.stderr
    assert "suspicious" not in result.stderr
    sound = Dataset.open(folder.parent / "sound")
    np.testing.assert_array_equal(sound.images(5, np.arange(12)), NOISE)
    assert [item.path for item in sound.info.skipped] == ["dog/6a.png", "dog/7a.png"]


def test_a_sound_folder_has_no_problems(tmp_path: Path) -> None:
    for number, pixels in enumerate(np.random.RandomState(0).randint(0, 256, (4, 8, 8, 3))):
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{number}.png")
    result = run("check", tmp_path)
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}: 4 images, no problems.\n")
    result = run("check", tmp_path, "--resolution", 16)
    assert result.exit_code == 0  # they are enlarged
    assert "small (4): choose a smaller --resolution" in result.stdout


@pytest.mark.parametrize(("channels", "classes"), [(1, 0), (3, 3), (4, 0)])
def test_what_is_extracted_makes_the_same_dataset(
    tmp_path: Path, channels: int, classes: int
) -> None:
    first = noise_dataset(tmp_path / "first", channels=channels, classes=classes, count=30)
    result = run("extract", "--source", first.path, "--dest", tmp_path / "pictures")
    assert result.stdout == f"{tmp_path / 'pictures'}: 30 images of 16x16.\n"
    assert len(list((tmp_path / "pictures").glob("**/*.png"))) == 30
    assert (
        run(
            "create-from-images", "--source", tmp_path / "pictures", "--dest", tmp_path / "second"
        ).exit_code
        == 0
    )
    if not classes:  # classes come folder by folder
        result = run("compare", first.path, tmp_path / "second")
        assert (result.exit_code, result.stdout) == (0, "All 30 images are equal.\n")
    second = Dataset.open(tmp_path / "second")
    assert second.label_names == first.label_names
    assert sorted(map(bytes, first.images(4, np.arange(30)))) == sorted(
        map(bytes, second.images(4, np.arange(30)))
    )


def test_a_lower_level_can_be_extracted(tmp_path: Path) -> None:
    first = noise_dataset(tmp_path / "first", count=12)
    assert (
        run(
            "extract", "--source", first.path, "--dest", tmp_path / "out", "--resolution", 8
        ).exit_code
        == 0
    )
    for row in (0, 11):
        pixels = np.asarray(Image.open(tmp_path / "out" / f"{row:02d}.png"))
        np.testing.assert_array_equal(pixels, first.images(3, np.array([row]))[0])
    refused = run("extract", "--source", first.path, "--dest", tmp_path / "x", "--resolution", 32)
    assert refused.exit_code == 1 and "--resolution is one of 4, 8, 16" in refused.stderr


def test_leftovers_of_a_killed_extraction_are_free_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = noise_dataset(tmp_path / "first", count=12)
    left = tmp_path / ".out.partial" / "00.png"
    left.parent.mkdir()
    left.write_bytes(bytes(800))
    real, needed = shutil.disk_usage(tmp_path), 12 * 16 * 16 * 3
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: real._replace(free=needed - 800 * left.exists())
    )
    words = ("extract", "--source", first.path, "--dest")
    assert run(*words, tmp_path / "out").exit_code == 0
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=needed - 1))
    refused = run(*words, tmp_path / "other")
    assert refused.exit_code == 1 and "Free 1 bytes" in refused.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "out"]


def test_differences_are_counted(tmp_path: Path) -> None:
    first = noise_dataset(tmp_path / "first", count=20, classes=2)
    shutil.copytree(first.path, tmp_path / "second")
    level = np.load(tmp_path / "second" / "level-04.npy", mmap_mode="r+")
    level[[3, 7], 0, 0, 0] ^= 1
    level.flush()
    labels = np.load(tmp_path / "second" / "labels.npy", mmap_mode="r+")
    labels[5] ^= 1
    labels.flush()
    result = run("compare", first.path, tmp_path / "second")
    assert result.exit_code == 1
    assert "2 of 20 images differ, by 1 at most" in result.stdout and "3, 7" in result.stdout
    assert "1 image has another class: 5" in result.stdout
    other = noise_dataset(tmp_path / "third", count=21)
    said = run("compare", first.path, other.path)
    assert said.exit_code == 1 and "only datasets of one shape" in said.stderr


def test_parts_of_many_machines_make_one_dataset(tmp_path: Path) -> None:
    words = ("create-demo", "--resolution", 16, "--num-images", 30, "--seed", 4, "--workers", 1)
    for number in (2, 1, 3):
        done = run(*words, "--dest", tmp_path / "many" / "d", "--shard", f"{number}/3")
        assert done.exit_code == 0, done.output
    missing = run("verify", tmp_path / "many" / "e", "--merge")
    assert missing.exit_code == 1 and "No parts beside" in missing.stderr
    merged = run("verify", tmp_path / "many" / "d", "--merge")
    assert merged.exit_code == 0, merged.output
    assert "30 images" in merged.stdout and "all 4 files are as they were" in merged.stdout
    assert run(*words, "--dest", tmp_path / "one" / "d").exit_code == 0
    assert contents(tmp_path / "many" / "d") == contents(tmp_path / "one" / "d")
    assert run(*words, "--dest", tmp_path / "x", "--shard", "4/3").exit_code == 1


def test_compressed_datasets_are_smaller_and_the_same(tmp_path: Path) -> None:
    words = ("create-demo", "--resolution", 256, "--num-images", 6, "--workers", 1)
    assert run(*words, "--dest", tmp_path / "raw").exit_code == 0
    assert run(*words, "--dest", tmp_path / "small", "--compress").exit_code == 0
    assert run("compare", tmp_path / "raw", tmp_path / "small").stdout == (
        "All 6 images are equal.\n"
    )
    sizes = [
        sum(file.stat().st_size for file in (tmp_path / name).iterdir())
        for name in ("raw", "small")
    ]
    assert sizes[1] < 0.6 * sizes[0]
    assert run("verify", tmp_path / "small").exit_code == 0
    assert run("info", tmp_path / "small").exit_code == 0


def test_an_image_that_is_too_small_for_any_dataset_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for side in (3, 8):
        pixels = np.random.RandomState(side).randint(256, size=(side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(source / f"{side}.png")
    result = run("check", source)
    assert result.exit_code == 1
    assert "tiny (1): remove it, or choose a --resolution" in result.stdout
    create = ("create-from-images", "--source", source, "--dest", tmp_path / "d")
    assert "3.png has only 3x3 pixels" in run(*create).output
    assert run(*create, "--resolution", 8).exit_code == 0
    assert "tiny" not in run("check", source, "--resolution", 8).stdout


def test_what_is_plain_once_it_is_converted_is_plain_for_both_commands(tmp_path: Path) -> None:
    """Of 16 bits the lowest eight go; what transparency hides goes without it."""
    source = tmp_path / "in"
    source.mkdir()
    values = np.random.RandomState(0).randint(1 << 16, size=(8, 8)).astype(np.uint16)
    Image.fromarray(values).save(source / "bright.png")
    Image.fromarray(values % 100).save(source / "dark.png")
    assert "constant (1)" in run("check", source).stdout
    command = ("create-from-images", "--source", source, "--on-error", "skip")
    result = run(*command, "--dest", tmp_path / "a")
    assert "dark.png: all pixels are the same" in result.output
    hidden = np.random.RandomState(1).randint(256, size=(8, 8, 4), dtype=np.uint8)
    hidden[..., 3] = 0
    Image.fromarray(hidden, "RGBA").save(source / "dark.png")
    result = run(*command, "--dest", tmp_path / "b", "--channels", 3)
    assert "dark.png: all pixels are the same" in result.output


def test_names_that_are_no_text_are_printed_as_escapes(tmp_path: Path) -> None:
    """Where the standard output is strict UTF-8, as in the locale en_US.UTF-8."""
    source = tmp_path / "in"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for number in range(2):
        path = os.fsencode(source) + b"/\x1b[31m\xe9%d.jpg" % number
        with open(path, "wb") as file:
            Image.fromarray(NOISE[number]).save(file, "JPEG", exif=exif)
    dest = os.fsencode(tmp_path) + b"/out\xe9"
    result = subprocess.run(
        [*TOOL, "create-from-images", "--source", source, "--dest", dest],
        capture_output=True, env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"}, cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    said = result.stdout.decode()
    assert "such as \\x1b[31m\\udce90.jpg." in said and "out\\udce9: 2 images" in said


def test_a_destination_may_pass_through_a_folder_that_is_not_there(tmp_path: Path) -> None:
    words = ("create-demo", "--num-images", 4, "--resolution", 8, "--dest")
    result = run(*words, f"{tmp_path}/absent/../made")
    assert result.exit_code == 0, result.output
    assert len(Dataset.open(tmp_path / "made")) == 4
    assert not (tmp_path / "absent").exists()
