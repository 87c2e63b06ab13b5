"""dataset_tool.py check, and whether create-from-images agrees with it."""

import io
import json
import os
import shutil
import signal
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from progan.cli.dataset import main
from progan.data.reader import Dataset
from tests.builders import in_foreground

ORIENTATION = 0x0112


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(item) for item in arguments])


def noise(seed: int, width: int = 16, height: int = 16) -> Image.Image:
    random = np.random.RandomState(seed)
    return Image.fromarray(random.randint(0, 256, (height, width, 3)).astype(np.uint8))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Four images of 16x16."""
    (tmp_path / "in").mkdir()
    for seed in range(4):
        noise(seed).save(tmp_path / f"in/{seed}.png")
    return tmp_path / "in"


def create(source: Path, *arguments: object) -> Result:
    dest = source.parent / "out"
    shutil.rmtree(dest, ignore_errors=True)
    return run("create-from-images", "--source", source, "--dest", dest, *arguments)


def rotated(path: Path, width: int, height: int) -> None:
    """An image that is `height` px wide when it is upright."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    noise(9, width, height).save(path, exif=exif, quality=95)


def convertible(kind: str, folder: Path) -> None:
    if kind == "palette":
        noise(5).quantize(8).save(folder / "x.png")
    elif kind == "CMYK":
        noise(5).convert("CMYK").save(folder / "x.jpg")
    elif kind == "frames":
        noise(5).save(folder / "x.mpo", "JPEG")
    elif kind == "size":
        noise(5, 20, 16).save(folder / "x.png")
        for seed in range(20, 40):
            noise(seed).save(folder / f"{seed}.png")
    elif kind == "duplicate":
        shutil.copy(folder / "0.png", folder / "x.png")
    elif kind == "constant":
        Image.new("RGB", (16, 16), "red").save(folder / "x.png")
    elif kind == "rotated":
        rotated(folder / "x.jpg", 16, 16)


@pytest.mark.parametrize(
    "kind", ["palette", "CMYK", "frames", "size", "duplicate", "constant", "rotated"]
)
def test_what_is_taken_without_loss_is_told_with_exit_code_0(source: Path, kind: str) -> None:
    convertible(kind, source)
    result = run("check", source)
    assert result.exit_code == 0, result.output
    assert f"{kind} (1): " in result.stdout
    severity = "note" if kind not in ("size", "duplicate", "constant") else "warning"
    assert f"1 of them with 1 {severity}.\n" in result.stdout
    count = len(list(source.iterdir()))
    done = create(source)
    assert (done.exit_code, len(Dataset.open(source.parent / "out"))) == (0, count), done.output


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.png", b""),
        ("x.png", b"text"),
        ("x.heic", b""),
        ("x.nef", b""),
        ("x", b"\xff\xd8\xff\xe0"),
        ("x.jpg", b"\0\0\0\x18ftypheic" + bytes(80)),
    ],
)
def test_what_is_lost_gives_exit_code_1(source: Path, name: str, content: bytes) -> None:
    (source / name).write_bytes(content)
    result = run("check", source, "--json", source.parent / "report.json")
    assert result.exit_code == 1
    report = json.loads((source.parent / "report.json").read_text())
    assert [item["path"] for item in report["problems"] + report["ignored"]] == [name]
    created = create(source)
    assert name in created.output
    assert (created.exit_code == 1) == bool(report["problems"])


def test_mixed_kinds_which_creation_refuses_are_errors(source: Path) -> None:
    for seed in range(4, 7):
        noise(seed).convert("L").save(source / f"{seed}.png")
    result = run("check", source)
    assert result.exit_code == 1
    assert "kind (3): create-from-images needs --channels" in result.stdout
    assert create(source).exit_code == 1


def unreadable_files(folder: Path) -> None:
    """Files of every kind that a decoder may stumble over, and damaged EXIF, which it may not."""
    stream = io.BytesIO()
    noise(6, 64, 64).save(stream, "PNG")
    (folder / "cut.png").write_bytes(stream.getvalue()[:5000])
    stream = io.BytesIO()
    noise(6, 64, 64).save(stream, "JPEG")
    (folder / "cut.jpg").write_bytes(stream.getvalue()[:2000])
    (folder / "header.jpg").write_bytes(stream.getvalue()[:100])
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(40))
    noise(7).save(folder / "exif.jpg", exif=exif)
    noise(8).save(folder / "exif.png", exif=exif)
    Image.new("F", (8, 8)).save(folder / "float.tiff")
    Image.new("I", (8, 8), 70000).save(folder / "deep.tiff")
    (folder / "text.webp").write_text("text")


