"""python -m progan.report from the outside."""

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from progan.cli.train import main as train
from progan.images import save_png
from progan.report.cli import REPORT_FILE, main
from tests.builders import message, noise_dataset, tiny_options, tiny_run
from tests.report.pages import Page
from tests.report.runs import made_run, write_lines

SECTIONS = (
    "status", "samples", "curves", "best-snapshot", "growth", "nearest-neighbours", "settings",
    "machine",
)  # fmt: skip
HOSTILE = "<script>window.hacked=1<"  # a name cannot have a slash


def report(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def page_of(directory: Path, *words: object) -> Page:
    result = report(directory, *words)
    assert result.exit_code == 0, result.output
    return Page((directory / REPORT_FILE).read_text("utf-8"))


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return made_run(tmp_path / "runs")


def test_the_newest_run_is_shown_and_the_path_told(made: Path) -> None:
    result = report(made.parent)
    assert result.exit_code == 0 and result.output == f"{made / REPORT_FILE}\n"
    page = Page((made / REPORT_FILE).read_text("utf-8"))
    assert set(SECTIONS) <= set(page.text)
    assert "ok so far" in page.text["status"] and "has ended" in page.text["status"]
    for words in ("found nothing wrong", "not checked", "whether the samples are good"):
        assert words in page.text["status"]
    assert "All 8 sample grids" in page.text["samples"]
    assert (
        "network-snapshot-000005.safetensors: the best SWDx1e3_avg @8, 5"
        in (page.text["best-snapshot"])
    )
    assert "4→8" in page.text["growth"] and "now" in page.text["growth"]
    assert "--total-kimg: 12000.0 -> 7.5" in page.text["settings"]
    assert "cuda (NVIDIA H100), 2 processes" in page.text["machine"]
    assert "1.5 GiB" in page.text["machine"]


def test_it_goes_where_it_is_told_to(made: Path, tmp_path: Path) -> None:
    assert report(made, "--output", tmp_path / "x.html").output == f"{tmp_path / 'x.html'}\n"
    assert (tmp_path / "x.html").is_file() and not (made / REPORT_FILE).exists()


def test_the_page_needs_nothing_else(made: Path) -> None:
    page = page_of(made)
    assert page.addresses and all(re.match(r"data:|#", each) for each in page.addresses)
    text = re.sub(r'"data:[^"]*"', "", (made / REPORT_FILE).read_text("utf-8"))
    assert not re.search(r"https?:|//\w+\.|@import", text)
    assert page.handlers == []


def test_the_policy_forbids_everything_but_its_own_style_and_script(made: Path) -> None:
    page = page_of(made)
    style, _, script = page.scripts
    for kind, text in (("style", style), ("script", script)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in page.policy
    assert page.policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in page.policy


def test_names_of_people_are_only_text(tmp_path: Path) -> None:
    made = made_run(tmp_path, settings=tiny_run(data=f"/data/{HOSTILE}", subset=HOSTILE))
    directory = made.rename(tmp_path / f"00000-{HOSTILE}\"'&")
    with (directory / "log.txt").open("a") as file:
        file.write(f"2026-01-02 03:04:05  {HOSTILE}/script>\n")
    write_lines(
        directory / "metric-swd9.jsonl",
        {"images_seen": 1000, "values": {f"{HOSTILE}/script>": 1.0}, "reals": {}},
    )
    page = page_of(directory)
    assert page.tags["script"] == 2 and page.handlers == []
    for section in ("settings", "machine", "curves"):
        assert HOSTILE in page.text[section]


def test_a_run_that_has_just_begun(tmp_path: Path) -> None:
    directory = made_run(tmp_path)
    for path in directory.iterdir():
        if path.name != "config.json":
            path.unlink()
    page = page_of(directory)
    assert "No status yet" in page.text["status"]
    assert "No samples yet" in page.text["samples"]
    assert "No statistics yet" in page.text["curves"]
    assert "No network yet" in page.text["best-snapshot"]
    assert "to come" in page.text["growth"]
    assert "They have not been looked up" in page.text["nearest-neighbours"]
    assert "log.txt and statistics are missing" in page.text["machine"]


def test_a_run_that_is_training(made: Path) -> None:
    for name in ("stats.jsonl", "metric-swd8.jsonl", "log.txt"):
        path = made / name
        path.write_text(path.read_text()[:-50])
    page = page_of(made)
    assert "damaged" not in page.text["curves"] and "ok" in page.text["status"]


@pytest.mark.parametrize(
    ("words", "said", "kimg"),
    [
        (
            "Stopped by SIGTERM at kimg 7.0; everything is saved in a and b. To resume: …",
            "was stopped by SIGTERM at kimg 7.0",
            "7 of 7.5",
        ),
        (
            "Stopped at once; what came after the last state is lost. To resume: …",
            "was stopped at once",
            "5.12 of 7.5",
        ),
        (
            "Stopped by an error: /x/state.pt: No space left on device. Free some space.",
            "was stopped by an error: /x/state.pt: No space left on device",
            "5.12 of 7.5",
        ),
        (
            "Training diverged more often than --rollbacks 3 allows; giving up.",
            "has stopped, as its numbers were not finite or far too large",
            "5.12 of 7.5",
        ),
        ("tick 20", "was training at 2026-01-03 03:04:05, and may still be", "5.12 of 7.5"),
    ],
)
def test_a_run_that_was_stopped_says_where(made: Path, words: str, said: str, kimg: str) -> None:
    with (made / "log.txt").open("a") as file:
        file.write(f"2026-01-03 03:04:05  {words}\n")
    text = page_of(made).text["status"]
    assert said in text and kimg in text


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "stats.jsonl",
        "log.txt",
        "fakes-000002_100.png",
        "fakes-init.png",
        "reals.png",
        "metric-swd8.jsonl",
        "network-snapshot-000002.safetensors",
    ],
)
@pytest.mark.parametrize("content", [b"", b"\xff\x00 garbage\n", b"[1, 2]\n", None])
def test_damage_costs_no_more_than_its_own_part(
    made: Path, name: str, content: bytes | None
) -> None:
    path = made / name
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] if content is None else content)
    page = page_of(made)
    assert set(SECTIONS) <= set(page.text)
    told = {
        section: text
        for section, text in page.text.items()
        if "This part could not be made" in text
    }
    assert told == {}


