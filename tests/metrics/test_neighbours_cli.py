"""python -m metrics neighbours from the outside."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from metrics.cli import neighbours
from progan.run_directory import save_config
from progan.sampling.snapshot_file import save_network
from tests.builders import (
    Energies,
    detector_file,
    message,
    noise_dataset,
    split_words,
    tiny_run,
    tiny_snapshot,
)

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(neighbours, [*split_words(arguments), "--device", "cpu"])


def with_pixels(place: Path, images: str, reals: str, *arguments: object) -> Result:
    """Compare pixels; the sheet is place/sheet.png."""
    return run(
        "--images",
        place / images,
        "--reference",
        place / reals,
        "--detector pixels --sheet",
        place / "sheet.png",
        *arguments,
    )


def save(folder: Path, images: np.ndarray) -> None:
    folder.mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.squeeze()).save(folder / f"{number:02}.png")


def noise(seed: int, count: int, side: int = 16, channels: int = 3) -> np.ndarray:
    shape = (count, side, side, channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Folders `reals` (24 images 16x16), `fakes` (20), `copies` of reals (20), `grey`, `small`."""
    reals = noise(1, 24)
    save(tmp_path / "reals", reals)
    save(tmp_path / "fakes", noise(2, 20))
    save(tmp_path / "copies", reals[:20] ^ 1)
    save(tmp_path / "grey", noise(3, 12, channels=1))
    save(tmp_path / "small", noise(4, 12, side=8))
    return tmp_path


def test_a_sheet_and_a_figure_are_written_and_explained(place):
    result = with_pixels(place, "fakes", "reals", "--num-images 20 -k 3 --rows 4")
    assert result.exit_code == 0, result.output
    compared, distance, verdict, *files = result.stdout.splitlines()
    assert compared == f"Compared by pixels, with 24 training images of {place / 'reals'}."
    assert distance.startswith("Distance to the nearest one, median of 20 images: ")
    assert "of 20 training images among the others: " in distance
    assert verdict.startswith("P(generated is nearer than other) = 0.")
    assert verdict.endswith("No sign of copying.")
    assert files == [str(place / "sheet.png"), str(place / "sheet-distances.png")]
    with Image.open(files[0]) as sheet, Image.open(files[1]) as figure:
        assert sheet.size == (4 * 114, 4 * 126)
        assert figure.format == "PNG"


def test_copies_are_called_out_and_their_originals_shown(place):
    result = with_pixels(place, "copies", "reals", "--num-images 20 --rows 20")
    assert "The images are nearer: a sign of copying." in result.stdout
    with Image.open(place / "sheet.png") as sheet:
        cells = np.asarray(sheet).reshape(20, 126, 6, 114, 3)[:, :112, :, 1:-1]
    np.testing.assert_array_equal(cells[:, :, 0] ^ 1, cells[:, :, 1])


def test_lines_are_appended(place):
    for seed in (0, 1):
        with_pixels(
            place, "fakes", "reals", "--num-images 10 --json", place / "lines.jsonl", "--seed", seed
        )
    lines = [json.loads(line) for line in (place / "lines.jsonl").read_text().splitlines()]
    assert [line["metric"] for line in lines] == ["neighbours"] * 2
    assert (lines[0]["detector"], lines[0]["num_images"], lines[0]["num_others"]) == (
        "pixels",
        10,
        10,
    )
    assert lines[0]["values"] != lines[1]["values"]


def test_a_network_is_compared_with_what_it_was_not_trained_on(tmp_path):
    noise_dataset(tmp_path / "data", count=40, holdout=0.25)
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    save_network(run_folder / "network-snapshot-000001.safetensors", tiny_snapshot())
    result = run(
        "--network",
        run_folder,
        "--data",
        tmp_path / "data",
        "--detector pixels --num-images 8 --sheet",
        tmp_path / "new" / "folder" / "sheet.png",
    )
    assert result.exit_code == 0, result.output
    assert "with 30 training images" in result.stdout
    assert "of 8 held-out images" in result.stdout
    assert (tmp_path / "new" / "folder" / "sheet-distances.png").is_file()