def test_check_and_creation_agree_about_unreadable_files(source: Path) -> None:
    unreadable_files(source)
    run("check", source, "--json", source.parent / "report.json")
    report = json.loads((source.parent / "report.json").read_text())
    created = create(source, "--on-error", "skip", "--channels", 3)
    assert created.exit_code == 0, created.output
    skipped = {item.path: item.reason for item in Dataset.open(source.parent / "out").info.skipped}
    assert "cut.png" in skipped and "cut.jpg" in skipped
    assert {
        item["path"]: item["detail"]
        for item in report["problems"]
        if item["kind"] in ("unreadable", "white-level")
    } == skipped


def test_sizes_are_those_of_the_upright_image(source: Path) -> None:
    for name in ("0.png", "1.png", "2.png", "3.png"):
        (source / name).unlink()
    for number in range(10):
        noise(number, 24, 40).save(source / f"{number}.jpg", quality=95)
    rotated(source / "a.jpg", 40, 24)
    result = run("check", source, "--size", "32x32")
    assert "size (" not in result.stdout
    assert "  a.jpg: 24x40 is less than 32x32\n" in result.stdout
    rotated(source / "b.jpg", 40, 3)
    assert "b.jpg has only 3x40 pixels" in create(source).stderr
    (source / "b.jpg").unlink()
    assert "Resolution 16, the" in create(source).stdout
    done = create(source, "--size", "24x40")
    assert "will be enlarged" not in done.output
    assert Dataset.open(source.parent / "out").info.top_size == (40, 24)


def test_check_names_what_it_did_not_look_at(source: Path) -> None:
    for number in range(12):
        (source / f"IMG_{number}.HEIC").touch()
    (source / "notes.txt").touch()
    (source / ".DS_Store").touch()
    os.mkfifo(source / "pipe.png")
    (source / "dataset.json").write_text('{"labels": null}')  # it is looked at
    result = run("check", source)
    assert result.exit_code == 1
    assert "12 HEIC, HEIF or AVIF images are ignored (such as IMG_0.HEIC). Convert" in result.stdout
    assert all(f"\n  IMG_{number}.HEIC\n" in result.stdout for number in range(12))
    assert "1 file that is not an image is ignored (.txt)." in result.stdout
    assert "1 file or folder of macOS metadata is ignored (.DS_Store).\n" in result.stdout
    assert "1 pipe, socket or device is ignored (pipe.png)." in result.stdout
    assert result.stdout.endswith(f"{source}: 4 images; 12 other images ignored.\n")
    for line in result.stdout.splitlines():
        assert " ignored (" not in line or line in create(source).stdout


def test_a_label_file_within_the_source_is_not_ignored(source: Path) -> None:
    table = source / "labels.csv"
    table.write_text("".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(4)))
    result = create(source, "--labels", table)
    assert result.exit_code == 0, result.output
    assert "ignored" not in result.output
    assert "1 file that is not an image is ignored (.csv)." in create(source).stdout


def test_an_archive_with_names_of_every_kind(source: Path) -> None:
    packed = source.parent / "a.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(4):
            info = zipfile.ZipInfo("x")
            info.filename = f"./{'cat' if number % 2 else 'dog'}/{number}.png"
            archive.writestr(info, (source / f"{number}.png").read_bytes())
    assert run("check", packed).output == f"{packed}: 4 images, no problems.\n"
    result = create(source, "--source", packed)
    assert "2 labels from" in result.stdout
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("../4.png", (source / "0.png").read_bytes())
    assert run("check", packed).exit_code == 1
    assert (
        "1 zip member with '..' in its path is ignored (../4.png)."
        in create(source, "--source", packed).stdout
    )


