"""What the benchmarks compute from their measurements."""

import json
from pathlib import Path

import click
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner

from benchmarks import experiments, growing, loader, report, step_profile, train
from benchmarks.trials import DIGITS, Settings, Trial
from benchmarks.workload import ProductCounter, peer_step, step_cost
from progan import presets, schedule
from progan.config import override
from progan.errors import UserError


def test_products_are_counted_with_what_they_move() -> None:
    x, weight = torch.randn(2, 3, 8, 8), torch.randn(5, 3, 3, 3)
    with ProductCounter() as products:
        F.conv2d(x, weight, padding=1).relu()
    assert products.flops == 2 * 2 * 5 * 64 * 27
    assert products.elements == x.numel() + weight.numel() + 2 * 5 * 64


def test_a_step_costs_what_its_passes_do() -> None:
    """Reals and fakes have three passes of D each, the penalty six, G's own step four and two of
    G; the fakes cost one more of G: 18 of equal length, as G and D mirror each other."""
    run = override(presets.preset("v2-1gpu"), {"batch": 32, "batch_at": ()})
    (stage,) = (
        phase.stage
        for phase in schedule.iterate_phases(run.growth, run.network)
        if phase.stage.resolution == 64 and not phase.stage.fading
    )
    flops, _ = step_cost(run, stage)
    assert flops / 32e9 == pytest.approx(331, rel=0.005)  # as counted by others: GFLOP/image


