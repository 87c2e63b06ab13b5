"""dataset_tool.py create-celebahq from the outside."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image, ImageFilter
from torch import Tensor

from progan.cli.dataset import main
from progan.data.celebahq.build_face import FaceBuilder
from progan.data.celebahq.source_files import CelebaFiles
from progan.data.pyramid import build_pyramid
from progan.data.reader import Dataset
from tests.builders import detector_file, message
from tests.reference.delta_files import delta_file, md5, sealed

FACE = np.array([[80, 95], [120, 95], [100, 120], [85, 145], [115, 145]])
NAMES = [f"{number:06d}.jpg" for number in range(1, 6)]


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in ("create-celebahq", *words)])


def report_of(dataset: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (dataset / "celebahq.jsonl").read_text().splitlines()]


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture
def celeba(tmp_path: Path) -> Path:
    """Five pictures 200x210, each softer than the one before, with one face in the same place."""
    folder = tmp_path / "celeba"
    (folder / "img_celeba").mkdir(parents=True)
    (folder / "Anno").mkdir()
    random = np.random.RandomState(0)
    lines = ["5", "lefteye_x …"]
    for number, name in enumerate(NAMES):
        noise = random.randint(0, 256, (210, 200, 3)).astype(np.uint8)
        soft = np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2 + number / 2)))
        pixels = np.clip((soft - 127.5) / soft.std() * 60 + 128, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "img_celeba" / name, quality=95)
        lines.append(" ".join([name, *map(str, FACE.ravel())]))
    (folder / "Anno/list_landmarks_celeba.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_faces_are_cut_out(celeba: Path) -> None:
    dest = celeba.parent / "hq"
    result = run(
        "--source", celeba, "--dest", dest, "--resolution", 64, "--workers", 2, "--holdout", 0.2
    )
    assert result.exit_code == 0, result.output
    assert "5 of 5 faces have all their files." in result.stdout
    assert f"{dest}: 5 images 64x64x3" in result.stdout
    assert "5 made; each face is in" in result.stdout
    dataset = Dataset.open(dest)
    assert dataset.info.options["resolution"] == 64
    assert dataset.info.holdout_count == 1
    lines = report_of(dest)
    assert [line["file"] for line in lines] == NAMES
    assert [line["row"] for line in lines] == [0, 1, 2, 3, 4]
    qualities = [line["quality"] for line in lines]
    assert qualities == sorted(qualities, reverse=True)
    eyes = dataset.landmarks(np.arange(5))[:, :2]
    np.testing.assert_allclose(
        eyes, np.broadcast_to([[24.9, 30.2], [39.1, 30.2]], (5, 2, 2)), atol=0.3
    )
    assert leftovers(celeba.parent) == []


def test_the_best_are_kept(celeba: Path) -> None:
    (celeba / "img_celeba" / NAMES[0]).unlink()
    (celeba / "img_celeba" / NAMES[3]).write_bytes(b"no JPEG")
    dest = celeba.parent / "hq"
    words = ("--source", celeba, "--dest", dest, "--resolution", 64, "--max-images", 2)
    assert f"1 of 5 faces lacks a file: img_celeba has no {NAMES[0]}" in message(run(*words))
    result = run(*words, "--on-error", "skip", "--workers", 1)
    assert result.exit_code == 0, result.output
    assert "Judging 4 faces to keep the best 2." in result.stdout
    assert "2 made, 1 unreadable, 1 missing, 1 not selected" in result.stdout
    lines = report_of(dest)
    assert [line["status"] for line in lines] == [
        "missing",
        "made",
        "made",
        "unreadable",
        "not selected",
    ]
    assert [line.get("row") for line in lines] == [None, 0, 1, None, None]
    info = Dataset.open(dest).info
    assert info.count == 2
    assert {item.path for item in info.skipped} == {NAMES[0], NAMES[3]}
    assert leftovers(celeba.parent) == []


def test_unreadable_images_stop_the_judging(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES[1:3]:
        (celeba / "img_celeba" / name).write_bytes(b"no JPEG")
    words = (
        "--source", celeba, "--dest", celeba.parent / "hq", "--resolution", 32, "--max-images", 2,
        "--workers", 1,
    )  # fmt: skip
    said = message(run(*words))
    assert "2 of 5 images" in said
    assert NAMES[1] in said
    assert NAMES[2] in said
    made = counted(monkeypatch)
    assert run(*words, "--on-error", "skip").exit_code == 0
    assert sorted(made)[:2] == [1, 2]  # the others have been judged
    assert len(made) == 4
    assert leftovers(celeba.parent) == []


def counted(monkeypatch: pytest.MonkeyPatch, stop_at: int | None = None) -> list[int]:
    """Collects the numbers of all faces that are begun; Ctrl-C comes with the one of a count."""
    begun = list[int]()
    original = FaceBuilder.__call__

    def make(self: FaceBuilder, face: int) -> Any:
        begun.append(face)
        if len(begun) == stop_at:
            raise KeyboardInterrupt
        return original(self, face)

    monkeypatch.setattr(FaceBuilder, "__call__", make)
    return begun


def test_judging_is_continued(celeba: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dest, made = celeba.parent / "hq", counted(monkeypatch, stop_at=4)
    words = (
        "--source", celeba, "--dest", dest, "--resolution", 64, "--max-images", 2, "--workers", 1,
    )  # fmt: skip
    first = run(*words)
    assert first.exit_code == 130
    assert "The same command continues" in first.stderr
    assert run(*words).exit_code == 0
    assert made[:4] == [0, 1, 2, 3]
    assert len(made[4:]) < 5 + 2  # some need no second judgement
    assert [line["status"] for line in report_of(dest)] == ["made"] * 2 + ["not selected"] * 3
    assert leftovers(celeba.parent) == []


def test_the_report_of_continued_writing_is_whole(
    celeba: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dest, made = celeba.parent / "hq", counted(monkeypatch, stop_at=4)
    words = ("--source", celeba, "--dest", dest, "--resolution", 32, "--workers", 1)
    assert run(*words).exit_code == 130
    assert len(leftovers(celeba.parent)) == 2  # the dataset and its report
    assert run(*words).exit_code == 0
    assert len(made) < 4 + 5
    assert [line["row"] for line in report_of(dest)] == [0, 1, 2, 3, 4]
    assert leftovers(celeba.parent) == []


class Doubled(torch.nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return 255 - images.repeat_interleave(2, 2).repeat_interleave(2, 3)


def test_pictures_are_improved_first(celeba: Path) -> None:
    network = detector_file(celeba.parent / "network.pt", Doubled())
    folders = [celeba.parent / "plain", celeba.parent / "better"]
    words = ("--source", celeba, "--resolution", 32, "--workers", 1)
    assert run(*words, "--dest", folders[0]).exit_code == 0
    result = run(*words, "--dest", folders[1], "--enhance", network)
    assert result.exit_code == 0, result.output
    plain, better = [Dataset.open(folder) for folder in folders]
    rows = np.arange(5)
    np.testing.assert_allclose(better.landmarks(rows), plain.landmarks(rows), atol=0.3)
    difference = 255 - better.images(5, rows).astype(int) - plain.images(5, rows)
    assert np.abs(difference[1:]).mean() < 8  # twice the pixels, and their negative


@pytest.fixture
def deltas(celeba: Path) -> Path:
    """Deltas of all kinds: exact, of another decoder, of another JPEG, broken, absent."""
    pytest.importorskip("cryptography")
    folder = celeba.parent / "deltas"
    folder.mkdir()
    build = FaceBuilder(
        CelebaFiles(celeba / "img_celeba", celeba / "Anno/list_landmarks_celeba.txt"), 1024
    )
    random = np.random.RandomState(1)
    jpegs = [(celeba / "img_celeba" / name).read_bytes() for name in NAMES]
    lines = ["idx orig_idx orig_file proc_md5 final_md5"]
    with zipfile.ZipFile(folder / "deltas00000.zip", "w") as file:
        for index in (0, 1):
            made = build(index)[0].image
            if index == 1:  # what the decoder of then made of it
                made = np.clip(made + random.randint(-2, 3, made.shape), 0, 255).astype(np.uint8)
            final = np.clip(made + random.randint(-3, 4, made.shape), 0, 255).astype(np.uint8)
            np.save(folder / f"final{index}.npy", final)
            file.writestr(
                f"delta{index:05d}.dat", delta_file(made, final, jpegs[index], NAMES[index])
            )
            lines.append(f"{index} {index} {NAMES[index]} {md5(made)} {md5(final)}")
        file.writestr("delta00002.dat", sealed(b"", b"another JPEG", NAMES[2]))
    (folder / "delta00003.dat").write_bytes(sealed(b"no bzip", jpegs[3], NAMES[3]))
    lines += [f"{index} {index} {NAMES[index]} 0 0" for index in (2, 3, 4)]
    (folder / "image_list.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_deltas(celeba: Path, deltas: Path) -> None:
    dest = celeba.parent / "hq"
    words = ("--source", celeba, "--deltas", deltas, "--on-error", "skip", "--workers", 1)
    result = run(*words, "--dest", dest)
    assert result.exit_code == 0, result.output
    told = "1 exact, 1 approximate, 1 wrong JPEG, 1 bad delta, 1 missing ("
    assert told in result.stdout
    dataset, finals = Dataset.open(dest), [np.load(deltas / f"final{n}.npy") for n in (0, 1)]
    images = dataset.images(10, np.arange(2))
    np.testing.assert_array_equal(images[0], finals[0])
    assert (finals[1] == 0).sum() > 1000
    assert (finals[1] == 255).sum() > 1000
    assert np.abs(images[1].astype(int) - finals[1]).max() <= 2
    line = report_of(dest)[1]
    assert line["unwrapped"] > 500
    assert 1 <= line["mean_error_there_at_least"] <= line["largest_error_at_least"] <= 2

    strict = celeba.parent / "strict"
    result = run(*words, "--dest", strict, "--strict", "--resolution", 64)
    assert result.exit_code == 0, result.output
    assert "1 exact, 1 only approximate, 1 wrong JPEG" in result.stdout
    dataset = Dataset.open(strict)
    np.testing.assert_array_equal(
        dataset.images(6, np.arange(1)), build_pyramid(finals[0][None])[6]
    )
    np.testing.assert_allclose(
        dataset.landmarks(np.arange(1)), Dataset.open(dest).landmarks(np.arange(1)) / 16, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("prepare", "words", "parts"),
    [
        (
            lambda folder: (folder / "Anno/list_landmarks_celeba.txt").unlink(),
            ("--deltas", "nowhere", "--resolution", 64),
            ("No Anno/list_landmarks_celeba.txt", "No image_list.txt in --deltas nowhere"),
        ),
        (
            lambda folder: (folder / "img_celeba").rename(folder / "img"),
            ("--enhance", "x.pt"),
            ("No folder img_celeba", "--enhance x.pt is not a TorchScript"),
        ),
        (lambda folder: None, ("--strict",), ("--strict needs --deltas",)),
        (lambda folder: None, ("--deltas", "a", "--enhance", "b"), ("exclude each other",)),
        (lambda folder: None, ("--resolution", 16), ("at least 32",)),
        (lambda folder: None, ("--resolution", 100), ("power of two",)),
    ],
)
def test_all_problems_are_named_at_once(
    celeba: Path,
    prepare: Callable[[Path], object],
    words: tuple[object, ...],
    parts: tuple[str, ...],
) -> None:
    prepare(celeba)
    said = message(run("--source", celeba, "--dest", celeba.parent / "a/hq", *words))
    assert [part for part in parts if part not in said] == []
    assert [path.name for path in celeba.parent.iterdir()] == ["celeba"]
