"""Images that are not square on the whole way: folder, dataset, training, pictures, metrics."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from metrics.cli import main as metrics
from progan.cli.dataset import main as dataset_tool
from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.data.reader import Dataset
from tests.builders import tiny_options

WIDTH, HEIGHT = 24, 16
TRAINING = tiny_options(total_kimg=0.6, training_kimg=0.1, transition_kimg=0.1, tick_kimg=0.1)


def run(command: object, *words: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(command, [str(word) for word in words])  # type: ignore[arg-type]
    assert result.exit_code == exit_code, result.output
    return result


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty images of noise, 24x16."""
    folder = tmp_path_factory.mktemp("shapes") / "in"
    folder.mkdir()
    images = np.random.RandomState(0).randint(0, 256, (40, HEIGHT, WIDTH, 3)).astype(np.uint8)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    said = run(
        dataset_tool,
        "create-from-images",
        "--source",
        folder,
        "--size",
        "24x16",
        "--dest",
        folder.parent / "data",
    ).stdout
    assert "40 images 24x16x3" in said
    return folder.parent / "data"


def test_the_dataset_is_that_of_the_files(folder: Path, data: Path) -> None:
    dataset = Dataset.open(data)
    assert json.loads((data / "dataset.json").read_text())["base"] == [4, 6]
    with Image.open(folder / "07.png") as picture:
        np.testing.assert_array_equal(dataset.images(4, np.array([7]))[0], np.asarray(picture))
    assert [np.load(data / f"level-{level:02d}.npy").shape for level in (2, 3, 4)] == [
        (40, 4, 6, 3),
        (40, 8, 12, 3),
        (40, 16, 24, 3),
    ]


def test_the_dataset_tool_shows_extracts_and_compares(data: Path, tmp_path: Path) -> None:
    said = run(dataset_tool, "info", data).stdout
    assert "24x16, which options call 16" in said and " 3  12x8 " in said
    assert "size: 24x16" in said
    run(dataset_tool, "display", data, "--num", 6, "--out", tmp_path / "sheet.png")
    assert size_of(tmp_path / "sheet.png") == (3 * 26 - 2, 2 * 18 - 2)
    words = "extract", "--source", data, "--dest", tmp_path / "png"
    assert "40 images of 24x16" in run(dataset_tool, *words).stdout
    run(
        dataset_tool, "create-from-images", "--source", tmp_path / "png", "--size", "24x16",
        "--dest", tmp_path / "again",
    )  # fmt: skip
    assert (
        "All 40 images are equal" in run(dataset_tool, "compare", data, tmp_path / "again").stdout
    )
    said = run(
        dataset_tool,
        "extract",
        "--source",
        data,
        "--dest",
        tmp_path / "small",
        "--resolution",
        24,
        exit_code=1,
    ).output
    assert "one of 4 (6x4), 8 (12x8), 16 (24x16)" in " ".join(said.split())
    assert "no problems" in run(dataset_tool, "check", tmp_path / "png", "--size", "24x16").stdout
    said = run(dataset_tool, "check", tmp_path / "png", "--size", "28x16").stdout
    assert "small (40)" in said and "24x16 is less than 28x16" in said


@pytest.mark.parametrize("how", [(), ("--compress",)])
def test_parts_make_the_whole(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: tuple[str, ...]
) -> None:
    monkeypatch.setattr("progan.data.writer.COMPRESSED_FROM", 3)
    for number in (1, 2, 3):
        run(
            dataset_tool, "create-from-images", "--source", folder, "--size", "24x16", "--dest",
            tmp_path / "data", "--shard", f"{number}/3", *how,
        )  # fmt: skip
    said = run(dataset_tool, "verify", tmp_path / "data", "--merge").stdout
    assert "as they were written" in said
    assert "All 40 images are equal" in run(dataset_tool, "compare", data, tmp_path / "data").stdout
    if not how:
        for path in data.glob("*.npy"):
            assert (tmp_path / "data" / path.name).read_bytes() == path.read_bytes()