@pytest.mark.parametrize("name", ["absent/t", ""])
def test_where_nothing_can_be_written_nothing_is_timed(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot write there"):
        report.require_writable_output(tmp_path / name if name else Path())


def test_results_keep_the_dots_of_their_name(tmp_path: Path) -> None:
    report.save_results("x", {"device": "cpu"}, "page", tmp_path / "t.v2")
    assert {path.name for path in tmp_path.iterdir()} == {"t.v2.json", "t.v2.md"}


def test_a_folder_that_holds_no_peer_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkout of pytorch_GAN_zoo or pro_gan_pytorch"):
        peer_step(tmp_path, presets.preset("cpu").network, 3, torch.device("cpu"))


@pytest.mark.parametrize(
    "operation, expected",
    [
        ("aten::mkldnn_convolution", "convolutions"),
        ("aten::addmm", "products"),
        ("aten::_fused_adam_", "optimizers, average"),
        ("aten::copy_", "copies, layouts"),
        ("aten::sum", "sums"),
        ("aten::leaky_relu_backward", "pointwise"),
    ],
)
def test_operations_are_told_by_what_they_are_for(operation: str, expected: str) -> None:
    assert step_profile.purpose(operation) == expected


def test_an_iteration_is_taken_apart(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        step_profile.main,
        [
            "--preset", "demo", "--resolutions", "4", "--iterations", "1", "--device", "cpu",
            "--output", str(tmp_path / "out"),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    (row,) = json.loads((tmp_path / "out.json").read_text())["levels"]
    assert row["operations"] > 500 and row["idle"] is None
    assert row["by_purpose"]["convolutions"] > 0
    assert (tmp_path / "out.md").read_text().count("\n| 4 |") == 1


def test_the_way_of_images_is_timed_at_each_resolution(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        loader.main,
        [
            "--preset", "demo", "--resolution", "8", "--images", "5", "--runs", "3", "--seconds",
            "0.001", "--device", "cpu", "--output", str(tmp_path / "out"),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    rows = json.loads((tmp_path / "out.json").read_text())["levels"]
    assert [(row["resolution"], row["name"]) for row in rows] == [
        (side, name) for side in (4, 8) for name in ("read", "streamed", "resident")
    ]
    for row in rows:
        assert row["megabytes_per_second"] == pytest.approx(
            row["images_per_second"]["median"] * 3 * row["resolution"] ** 2 / 1e6
        )
        assert (row["load_seconds"] is not None) == (row["name"] == "resident")
    assert len((tmp_path / "out.md").read_text().split("\n| ")) == 1 + 2 + len(rows)


def points(*rows: tuple[float, float, float]) -> list[growing.Point]:
    return [{"kimg": kimg, "minutes": minutes, "value": value} for kimg, minutes, value in rows]


def test_the_time_to_a_value_lies_between_two_points() -> None:
    curve = points((1, 10, 80), (2, 20, 40), (3, 30, 60), (4, 40, 20))
    assert growing.minutes_to_reach(curve, 90) == 10 and growing.minutes_to_reach(curve, 60) == 15
    assert (
        growing.minutes_to_reach(curve, 30) == pytest.approx(37.5)
        and growing.minutes_to_reach(curve, 10) is None
    )
    found = growing.time_shares(curve, points((1, 30, 60), (2, 40, 70)))
    assert [(each["minutes"], each["share"]) for each in found] == [(15, 0.5)]


def outcome(name: str, *curve: tuple[float, float, float]) -> experiments.Outcome:
    return experiments.Outcome(
        name=name, seed=0, kimg=curve[-1][1], minutes=curve[-1][0], values={}, verdict="",
        verdict_kimg=None, torch="", curve=[list(point) for point in curve],
    )  # fmt: skip


def test_rows_are_compared_by_the_time_to_the_last_value_of_the_first() -> None:
    rows = [
        outcome("paper", (5, 20, 30), (10, 40, 10)),
        outcome("paper", (5, 20, 40), (10, 40, 20)),
        outcome("fast", (2, 20, 25), (4, 40, 5)),
        outcome("slow", (5, 20, 40), (10, 40, 20)),
    ]
    heading, _, paper, fast, slow = experiments.format_table(rows, {}).splitlines()
    assert heading.endswith("| minutes to SWD 15.0 |")
    assert paper.endswith("| 8.75 (1/2) |") and fast.endswith("| 3 (1/1) |")
    assert slow.endswith("|  (0/1) |")


def ticks(*rows: tuple[float, float, float]) -> list[dict[str, float]]:
    return [
        {"progress/kimg": kimg, "schedule/resolution": side, "speed/images-per-second": speed}
        for kimg, side, speed in rows
    ]


def test_minutes_are_those_of_the_run_that_was_disturbed_least() -> None:
    whole = ticks((6, 8, 3), (12, 8, 10), (18, 8, 10))
    grown = ticks((6, 4, 100), (12, 4, 100), (18, 4, 1), (24, 8, 2))
    speeds = growing.common_speeds([grown, whole])
    assert speeds == {4: 100, 8: 10}
    assert growing.minutes_by_kimg(grown, speeds) == {6: 1, 12: 2, 18: 3, 24: 13}


def test_all_are_timed_unless_some_are_named() -> None:
    assert train.select_names(None, ["4", "8"], "--resolutions") == ["4", "8"]
    assert train.select_names("8", ["4", "8"], "--resolutions") == ["8"]


@pytest.mark.parametrize("text, strange", [("7", "7"), ("4,x", "x"), ("4,", "")])
def test_what_cannot_be_timed_is_told(text: str, strange: str) -> None:
    with pytest.raises(
        UserError, match=f"--resolutions {text}: no such value: .{strange}'. Choose from 4, 8"
    ):
        train.select_names(text, ["4", "8"], "--resolutions")


def test_statuses_of_earlier_versions_are_read_by_their_present_names(tmp_path: Path) -> None:
    store = tmp_path / "x.json"
    store.write_text(
        json.dumps(
            [
                dict(
                    name="x",
                    seed=seed,
                    kimg=1.0,
                    minutes=None,
                    values={},
                    verdict=verdict,
                    verdict_kimg=None,
                    torch="2",
                )
                for seed, verdict in enumerate(("healthy", "ok", "mode collapse"))
            ]
        )
    )
    assert [each.verdict for each in experiments.read_outcomes(store)] == [
        "ok",
        "ok",
        "mode collapse",
    ]


def test_relative_paths_are_those_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trainings run in the repository, where a relative path would name another folder."""
    monkeypatch.chdir(tmp_path)
    seen: list[Path | None] = []

    def see_paths(trial: Trial, settings: Settings, folder: Path, _: object) -> experiments.Outcome:
        seen[:] = settings.data, settings.classifier, folder
        return outcome(trial.name, (1, 1.0, 5))

    monkeypatch.setattr(experiments, "run_trial", see_paths)
    words = "digits --data data --classifier c --outdir out --results . --kimg 2 --seeds 1 --jobs 1"
    assert CliRunner().invoke(experiments.main, words.split()).exit_code == 0
    assert seen == [tmp_path / "data", tmp_path / "c", tmp_path / "out/digits"]


def test_rows_are_selected_by_their_names() -> None:
    trials = [Trial(name, seed, ()) for seed in (0, 1) for name in ("a", "b", "c")]
    assert experiments.select_rows(trials, ()) == trials
    selected = experiments.select_rows(trials, ("c", "a"))
    assert [(trial.name, trial.seed) for trial in selected] == [
        ("a", 0),
        ("c", 0),
        ("a", 1),
        ("c", 1),
    ]
    with pytest.raises(click.UsageError, match=r"No row is called 'd'. The rows: a, b, c\."):
        experiments.select_rows(trials, ("a", "d"))


def test_shorter_runs_stay_in_the_file_until_they_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interruption loses no result, which another machine may have measured."""
    store = tmp_path / "digits.json"
    old = [outcome(name, (1, 1.0, 5)) for name in DIGITS]
    experiments.write_outcomes(store, old)
    long = outcome(DIGITS[0], (2, 2.0, 5))

    def run_first_only(trial: Trial, *_: object) -> experiments.Outcome:
        if trial.name != DIGITS[0]:
            raise KeyboardInterrupt
        return long

    monkeypatch.setattr(experiments, "run_trial", run_first_only)
    words = ["digits", "--data", str(tmp_path), "--results", str(tmp_path), "--kimg", "2"]
    CliRunner().invoke(experiments.main, [*words, "--seeds", "1", "--jobs", "1"])
    assert experiments.read_outcomes(store) == sorted([long, *old[1:]], key=lambda each: each.name)
