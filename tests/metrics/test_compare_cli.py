"""python -m metrics compare from the outside."""

import csv
import errno
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from metrics.cli import main
from metrics.measure import create_context, measure_missing
from metrics.run_record import RunRecord, read_record
from progan.cli.dataset import main as dataset_tool
from progan.cli.train import main as train
from progan.config import Run
from progan.errors import UserError
from progan.run_directory import load_config
from tests.builders import (
    Energies,
    detector_file,
    message,
    noise_dataset,
    split_words,
    tiny_options,
    tiny_run,
)


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["compare", *split_words(words), "--device", "cpu"])


def trained(root: Path, number: int, *words: object) -> Path:
    result = CliRunner().invoke(
        train,
        [
            "--data",
            str(root / "data"),
            "--outdir",
            str(root / "runs"),
            *tiny_options(total_kimg=1, snapshot_ticks=1),
            *split_words(words),
        ],
    )
    assert result.exit_code == 0, result.output
    return root / "runs" / f"{number:05d}-data-v2-1gpu"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset and two runs of 4x4: the first one measured itself."""
    root = tmp_path_factory.mktemp("compare")
    noise_dataset(root / "data")
    trained(root, 0, "--metrics swd8,ms-ssim8 --best swd")
    trained(root, 1, "--seed 5")
    return root


@pytest.fixture
def runs(place: Path) -> list[Path]:
    return sorted((place / "runs").iterdir())


def table(outdir: Path) -> list[dict[str, str]]:
    """The rows of compare.md by heading."""
    lines = (outdir / "compare.md").read_text().split("\n\n")[0].splitlines()
    heading, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(heading, row, strict=True)) for row in rows]


def test_two_runs_are_compared(place, runs, tmp_path):
    out = tmp_path / "new" / "out"
    result = run(*runs, "--outdir", out, "--seeds 3-5")
    assert result.exit_code == 0, result.output
    first, second, reals = table(out)
    assert [row["run"] for row in (first, second, reals)] == [*(run.name for run in runs), "reals"]
    assert [first["seed"], second["seed"], first["kimg"], first["preset"]] == [
        "0",
        "5",
        first["kimg"],
        "v2-1gpu",
    ]
    stored = json.loads((runs[0] / "metric-swd8.jsonl").read_text().splitlines()[-1])
    assert float(first["SWDx1e3_avg @8"]) == pytest.approx(stored["values"]["SWDx1e3_avg"], 0.001)
    assert float(reals["SWDx1e3_avg @8"]) == pytest.approx(stored["reals"]["SWDx1e3_avg"], 0.001)
    assert second["SWDx1e3_avg @8"] == ""
    assert float(second["loss/critic"]) and float(second["progress/hours"]) > 0
    with Image.open(out / "samples.png") as sheet:
        assert sheet.size == (3 * 64, 14 + 2 * (14 + 64))
    assert result.stdout.splitlines()[-3:] == [
        str(out / name) for name in ("compare.md", "compare.csv", "samples.png")
    ]


def test_the_csv_is_the_same_table(runs, tmp_path):
    run(*runs, "--outdir", tmp_path, "--seeds 0-3")
    rows = list(csv.DictReader((tmp_path / "compare.csv").open()))
    assert [row["run"] for row in rows] == [runs[0].name, runs[1].name, "reals"]
    for row, shown in zip(rows, table(tmp_path), strict=True):
        assert list(row) == list(shown)
        for column in [*row][4:]:
            assert (f"{float(row[column]):.4g}" if row[column] else "") == shown[column].strip("*")


def test_what_is_missing_is_measured_and_the_best_comes_first(place, runs, tmp_path):
    result = run(*runs, "--outdir", tmp_path, "--metrics swd8 --data", place / "data", "--sort swd")
    assert result.exit_code == 0, result.output
    found = [row["SWDx1e3_avg @8"] for row in table(tmp_path)]
    assert all(found)
    values = [float(text.strip("*")) for text in found[:2]]
    assert values == sorted(values)
    assert found[0].startswith("**") and not found[1].startswith("**")
    best = run(
        *runs[::-1],
        "--outdir",
        tmp_path,
        "--metrics swd8 --data",
        place / "data",
        "--sort SWDx1e3_avg",
    )
    assert best.stdout.splitlines()[2:4] == result.stdout.splitlines()[2:4]


def test_stored_values_against_other_images_are_not_shown_for_data(place, runs, tmp_path):
    """The first run has values of its training; a copy of its dataset has the same images."""
    other, copy = tmp_path / "other", tmp_path / "copy"
    noise_dataset(other, count=48)
    shutil.copytree(place / "data", copy)
    stored = (runs[0] / "metric-swd8.jsonl").read_text()

    def measured(data: Path) -> str:
        result = run(runs[0], "--outdir", tmp_path, "--metrics swd8 --data", data, "--seeds 0")
        assert result.exit_code == 0, result.output
        return table(tmp_path)[0]["SWDx1e3_avg @8"]

    trained_value = measured(place / "data")
    lines = [json.loads(line)["values"]["SWDx1e3_avg"] for line in stored.splitlines()]
    assert float(trained_value) == pytest.approx(lines[-1], 0.001)
    assert measured(copy) == trained_value
    assert measured(other) != trained_value
    assert (runs[0] / "metric-swd8.jsonl").read_text() == stored


def test_a_run_of_one_class_is_compared_with_this_class(runs, tmp_path):
    plain, photos, other = (tmp_path / name for name in ("plain", "photos", "other"))
    noise_dataset(plain)
    noise_dataset(other, classes=1)
    photos.mkdir()
    snapshot = read_record(runs[1], best=False, device=torch.device("cpu")).snapshot
    of_cats = tiny_run(data="/cats", subset="cats")
    record = RunRecord(path=runs[1] / "n.safetensors", run=of_cats, snapshot=snapshot)
    context = create_context(["swd"], None, 0, torch.device("cpu"))
    for data, fault in (
        (plain, "has no classes"),
        (photos, "is not a dataset"),
        (other, "does not have it"),
    ):
        said = (
            f"{runs[1]} was trained on the class cats alone, and {data} {fault}. Name a dataset "
            "that has this class with --data, such as the one that it was trained on, /cats."
        )
        with pytest.raises(UserError, match=f"^{re.escape(said)}$"):
            measure_missing(record, {"swd8": ("swd", 8)}, data, context)


def test_photos_of_another_size_are_made_a_dataset(runs, tmp_path):
    """The remedy of the message works, also of photos of several sizes, the first as networks'."""
    for folder, sizes in (("one", [(20, 30)] * 16), ("several", [(16, 16)] + [(20, 30)] * 16)):
        photos = tmp_path / folder
        photos.mkdir()
        for number, size in enumerate(sizes):
            pixels = np.random.RandomState(number).randint(0, 256, (*size, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(photos / f"{number:02}.png")
        words = (runs[1], "--outdir", tmp_path / "out", "--seeds 0 --metrics ms-ssim --data")
        said = message(run(*words, photos))
        assert "--resize" not in said and "create-from-images" in said
    assert "create-from-images --resolution 16 --channels 3" in message(
        run(*words, tmp_path / "one")
    )
    made = CliRunner().invoke(
        dataset_tool,
        split_words(
            (
                "create-from-images --source",
                tmp_path / "one",
                "--dest",
                tmp_path / "made",
                "--resolution 16 --channels 3",
            )
        ),
    )
    assert made.exit_code == 0, made.output
    result = run(*words, tmp_path / "made")
    assert result.exit_code == 0, result.output


def test_a_run_that_is_broken_is_named_and_the_others_go_on(place, runs, tmp_path):
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "network-snapshot-000001.safetensors").write_text("words")
    (broken / "config.json").write_text((runs[0] / "config.json").read_text())
    result = run(runs[0], tmp_path / "empty", broken, tmp_path / "none", "--outdir", tmp_path / "o")
    assert result.exit_code == 1
    assert [row["run"] for row in table(tmp_path / "o")] == [runs[0].name, "reals"]
    said = " ".join(result.stderr.split())
    assert f"{tmp_path / 'empty'} is left out: " in said
    assert f"{broken} is left out: " in said and "is a text file" in said
    assert f"{tmp_path / 'none'} is left out: " in said and f"{tmp_path / 'none'}. Name a" in said


def test_a_run_on_a_disk_that_fails_is_named_and_the_others_go_on(runs, tmp_path, monkeypatch):
    def load_config_or_fail(directory: Path) -> Run:
        if directory == runs[1]:
            raise OSError(errno.EIO, "Input/output error", str(directory / "config.json"))
        return load_config(directory)

    monkeypatch.setattr("metrics.run_record.load_config", load_config_or_fail)
    result = run(*runs, "--outdir", tmp_path)
    assert result.exit_code == 1
    assert [row["run"] for row in table(tmp_path)] == [runs[0].name, "reals"]
    said = " ".join(result.stderr.split())
    assert f"{runs[1]} is left out: {runs[1] / 'config.json'}: Input/output error." in said


def test_the_best_network_of_the_newest_run_is_taken(place, runs, tmp_path):
    result = run(place / "runs", "--outdir", tmp_path, "--snapshot best")
    said = " ".join(result.stderr.split())
    assert f"{runs[1]} has no network-best-*" in said


def test_values_are_measured_again_with_the_detector_that_is_asked_for(place, runs, tmp_path):
    """The first run has values of one detector, the second none."""
    pytest.importorskip("torch_fidelity")
    one, other = Energies(), Energies()
    other.weight.data *= 2
    detectors = [detector_file(tmp_path / "a.pt", one), detector_file(tmp_path / "b.pt", other)]
    copies = [shutil.copytree(path, tmp_path / "runs" / path.name) for path in runs]
    data = ("--data", place / "data", "--detector")
    words = ("kid --num-images 10 --device cpu --network", copies[0], *data, detectors[0])
    measured = CliRunner().invoke(main, [*split_words(words)])
    assert measured.exit_code == 0, measured.output
    values = []
    for detector in detectors:
        result = run(*copies, "--outdir", tmp_path / "out", "--metrics kid10", *data, detector)
        assert result.exit_code == 0, result.output
        assert "with the detectors" not in result.stdout
        values.append([row["KIDx1e3 @10"] for row in table(tmp_path / "out")])
    assert all(one != other for one, other in zip(*values, strict=True))


def test_the_best_networks_are_compared(runs, tmp_path):
    result = run(*runs, "--outdir", tmp_path, "--snapshot best")
    assert result.exit_code == 1
    assert "00001" in result.stderr and "it was trained without --best" in result.stderr
    (best, _) = table(tmp_path)
    lines = [json.loads(line) for line in (runs[0] / "metric-swd8.jsonl").read_text().splitlines()]
    least = min(line["values"]["SWDx1e3_avg"] for line in lines)
    assert float(best["SWDx1e3_avg @8"]) == pytest.approx(least, 0.001)


def test_what_cannot_be_done_is_refused(place, runs, tmp_path):
    out = ("--outdir", tmp_path / "out")
    assert "Name them with --data" in message(run(*runs, *out, "--metrics swd"))
    for words in (("--data", place / "data"), ("--detector", place / "x.pt")):
        assert "are of --metrics, which is not given" in message(run(*runs, *out, *words))
    assert "no such metric: 'speed'" in message(run(*runs, *out, "--metrics speed"))
    assert "is not a list of seeds" in message(run(*runs, *out, "--seeds x"))
    assert "Name 64 at most" in message(run(*runs, *out, "--seeds 0-64"))
    assert "--sort fid: no such column. Choose one of SWDx1e3" in message(
        run(*runs, *out, "--sort fid")
    )
    assert "No run to compare." in message(run(place / "data", *out))
    assert "Missing argument" in message(run(*out))
    noise_dataset(tmp_path / "small", resolution=8)
    said = message(run(*runs, *out, "--metrics ms-ssim --data", tmp_path / "small"))
    assert "16x16x3" in said and "8x8x3" in said and "--resize" not in said
    assert not list((tmp_path / "out").glob("*"))
