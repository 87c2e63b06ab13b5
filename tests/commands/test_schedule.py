"""What train.py says of a schedule, a machine and options that do not go together."""

import json
import re
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from progan.cli.train import main
from progan.config import Run, override
from progan.presets import PRESETS, preset
from progan.schedule import Stage
from progan.training import preflight as estimates
from progan.training.preflight import cpu_note, estimate_seconds
from tests.builders import message, noise_dataset, tiny_options

CPU = torch.device("cpu")


def train(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def dry_run(*words: object) -> str:
    result = train(*words, "--dry-run", "--device", "cpu")
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise").path


def test_a_plan_says_where_it_ends() -> None:
    assert (
        "The run ends at 4x4 of 32x32, at kimg 5: 32x32 starts at kimg 50, is faded in at kimg "
        "60 and is fully trained at kimg 70."
    ) in dry_run("--preset", "cpu", "--total-kimg", 5)
    assert "The run ends in the fade to 16x16 of 32x32" in dry_run(
        "--preset", "cpu", "--total-kimg", 35
    )
    assert "The run ends" not in dry_run("--preset", "cpu")


def test_a_run_that_ends_early_says_so_at_its_start_and_end(data: Path, tmp_path: Path) -> None:
    result = train(
        "--data", data, "--outdir", tmp_path, "--preset", "demo", *tiny_options(total_kimg=2.5)
    )
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    first_tick = next(index for index, line in enumerate(lines) if line.startswith("tick 1 "))
    ends = [
        index
        for index, line in enumerate(lines)
        if "The run ends in the fade to 8x8 of 16x16" in line
    ]
    assert len(ends) == 2 and ends[0] < first_tick < ends[1]
    assert lines[ends[1]].startswith("Done, but the final resolution is not fully trained.")
    resumed = dry_run("--resume", tmp_path)
    assert "The run ends in the fade to 8x8 of 16x16" in resumed


def test_a_scaled_run_trains_every_resolution_and_shows_lines_and_images(
    data: Path, tmp_path: Path
) -> None:
    """Of 1 kimg instead of 40; the phases of 3 kimg would leave it at 4x4."""
    words = ["--preset", "demo", "--total-kimg", 1, "--fmap-max", 8, "--preflight", "none"]
    plan = dry_run("--data", data, *words, "--scale-schedule")
    result = train("--data", data, "--outdir", tmp_path, *words, "--scale-schedule")
    assert result.exit_code == 0, result.output
    (run,) = tmp_path.iterdir()
    growth = json.loads((run / "config.json").read_text())["growth"]
    assert growth["training_kimg"] == growth["transition_kimg"] == 0.1125
    for output in (plan, result.output):
        assert "--scale-schedule: --training-kimg 0.1125 (was 3)" in output
        assert "The run ends" not in output
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert {row["schedule/resolution"] for row in rows} == {4, 8, 16}
    assert len(list(run.glob("fakes-0*.png"))) >= 1 and "Done. Generate images" in result.output
    resumed = dry_run("--resume", run)
    assert [line.split()[1:4] for line in resumed.splitlines() if "8→16" in line] == [
        ["8→16", "0.3375", "0.45"]
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--training-kimg", 3), "--training-kimg sets it"),
        (("--initial-resolution", 16), "nothing to scale"),
        (("--total-kimg", 0.01), "--total-kimg 0.01 is too short"),
        (("--resume",), "omit --scale-schedule"),
        (("--init-from", __file__), "Set --training-kimg and --transition-kimg"),
    ],
)
def test_what_cannot_be_scaled_is_refused(data: Path, words: tuple[object, ...], said: str) -> None:
    start = () if words[0] == "--resume" else ("--data", data, "--preset", "demo")
    assert said in message(train(*start, *words, "--scale-schedule", "--dry-run"))


def test_a_preset_for_larger_images_says_what_its_total_means(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("progan.training.plan.estimate_seconds", lambda run, device: 0.0)
    plan = dry_run("--preset", "v2-1gpu", "--resolution", 64)
    assert "64x64 gets 60%. --total-kimg 6000 keeps that share" in plan


def test_a_plan_for_gpus_says_how_long_it_takes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progan.training.plan.estimate_seconds", lambda run, device: 86400.0 * 12)
    words = ("--preset", "v2-1gpu", "--resolution", 64)
    assert re.search(
        r"Preset v2-1gpu is made for GPUs; on cpu \(\d threads?\) this run would take "
        r"12d 00h \(a rough estimate\)\. For a CPU: --preset cpu --resolution 32\.",
        dry_run(*words),
    )
    plan = dry_run("--preset", "cpu")
    assert "made for GPUs" not in plan
    assert re.search(r"On cpu \(1 thread\) the whole run would take about 12d 00h", plan)
    elsewhere = train(*words, "--dry-run", "--device", "cuda")
    assert elsewhere.exit_code == 0 and "made for GPUs" not in elsewhere.output


def test_a_run_for_gpus_says_so_before_its_first_tick(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimates, "SHORT_SECONDS", 0.0)
    for preflight, time in (("estimate", r"\S+ \(a rough estimate\)"), ("none", "long")):
        result = train(
            "--data", data, "--outdir", tmp_path, "--device", "cpu",
            *tiny_options(total_kimg=0.1, preflight=preflight),
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        before, _ = result.output.split("\ntick 1 ")
        assert re.search(f"Preset v2-1gpu is made for GPUs; .* would take {time}", before)


def test_a_short_run_needs_no_other_preset() -> None:
    assert cpu_note(preset("v2-1gpu"), CPU, 60.0) == ""
    assert "more than 10 years" in cpu_note(preset("v2-1gpu"), CPU, 1e300)


def test_presets_for_any_machine_are_not_called_made_for_gpus() -> None:
    names = [name for name in PRESETS if cpu_note(preset(name), CPU, 1e9)]
    assert {"v2-1gpu", "v2-8gpus", "modern-64", "mnist", "dcgan", "table1-a"} <= set(names)
    starts = ("cpu", "demo", "frogs", "ada-birds", "mnist-8", "stacked-mnist-")
    assert not [name for name in names if name.startswith(starts)]
    assert cpu_note(Run(preset="custom"), CPU, 1e9) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kind": "dcgan", "objective": "gan", "g_norm": "batch", "d_norm": "batch"},
        {"d_repeats": 2, "initial_resolution": 16, "fade_first": True},
    ],
)
def test_the_time_of_any_run_can_be_estimated(changes: dict[str, object]) -> None:
    run = override(preset("demo"), changes)
    twice = override(run, {"total_kimg": 2 * run.growth.total_kimg})
    assert 0 < estimate_seconds(run, CPU) < 100 * estimate_seconds(twice, CPU)


