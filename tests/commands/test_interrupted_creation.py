"""Creations of datasets that a full disk or an interruption ends, and their continuation."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.reader import Dataset
from tests.builders import in_foreground

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")  # every write to it fails as on a full disk
needs_full = pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Forty images of 32x32."""
    (tmp_path / "in").mkdir()
    random = np.random.RandomState(0)
    for number in range(40):
        pixels = random.randint(0, 256, (32, 32, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"in/{number}.png")
    return tmp_path / "in"


def command(source: Path) -> list[str]:
    return [
        "create-from-images", "--source", str(source), "--dest", str(source.parent / "out"),
        "--workers", "1",
    ]  # fmt: skip


def left(source: Path) -> list[str]:
    return sorted(path.name for path in source.parent.iterdir() if path != source)


@needs_full
@pytest.mark.parametrize("name", ["level-02.npy", "level-05.npy"])
def test_a_full_disk_is_told_with_the_file_that_was_written(
    source: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing, real = source.parent / ".out.partial", Path.open

    def open_(path: Path, *arguments: object, **options: object) -> object:
        chosen = FULL if path.name == name else path
        return real(chosen, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_)
    result = run(*command(source))
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: {growing / name}: No space left on device. Free some space, "
        "or name a folder on another disk.\n"
    )
    assert left(source) == []


def test_without_room_for_a_first_file_nothing_is_left(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def open_(path: Path, *arguments: object, **options: object) -> object:
        if path.name == "level-04.npy":
            raise OSError(28, "No space left on device", str(path))
        return real(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", open_)
    result = run(*command(source))
    assert result.exit_code == 1
    assert "level-04.npy: No space left on device." in result.stderr
    assert left(source) == []


def test_a_disk_that_fills_on_the_way_keeps_what_can_be_continued(source: Path) -> None:
    growing = source.parent / ".out.partial"
    at_once = (
        "from progan.data.journal import PeriodicFlush as P; P.flush_if_due = P.flush_or_clear; "
        "from progan.cli.dataset import main; main()"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))  # level 5 has 123,008 bytes

    done = subprocess.run(
        [sys.executable, "-c", at_once, *command(source)],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 1
    assert f"Error: {growing / 'level-05.npy'}: File too large. Raise the limit" in done.stderr
    assert "The same command continues where this one stopped.\n" in done.stderr
    assert json.loads((growing / "journal.json").read_text())["asked"] == 10  # a chunk
    result = run(*command(source))
    assert result.exit_code == 0, result.output
    assert "Continuing an interrupted creation: 10 of 40 images are done.\n" in result.stdout
    assert "images/s" not in result.stdout  # of which an earlier attempt made some
    assert len(Dataset.open(source.parent / "out")) == 40
    assert left(source) == ["out"]


def test_what_nothing_can_be_made_of_is_begun_again(source: Path) -> None:
    (source.parent / ".out.partial").mkdir()
    (source.parent / ".out.partial/level-02.npy").write_bytes(b"half a header")
    result = run(*command(source))
    assert result.exit_code == 0, result.output
    assert "An interrupted creation left no complete image: starting with the" in result.stdout


def test_a_new_creation_says_nothing_of_an_interruption(source: Path) -> None:
    result = run(*command(source))
    assert "nterrupted" not in result.output and " images/s).\n" in result.stdout


def test_one_image_is_counted_as_one(source: Path) -> None:
    for number in range(2, 40):
        (source / f"{number}.png").unlink()
    (source / "1.png").write_bytes((source / "0.png").read_bytes())
    result = run(*command(source))
    assert "1 image is in the dataset though it is suspicious:\n  1.png" in result.stderr
    result = run(*command(source)[:-4], "--dest", source.parent / "one", "--on-error", "skip")
    assert "1 image was left out:\n  1.png: has the content" in result.stderr
    assert f"{source.parent / 'one'}: 1 image 32x32x3, " in result.stdout
    assert run("check", source).stdout.endswith(f"{source}: 2 images, 1 of them with 1 warning.\n")


# The pixels are decoded in a second pass: there, a regular file blocks.
BLOCKING = """
import os
from pathlib import Path
from progan.cli.dataset import main

pipe, _ = os.pipe()
read_bytes, seen = Path.read_bytes, []

def block(path):
    if path.name == "30.png":
        seen.append(path)
        if len(seen) == 2:
            print("blocked", flush=True)
            os.read(pipe, 1)
    return read_bytes(path)

Path.read_bytes = block
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_creation_whose_source_does_not_answer_is_interrupted_and_continued(
    source: Path, number: signal.Signals
) -> None:
    with in_foreground(sys.executable, "-c", BLOCKING, *command(source)) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in ("blocked\n", ""):
            pass
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith("The same command continues where this one stopped.\n\nInterrupted.\n")
    assert left(source) == [".out.partial"]
    result = run(*command(source))
    assert "Continuing an interrupted creation: " in result.stdout
    assert len(Dataset.open(source.parent / "out")) == 40


@needs_full
def test_a_report_for_a_full_device_is_told_and_the_device_stays(source: Path) -> None:
    result = run("check", source, "--json", FULL)
    assert result.exit_code == 1
    assert "/dev/full: No space left on device." in result.stderr
    assert FULL.is_char_device()


def test_a_report_can_go_to_a_pipe(source: Path) -> None:
    read, write = os.pipe()
    done = subprocess.run(
        [
            sys.executable, str(ROOT / "dataset_tool.py"), "check", str(source), "--json",
            f"/dev/fd/{write}",
        ],
        pass_fds=[write], stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    with os.fdopen(read) as file:
        assert json.load(file)["images"] == 40
    assert done.returncode == 0