def test_a_damaged_line_of_statistics_costs_only_itself(made: Path) -> None:
    before = page_of(made).text["status"]
    with (made / "stats.jsonl").open("a") as file:
        file.write("garbage\n")
    page = page_of(made)
    assert page.text["status"] == before and "No status" not in before
    assert "A damaged line of stats.jsonl is left out" in page.text["curves"]


def test_what_damage_costs_is_told(made: Path) -> None:
    (made / "config.json").write_text('{"network": {"resolution": 17}, "growth": {}}')
    (made / "metric-swd8.jsonl").write_text("{}\n")
    with (made / "stats.jsonl").open("a") as file:
        file.write("garbage\n")
    page = page_of(made)
    for section in ("status", "growth", "settings"):
        assert "config.json cannot be used" in page.text[section]
    assert "metric-swd8.jsonl is damaged" in page.text["curves"]
    assert "A damaged line of stats.jsonl is left out" in page.text["curves"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "config.json is damaged"),
        ("[" * 100_000, "config.json is damaged"),
        ('{"network": {"resolution": 17}, "growth": {}}', "config.json cannot be used"),
    ],
)
def test_a_config_that_cannot_be_used_is_told_on_the_terminal(
    made: Path, content: str, said: str
) -> None:
    assert report(made).stderr == ""
    (made / "config.json").write_text(content)
    result = report(made)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"Warning: {made / said}")
    assert result.stdout == f"{made / REPORT_FILE}\n"
    assert said in Page((made / REPORT_FILE).read_text("utf-8")).text["settings"]