def test_an_estimate_measures_all_affordable_resolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    """At low ones, most of the time is not spent on multiplications."""
    tried = []

    def measure(self: estimates.Preflight, stage: Stage, tries: int | None = None) -> float:
        tried.append((stage.level, stage.batch))
        return 0.001 * stage.level

    monkeypatch.setattr(estimates.Preflight, "measure_seconds_per_image", measure)
    run = override(preset("demo"), {"training_kimg": 4, "transition_kimg": 2, "total_kimg": 24})
    kimg = {2: 4, 3: 2 + 4, 4: 2 + 4, 5: 2 + 6}
    assert estimate_seconds(run, CPU) == pytest.approx(sum(n * level for level, n in kimg.items()))
    assert tried == [(level, run.growth.batch) for level in kimg]

    tried.clear()
    large = preset("v2-1gpu")
    assert estimate_seconds(large, CPU) > 1e6
    assert [level for level, _ in tried] == [2, 3]
    tried.clear()
    estimate_seconds(override(large, {"initial_resolution": 32}), CPU)
    ((level, batch),) = tried  # fewer images than the batch
    assert level == 3 and 2 <= batch < dict(large.growth.batch_at)[8]


@pytest.mark.parametrize(
    ("total", "said"), [(1, "kimg 1.024/1 (102.4%)"), (0.05, "kimg 0.128/0.05 (256.0%)")]
)
def test_what_was_trained_beyond_the_total_is_shown(
    data: Path, tmp_path: Path, total: float, said: str
) -> None:
    """The last round goes beyond the total: 1024 images of 1000."""
    result = train(
        "--data", data, "--outdir", tmp_path, "--preset", "demo", *tiny_options(total_kimg=total)
    )
    assert said in result.output


def test_options_without_effect_are_told_and_others_are_not() -> None:
    plan = dry_run(
        "--preset", "cpu", "--gp-target", 2, "--penalty-interval", 4, "--objective", "gan",
        "--label-noise", 0.1,
        "--augment-zoom", 0.5, "--precision", "fp16", "--low-precision-from", 64, "--batch-at",
        "64:4,8:2", "--batch", 8,
    )  # fmt: skip
    for said in (
        "--gp-target has no effect without --objective wgan-gp or dragan.",
        "--penalty-interval has no effect without --objective wgan-gp or dragan or r1 or ",
        "--augment-zoom has no effect without --augment fixed or adaptive.",
        "--precision fp16 has no effect: --low-precision-from 64 is above the final "
        "resolution, 32.",
        "--precision fp16 on a CPU gives the results of fp16",
        "--batch-at has no effect at 64: the run trains from 4 to 32.",
    ):
        assert said in plan
    assert plan.count("no effect") == 5
    assert "--precision tf32 has no effect on cpu" in dry_run(
        "--preset", "cpu", "--precision", "tf32"
    )


def test_the_log_of_a_run_tells_them_too(data: Path, tmp_path: Path) -> None:
    result = train(
        "--data", data, "--outdir", tmp_path, "--preset", "demo", *tiny_options(total_kimg=0.1),
        "--kernel", 5,
    )  # fmt: skip
    assert "--kernel has no effect" in result.output
    (run,) = tmp_path.iterdir()
    assert "--kernel has no effect" in (run / "log.txt").read_text()
    again = train("--resume", run, "--total-kimg", 0.3, "--margin", 2)
    assert "--margin has no effect" in again.output


def test_a_total_that_is_recommended_trains_the_final_resolution(
    data: Path, tmp_path: Path
) -> None:
    """The first round, of 0.5 kimg, is longer than all phases before the last one."""
    options = tiny_options(
        batch=500, training_kimg=0.02, transition_kimg=0.02, total_kimg=0.13, tick_kimg=0.5
    )
    words = ("--data", data, "--outdir", tmp_path)
    said = train(*words, *options, "--dry-run").output
    total = float(re.findall(r"--total-kimg (\S+) trains it fully", said)[0])
    assert total > 0.5
    longer = train(*words, *options, "--total-kimg", total, "--dry-run").output
    assert "trains it fully" not in longer