@pytest.mark.parametrize("mirror", [True, False])
def test_flipped_images_are_compared_if_the_network_was_trained_so(tmp_path, mirror):
    noise_dataset(tmp_path / "data")
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    save_network(run_folder / "network-snapshot-000001.safetensors", tiny_snapshot())
    save_config(run_folder, tiny_run(mirror=mirror))
    words = ("--network", run_folder, "--data", tmp_path / "data", "--detector pixels")
    few = ("--num-images 8 --sheet", tmp_path / "sheet.png")
    said = run(*words, *few).stdout
    assert ("flipped left to right as well" in said) is mirror
    said = run(*words, *few, "--no-mirror" if mirror else "--mirror").stdout
    assert ("flipped left to right as well" in said) is not mirror


def test_features_come_from_the_detector_named(place):
    file = detector_file(place / "energies.pt", Energies())
    result = run(
        "--images",
        place / "copies",
        "--reference",
        place / "reals",
        "--num-images 20 --detector",
        file,
        "--sheet",
        place / "sheet.png",
    )
    assert result.stdout.startswith("Compared by energies.pt, with 24")
    assert "a sign of copying" in result.stdout


def test_a_damaged_detector_is_refused_and_nothing_is_written(place):
    (place / "net.pt").write_text("words")
    said = message(
        run(
            "--images",
            place / "fakes",
            "--reference",
            place / "reals",
            "--num-images 4 --detector",
            place / "net.pt",
            "--sheet",
            place / "sheet.png",
        )
    )
    assert f"{place / 'net.pt'} is not a detector" in said
    assert not list(place.glob("*.png"))


def test_without_a_network_and_without_weights_the_pixels_are_compared(place, monkeypatch):
    def offline(*_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(place / "torch"))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    result = run(
        "--images",
        place / "fakes",
        "--reference",
        place / "reals",
        "--num-images 4 --sheet",
        place / "sheet.png",
    )
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert "Cannot download the vgg16 detector" in said and "Comparing pixels instead." in said
    assert result.stdout.startswith("Compared by pixels")


def test_only_a_crop_is_compared_and_framed(place):
    result = with_pixels(place, "fakes", "reals", "--num-images 4 --crop 2,4,8x6")
    assert result.exit_code == 0, result.output
    with Image.open(place / "sheet.png") as sheet:
        assert sheet.getpixel((1 + 2 * 7, 4 * 7)) == (255, 0, 0)


def test_grey_images_are_compared(place):
    result = with_pixels(place, "grey", "grey", "--num-images 12")
    assert result.exit_code == 0, result.output
    with Image.open(place / "sheet.png") as sheet:
        assert sheet.mode == "RGB"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--crop", "1,2"), "--crop '1,2' is not X,Y,WIDTHxHEIGHT"),
        (("--crop", "12,0,8x8"), "--crop 12,0,8x8 does not lie inside of images of 16x16x3"),
        (
            ("-k", 24),
            "has 24 training images, too few for 24 neighbours of each. Ask for fewer, or name",
        ),
        (("--num-images", 21), "fakes has 20 images, and 21 are asked for. Use --num-images 20"),
    ],
)
def test_what_cannot_be_done_is_refused(place, words, said):
    assert said in message(with_pixels(place, "fakes", "reals", "--num-images 4", *words))
    assert not list(place.glob("*.png"))


def test_sizes_that_differ_are_named_and_can_be_made_alike(place):
    said = message(with_pixels(place, "fakes", "small", "--num-images 4"))
    assert "16x16x3" in said and "8x8x3" in said and "--resize 8" in said
    result = with_pixels(place, "fakes", "small", "--num-images 4 --resize 8")
    assert result.exit_code == 0, result.output
    assert "16x16x1" in message(with_pixels(place, "fakes", "grey", "--num-images 4"))


def test_what_to_look_up_must_be_said_once(place):
    said = message(run("--reference", place / "reals"))
    assert "Missing option '--network' or '--images'." in said
    said = message(run("--images", place / "fakes"))
    assert "Missing option '--data' or '--reference'." in said


@pytest.mark.parametrize("sheet", ["", "reals"])
def test_a_sheet_needs_a_file(place, sheet):
    path = place / sheet if sheet else ""
    said = message(
        run(
            "--images",
            place / "fakes",
            "--reference",
            place / "reals",
            "--detector pixels --num-images 4 --sheet",
            path,
        )
    )
    assert "the path is empty" in said or f"Cannot write {path}: it is a folder" in said


def test_the_module_runs_both_commands():
    for words, shown in ((["neighbours"], "nearest to"), ([], "Compare images")):
        result = subprocess.run(
            [sys.executable, "-m", "metrics", *words, "--help"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert shown in result.stdout