def test_lower_levels_of_a_dataset_keep_its_shape(data: Path, tmp_path: Path) -> None:
    run(
        dataset_tool, "create-from-dataset", "--source", data, "--resolution", 8, "--dest",
        tmp_path / "small",
    )  # fmt: skip
    small = Dataset.open(tmp_path / "small")
    assert (small.resolution, small.info.top_size) == (8, (8, 12))
    rows = np.arange(40)
    for level in (2, 3):
        np.testing.assert_array_equal(
            small.images(level, rows), Dataset.open(data).images(level, rows)
        )


@pytest.fixture(scope="module")
def place(data: Path) -> Path:
    """A run that was stopped before its end and resumed."""
    runs = data.parent / "runs"
    run(train, "--data", data, "--outdir", runs, "--preset", "demo", *TRAINING, "--total-kimg", 0.3)
    run(train, "--outdir", runs, "--resume", "--total-kimg", 0.6)
    return runs / "00000-data-demo"


def test_training_shows_what_it_sees(place: Path) -> None:
    assert size_of(place / "reals.png") == (16 * 96, 3 * 64)
    assert size_of(place / "fakes-init.png") == (16 * 96, 8 * 64)
    said = (place / "log.txt").read_text()
    assert "24x16x3" in said and "6x4→12x8 fade" in said and "24x16 stable" in said


def test_a_resumed_run_ends_in_the_same_weights(data: Path, place: Path, tmp_path: Path) -> None:
    run(train, "--data", data, "--outdir", tmp_path, "--preset", "demo", *TRAINING)
    (whole,) = tmp_path.glob("*/state-000000.pt")
    ours, theirs = (
        torch.load(path, weights_only=True)["average"]
        for path in (place / "state-000000.pt", whole)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_the_plan_names_sizes(data: Path) -> None:
    said = run(train, "--data", data, "--preset", "demo", *TRAINING, "--dry-run").stdout
    assert "6x4 to 24x16" in said and "12x8→24x16" in said


def test_pictures_have_the_shape(place: Path, tmp_path: Path) -> None:
    draw = "--network", place, "--outdir", tmp_path, "--device", "cpu"
    run(generate, *draw, "--seeds", "0-2")
    assert {size_of(path) for path in tmp_path.iterdir()} == {(24, 16)}
    run(generate, *draw, "--seeds", "7", "--resolution", 8)
    assert size_of(tmp_path / "seed0007.png") == (12, 8)
    run(generate, *draw, "--seeds", "0-7", "--grid", "4x2")
    assert size_of(tmp_path / "grid.png") == (4 * 24, 2 * 16)


def test_metrics_measure_the_shape(data: Path, place: Path, tmp_path: Path) -> None:
    against = "--data", data, "--device", "cpu"
    said = run(metrics, "swd", "ms-ssim", "--network", place, *against).stdout
    assert "size: 24x16x3" in said and "SWDx1e3_16" in said and "MS-SSIM" in said
    run(
        generate, "--network", place, "--seeds", "0-11", "--outdir", tmp_path / "small",
        "--resolution", 8,
    )  # fmt: skip
    said = run(metrics, "swd", "--images", tmp_path / "small", *against, exit_code=1).output
    assert "images of 12x8x3" in " ".join(said.split())  # the dataset shows that level
    run(
        metrics, "neighbours", "--network", place, *against, "--detector", "pixels", "--num-images",
        4, "--sheet", tmp_path / "sheet.png",
    )  # fmt: skip
    assert size_of(tmp_path / "sheet.png")[0] == 6 * (7 * 24 + 2)


def test_a_dataset_of_another_shape_is_no_way_to_resume(place: Path, tmp_path: Path) -> None:
    for number in range(4):
        pixels = np.random.RandomState(number).randint(0, 256, (24, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    run(
        dataset_tool, "create-from-images", "--source", tmp_path, "--size", "16x24", "--dest",
        tmp_path / "upright",
    )  # fmt: skip
    said = run(
        train, "--resume", place, "--data", tmp_path / "upright", "--total-kimg", 1, exit_code=1
    ).output
    assert "trained on images of 24x16x3 with no classes" in " ".join(said.split())
    assert "are 16x24x3 with no classes. Pass the dataset of the run to --data" in " ".join(
        said.split()
    )
