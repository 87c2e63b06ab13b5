"""Rows that are stored with the run that was measured, as its users find them again."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from metrics.cli import main
from metrics.run_record import (
    MetricResult,
    RunRecord,
    add_results,
    are_same_images,
    are_same_reals,
    is_measured_against,
)
from progan.cli.train import main as train
from progan.config import override
from progan.run_directory import load_config, save_config
from progan.sampling.snapshot_file import read_images_seen
from tests.builders import (
    message,
    noise_dataset,
    split_words,
    tiny_options,
    tiny_run,
    tiny_snapshot,
)


def run(*words: object) -> Result:
    result = CliRunner().invoke(main, [*split_words(words), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    return result


def trained(*words: object) -> None:
    result = CliRunner().invoke(train, [*split_words(words)])
    assert result.exit_code == 0, result.output


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A dataset of 60 images and a run of 4x4 with two snapshots."""
    noise_dataset(tmp_path / "data", classes=2)
    trained(
        "--data",
        tmp_path / "data",
        "--outdir",
        tmp_path / "runs",
        *tiny_options(total_kimg=2, snapshot_ticks=1),
    )
    return tmp_path


def the_run(place: Path) -> Path:
    (path,) = (place / "runs").iterdir()
    return path


def rows(file: Path) -> list[tuple[str, str, int | None]]:
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [(line["metric"], line["row"], line.get("images_seen")) for line in lines]


def rows_file(place: Path) -> Path:
    return the_run(place) / "metric-measured.jsonl"


def compared(place: Path, *words: object) -> str:
    run("compare", the_run(place), "--outdir", place / "out", "--seeds 0", *words)
    return (place / "out" / "compare.md").read_text()


def test_rows_of_a_run_are_found_by_compare(place: Path) -> None:
    result = run("ms-ssim --network", the_run(place), "--data", place / "data")
    assert f"are stored with the run, in {rows_file(place)} (" in result.stderr
    assert "MS-SSIM @20" in compared(place, "--sort ms-ssim")
    text = compared(place, "--metrics ms-ssim --data", place / "data")
    assert text.count("| MS-SSIM") == 1  # not measured again


def test_measuring_twice_makes_no_doubles(place: Path) -> None:
    words = ("ms-ssim", "--network", the_run(place), "--data", place / "data")
    run(*words)
    first = rows_file(place).read_text()
    run(*words)
    assert rows_file(place).read_text() == first
    run(*words, "--num-images 8")
    assert len(rows(rows_file(place))) == 2 * len(first.splitlines())