# A regular file that blocks, as on a dead network disk.
BLOCKING = """
import os
from pathlib import Path
from progan.cli.dataset import main

pipe, _ = os.pipe()
read_bytes = Path.read_bytes

def block(path):
    if path.name == "2.png":
        print("blocked", flush=True)
        os.read(pipe, 1)
    return read_bytes(path)

Path.read_bytes = block
main()
"""


@pytest.mark.parametrize("command", ["check", "create-from-images"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_read_that_never_ends_can_be_interrupted(
    source: Path, command: str, number: signal.Signals
) -> None:
    words = (
        [source] if command == "check" else ["--source", source, "--dest", source.parent / "out"]
    )
    with in_foreground(sys.executable, "-c", BLOCKING, command, *words) as process:
        assert process.stdout is not None and process.stdout.readline() == "blocked\n"
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.endswith("\nInterrupted.\n")
    assert [path.name for path in source.parent.iterdir()] == ["in"]


def test_big_endian_images_of_one_colour_are_checked_too(source: Path) -> None:
    border = np.zeros((16, 16), ">u2")
    border[4:12, 4:12] = np.arange(64).reshape(8, 8) * 1000
    for name, values in (("border", border), ("plain", np.zeros((16, 16), ">u2"))):
        image = Image.frombytes("I;16B", (16, 16), values.tobytes())
        image.save(source / f"{name}.tif")
    result = run("check", source)
    assert "plain.tif" in result.stdout and result.exit_code in (0, 1), result.output
    assert "border.tif: has one colour" not in result.stdout


def in_folders(source: Path, *names: str) -> None:
    """Move the images of a source, in their order, into folders; '': leave it where it is."""
    for path, name in zip(sorted(source.glob("*.png")), names, strict=True):
        (source / name).mkdir(exist_ok=True)
        path.rename(source / name / path.name)


def test_both_say_that_some_images_lie_in_no_folder_of_a_class(source: Path) -> None:
    in_folders(source, "cats", "dogs", "dogs", "")
    result = run("check", source)
    assert result.exit_code == 1
    assert "3.png: lies in no folder of a class, while others do" in result.stdout
    created = create(source)
    assert created.exit_code == 0
    assert "No labels: 1 of 4 images lies in no folder of a class, such as 3.png." in created.stdout


@pytest.mark.parametrize("content", ['{"version": 1}', "[]"])
def test_a_dataset_json_without_labels_leaves_it_to_the_folders(source: Path, content: str) -> None:
    (source / "dataset.json").write_text(content)
    in_folders(source, "cats", "dogs", "dogs", "")
    result = run("check", source)
    assert result.exit_code == 1
    assert "3.png: lies in no folder of a class, while others do" in result.stdout
    assert "No labels: 1 of 4 images lies in no folder of a class" in create(source).stdout
    (source / "dataset.json").write_text('{"labels": null}')
    assert run("check", source).exit_code == 0
    assert "No labels" not in create(source).stdout


@pytest.mark.parametrize(
    "names", [("cats/siamese", "cats", "dogs", "dogs/a/b"), ("cats", *[""] * 3)]
)
def test_folders_of_any_depth_are_classes_and_one_folder_is_none(
    source: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        (source / name).mkdir(parents=True, exist_ok=True)
    in_folders(source, *names)
    assert run("check", source).exit_code == 0
    assert "No labels" not in create(source).stdout


def test_both_find_the_images_that_dataset_json_leaves_out(source: Path) -> None:
    rows = [[f"{seed}.png", seed % 2] for seed in range(3)]
    (source / "dataset.json").write_text(json.dumps({"labels": rows}))
    result, created = run("check", source, "--json", source.parent / "x.json"), create(source)
    assert result.exit_code == created.exit_code == 1
    for output in (result.stdout, created.stderr):
        assert "1 of 4 images has no label in dataset.json" in output
    assert "no problems" not in result.stdout
    assert "3.png" in json.loads((source.parent / "x.json").read_text())["label_fault"]


def test_images_that_are_enlarged_are_no_errors(source: Path) -> None:
    result = run("check", source, "--resolution", 32)
    assert result.exit_code == 0 and "4 warnings" in result.stdout
    assert create(source, "--resolution", 32).exit_code == 0