def test_a_config_that_cannot_be_read_is_told(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(directory: Path) -> None:
        raise PermissionError(13, "Permission denied", str(directory / "config.json"))

    monkeypatch.setattr("progan.report.run_data.load_config", refuse)
    assert "config.json cannot be read: Permission denied." in report(made).stderr


def test_a_failing_run_says_so(made: Path) -> None:
    (made / "rollback-01.json").write_text(
        json.dumps({"images_seen": 6000, "what": "not finite: loss"})
    )
    page = page_of(made)
    assert "non-finite" in page.text["status"] and "What to change" in page.text["status"]


def test_what_the_metrics_have_looked_up_is_shown(made: Path) -> None:
    record = {
        "metric": "neighbours", "images": "n", "reals": "mine", "num_images": 9, "num_training": 40,
        "detector": "pixels", "others": "held-out images", "num_others": 5,
        "values": {"median": 1.0, "median_others": 2.0, "nearer": 0.9, "p_value": 0.00001},
    }  # fmt: skip
    write_lines(made / "metric-neighbours.jsonl", record)
    shutil.copy(made / "reals.png", made / "neighbours.png")
    page = page_of(made)
    assert "a sign of copying" in page.text["nearest-neighbours"]
    assert "each beside the training images" in page.text["nearest-neighbours"]
    write_lines(made / "metric-neighbours.jsonl", {"metric": "neighbours", "values": {}})
    assert "copying" not in page_of(made).text["nearest-neighbours"]


def test_mistakes_are_one_message(made: Path, tmp_path: Path) -> None:
    assert "No such file" in message(report(tmp_path / "nothing"))
    assert "no such folder" in message(report(made, "--output", tmp_path / "no" / "x.html"))
    assert "--neighbours 64" in message(report(made, "--data", tmp_path))
    assert "the dataset of the run" in message(report(made, "--neighbours", 4))
    (tmp_path / "notes.md").write_text("mine")
    assert "not in the directory of a run" in message(report(tmp_path / "notes.md"))
    assert not (tmp_path / "report.html").exists()
    (made / "config.json").unlink()
    assert "No run in" in message(report(made))
    (tmp_path / "runs" / "00007-x").mkdir(parents=True)
    begun = report(tmp_path / "runs")
    assert begun.exit_code == 0 and "no config.json" in begun.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4x4 that measured itself."""
    folder = tmp_path_factory.mktemp("report")
    noise_dataset(folder / "data")
    result = CliRunner().invoke(
        train,
        [
            "--data", str(folder / "data"), "--outdir", str(folder / "runs"), "--device", "cpu",
            *tiny_options(total_kimg=2, snapshot_ticks=1, metrics="swd8", best="swd"),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "runs" / "00000-data-v2-1gpu"


def test_a_real_run_is_shown_whole(trained: Path) -> None:
    page = page_of(trained, "--neighbours", 8, "--detector", "pixels", "--device", "cpu")
    assert not any("could not be made" in text for text in page.text.values())
    assert "network-best-swd8.safetensors" in page.text["best-snapshot"]
    assert "Compared by pixels, with 40 training images" in page.text["nearest-neighbours"]
    assert "has ended" in page.text["status"]
    assert "SWDx1e3 @8" in page.text["curves"]


def test_the_dataset_may_be_elsewhere(trained: Path, tmp_path: Path) -> None:
    run = shutil.copytree(trained, tmp_path / trained.name)
    moved = shutil.copytree(trained.parents[1] / "data", tmp_path / "moved")
    values = json.loads((run / "config.json").read_text())
    values["data"]["data"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(values))
    page = page_of(run, "--neighbours", 4, "--data", moved, "--detector", "pixels")
    assert "with 40 training images" in page.text["nearest-neighbours"]


def test_grey_pictures_are_shown(tmp_path: Path) -> None:
    page = page_of(made_run(tmp_path, settings=tiny_run(channels=1)))
    assert len([image for image in page.images if "data-kimg" in image]) == 8


def test_the_file_stays_small(tmp_path: Path) -> None:
    """Even if grids are noise, which nothing compresses."""
    directory = made_run(tmp_path, settings=tiny_run(resolution=64))
    noise = np.random.RandomState(0).randint(0, 256, (512, 1024, 3)).astype(np.uint8)
    for kimg in range(6, 10):
        save_png(directory / f"fakes-{kimg:06d}.png", noise)
    page_of(directory)
    assert (directory / REPORT_FILE).stat().st_size < 5_000_000