def test_a_measurement_from_another_folder_is_the_same(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows with relative paths, as earlier versions stored them, are read all the same."""
    monkeypatch.chdir(place)
    network = the_run(Path("."))
    run("ms-ssim --network", network, "--data data")
    first = rows_file(place).read_text()
    for line in map(json.loads, first.splitlines()):
        assert line["images"] == str(the_run(place)) and line["reals"] == str(place / "data")
    monkeypatch.chdir(place / "data")
    run("ms-ssim --network", Path("..") / network, "--data .")
    assert rows_file(place).read_text() == first
    monkeypatch.chdir(place)
    rows_file(place).write_text(first.replace(str(place), "."))
    assert "MS-SSIM @20" in compared(place)
    (place / "link").symlink_to("data")
    mirrored = "data (half of them mirrored)"
    assert are_same_reals(mirrored, str(place / "link (half of them mirrored)"))
    assert not are_same_reals(mirrored, "data")


@pytest.mark.parametrize(
    ("wanted", "found"), [(None, True), ("mine.pt", True), ("weights-of-others.pt", False)]
)
def test_values_of_another_detector_are_not_those_asked_for(
    tmp_path: Path, wanted: str | None, found: bool
) -> None:
    fid, swd = ("fid", 50), ("swd", 50)
    record = add_results(
        RunRecord(path=tmp_path / "n", run=tiny_run(data="/x"), snapshot=tiny_snapshot()),
        [MetricResult(fid, {"FID": 1.0}, {}, "/x", "mine.pt"), MetricResult(swd, {"S": 1.0}, {})],
    )
    assert is_measured_against(record, fid, Path("/x"), wanted) is found
    assert is_measured_against(record, swd, Path("/x"), wanted), "it uses none"


def test_reals_are_the_same_wherever_they_are(tmp_path: Path) -> None:
    """A dataset that was moved after the training, one made since in its place, and another."""
    fingerprint = noise_dataset(tmp_path / "old").info.fingerprint
    run = tiny_run(data=str(tmp_path / "old"), fingerprint=fingerprint)
    (tmp_path / "old").rename(tmp_path / "moved")
    noise_dataset(tmp_path / "old", count=30)
    trained = str(tmp_path / "old")
    assert are_same_images(run, trained, str(tmp_path / "moved"))
    assert not are_same_images(run, trained, str(tmp_path / "old"))
    assert not are_same_images(run, trained, f"{tmp_path / 'moved'} (half of them mirrored)")


def test_a_single_network_is_known_by_its_name(place: Path) -> None:
    network = sorted(the_run(place).glob("network-snapshot-*.safetensors"))[-1]
    run("ms-ssim --network", network, "--data", place / "data", "--json", place / "x.jsonl")
    (_, name, moment), (_, baseline, no_moment) = rows(rows_file(place))
    assert (name, baseline, no_moment) == (network.stem, "real-vs-real baseline", None)
    assert moment == read_images_seen(network)
    (line, _) = map(json.loads, (place / "x.jsonl").read_text().splitlines())
    assert line["images"] == str(network)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--no-record",), ""),
        (("--resize", 32), "--resize compares other images"),
        (("--json", "RUN/metric-later.jsonl"), ""),
        (
            ("--mirror",),
            "not stored with the run: it was trained without --mirror. Omit --mirror to compare "
            "with images that are not mirrored and store them.",
        ),
        (
            ("--subset", 1),
            "not stored with the run: it was trained without --subset. Omit --subset to compare "
            "with all classes and store them.",
        ),
    ],
)
def test_rows_that_are_not_kept(place: Path, words: tuple[object, ...], said: str) -> None:
    words = tuple(str(word).replace("RUN", str(the_run(place))) for word in words)
    (the_run(place) / "metric-later.jsonl").touch()
    result = run("ms-ssim --network", the_run(place), "--data", place / "data", *words)
    assert said in result.stderr and "are stored" not in result.stderr
    assert not rows_file(place).exists()


def test_how_to_store_rows_of_a_run_that_was_trained_on_other_images(place: Path) -> None:
    run_as_trained = load_config(the_run(place))
    words = ("ms-ssim --network", the_run(place), "--data", place / "data")
    for settings, advice in (
        ({"mirror": True}, "Add --mirror to compare with mirrored images"),
        ({"subset": "class-1"}, "Add --subset class-1 to compare with this class alone"),
    ):
        save_config(the_run(place), override(run_as_trained, settings))
        assert f". {advice} and store them." in run(*words).stderr
        (option,) = re.findall(r"Add (--.*?) to", advice)
        assert "are stored with the run" in run(*words, option).stderr


def test_resuming_keeps_rows_and_takes_those_of_networks_back_that_are_made_anew(
    place: Path,
) -> None:
    by_hand = the_run(place) / "metric-ms-ssim.jsonl"  # as training calls it
    words = ("ms-ssim", "--network", the_run(place), "--data", place / "data")
    run(*words)
    run(*words, "--json", by_hand, "--no-record")
    before, written = rows(rows_file(place)), by_hand.read_text()
    by_hand.write_text(written.rstrip("\n"))
    trained("--resume", the_run(place), "--total-kimg 3 --metrics ms-ssim")
    assert rows(rows_file(place)) == before
    assert by_hand.read_text().startswith(written)
    assert json.loads(by_hand.read_text().splitlines()[-1])["images_seen"] >= 3000
    state = sorted(the_run(place).glob("state-*.pt"))[0]
    run(*words)
    trained("--resume", state, "--total-kimg 3")
    moments = [moment for _, _, moment in rows(rows_file(place)) if moment is not None]
    assert moments == [min(moment for _, _, moment in before if moment)]
    assert len(rows(rows_file(place))) == 2  # with the baseline


def test_a_metric_that_nobody_measured_is_no_order(place: Path) -> None:
    result = CliRunner().invoke(
        main, ["compare", str(the_run(place)), "--outdir", str(place / "out"), "--sort", "swd"]
    )
    assert "Or measure it first: --metrics swd --data DATASET." in message(result)
