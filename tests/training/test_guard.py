"""Numbers that are none: back to the last good state, and after a few times a stop with advice."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

from progan import schedule
from progan.cli.train import main
from progan.config import Run
from progan.data.loader import Batch
from progan.run_directory import list_states as state_files
from progan.runtime.log import Log
from progan.sampling.checkpoint_format import read_checkpoint
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import load_network
from progan.training import guard, loop, state
from progan.training.checkpoint import copy_to_cpu
from progan.training.guard import (
    Guard,
    TrainingDiverged,
    describe_divergence,
    describe_nonfinite_weights,
    reseed_after_rollback,
    restore,
)
from progan.training.step_inputs import DiscriminatorInputs, LevelAlpha
from tests.builders import message, noise_dataset, tiny_options, tiny_run

CPU = torch.device("cpu")
RUN = "00000-noise-demo"
Spoil = Callable[[int], bool]  # images seen -> whether the batch that comes then has a NaN


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise").path


def train(data: Path, outdir: Path, *words: str, **overrides: object) -> Result:
    settings = dict(total_kimg=4.0, fmap_max=4, g_lr=0.001, d_lr=0.001) | overrides
    return CliRunner().invoke(
        main,
        [
            "--data", str(data), "--outdir", str(outdir), "--preset", "demo",
            *tiny_options(**settings), *words,
        ],
        catch_exceptions=False,
    )  # fmt: skip


def spoil(monkeypatch: pytest.MonkeyPatch, when: Spoil) -> None:
    """Put a NaN into one pixel of some batches."""
    honest = loop.discriminator_inputs

    def inputs(
        run: Run, batch: Batch, position: LevelAlpha, images_seen: int
    ) -> DiscriminatorInputs:
        prepared = honest(run, batch, position, images_seen)
        if when(images_seen):
            prepared.reals[0, 0, 0, 0] = math.nan
        return prepared

    monkeypatch.setattr(loop, "discriminator_inputs", inputs)


def once(images_seen: int) -> Spoil:
    """The first batch from then on, and never again."""
    hits: list[int] = []

    def now(seen: int) -> bool:
        if seen >= images_seen and not hits:
            hits.append(seen)
            return True
        return False

    return now


def rows(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def test_one_bad_batch_costs_one_rollback_and_training_ends_like_a_clean_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(data, tmp_path / "clean").exit_code == 0
    spoil(monkeypatch, once(2500))
    result = train(data, tmp_path / "spoilt")
    assert result.exit_code == 0, result.output
    assert "not finite: " in result.output and "1 of 3 rollbacks" in result.output
    clean, spoilt = (rows(tmp_path / name / RUN) for name in ("clean", "spoilt"))
    assert [row["images_seen"] for row in spoilt] == [row["images_seen"] for row in clean]
    assert [row["progress/rollbacks"] for row in spoilt] == [0, 0, 1, 1]
    assert all(math.isfinite(value) for row in spoilt for value in row.values())
    # Until the bad batch both runs are the same; from the last good state on the data differ.
    same = [a["loss/critic"] == b["loss/critic"] for a, b in zip(clean, spoilt, strict=True)]
    assert same == [True, True, False, False]
    names = [
        {path.name for path in (tmp_path / name / RUN).glob("*-0*")} - {"log.txt"}
        for name in ("clean", "spoilt")
    ]
    assert names[1] - names[0] == {"rollback-01.json", "rollback-01.png"}
    assert names[0] <= names[1]
    weights = torch.load(state_files(tmp_path / "spoilt" / RUN)[-1], weights_only=True)
    assert weights["rollbacks"] == 1
    assert all(value.isfinite().all() for value in weights["average"].values())


def test_the_evidence_says_what_and_where(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, once(1500))
    train(data, tmp_path)
    evidence = json.loads((tmp_path / RUN / "rollback-01.json").read_text())
    assert evidence["what"].startswith("not finite: ")
    assert 1500 <= evidence["images_seen"] <= 2200
    assert evidence["last_good_images_seen"] == rows(tmp_path / RUN)[0]["images_seen"]
    assert evidence["means_since_tick"]["loss/critic"] == "nan"
    assert any(name.startswith("discriminator.") for name in evidence["weights_not_finite"])


@pytest.mark.parametrize("from_image", [0, 2500])
def test_bad_data_for_ever_stops_with_advice(
    data: Path, tmp_path: Path, from_image: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda seen: seen >= from_image)
    result = train(data, tmp_path, "--rollbacks", "2")
    assert result.exit_code == 1
    text = message(result)
    assert "more often than --rollbacks 2 allows" in text and "--g-lr" in text
    run = tmp_path / RUN
    assert len(list(run.glob("rollback-*.json"))) == 3
    assert ("--resume" in text) == bool(state_files(run)) == bool(from_image)
    assert "more often than --rollbacks 2 allows" in (run / "log.txt").read_text()
    if from_image:
        state, network = state_files(run)[-1], find_network(run)
        assert f"its network is saved in {network}" in text and f"--resume {state}" in text
        assert read_checkpoint(state)["images_seen"] == load_network(network, CPU).images_seen
        assert all(row["images_seen"] <= 2200 for row in rows(run))
        monkeypatch.undo()
        resumed = CliRunner().invoke(main, ["--resume", str(run)], catch_exceptions=False)
        assert resumed.exit_code == 0, resumed.output


def test_a_guard_that_gives_up_between_two_snapshots_leaves_the_last_good_state(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if a later state was saved meanwhile, which leads to where the numbers end."""
    spoil(monkeypatch, lambda seen: seen >= 1300)
    result = train(
        data, tmp_path, "--rollbacks", "1", "--checkpoint-minutes", "1e-9", tick_kimg=0.5,
        snapshot_ticks=99, total_kimg=2,
    )  # fmt: skip
    text, run = message(result), tmp_path / RUN
    state, network = state_files(run)[-1], find_network(run)
    assert f"--resume {state}" in text and f"its network is saved in {network}" in text
    last = rows(run)[-1]["images_seen"]
    assert read_checkpoint(state)["images_seen"] == load_network(network, CPU).images_seen == last
    monkeypatch.undo()
    resumed = CliRunner().invoke(main, ["--resume", str(run)], catch_exceptions=False)
    assert resumed.exit_code == 0, resumed.output


def test_a_resumed_run_may_go_back_as_often_again_and_in_other_orders(tmp_path: Path) -> None:
    run = tiny_run(rollbacks=2)
    live = state.create_state(run, CPU)
    stage = schedule.stage_at(run.growth, run.network, 0)
    diverged = TrainingDiverged("loss is nan", stage, {"loss": math.nan}, seconds=1.0)
    orders = []
    for _ in range(2):  # processes
        process = Guard(run, live, tmp_path, Log(tmp_path / "log.txt"), writes=False)
        for may_continue in (True, True, False):
            assert process.roll_back(live, diverged) == may_continue
            orders.append(reseed_after_rollback(run, live.rollbacks).seed)
    assert len(set(orders)) == 6


def test_a_resumed_run_keeps_the_order_that_the_rollback_chose(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, once(1500))
    train(data, tmp_path)
    run = tmp_path / RUN
    whole, last = rows(run), state_files(run)[-1]
    expected = torch.load(last, weights_only=True)["generator"]
    last.unlink()
    result = CliRunner().invoke(main, ["--resume", str(run)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert rows(run)[-1]["loss/critic"] == whole[-1]["loss/critic"]
    again = torch.load(last, weights_only=True)["generator"]
    assert all(torch.equal(expected[name], again[name]) for name in expected)


def test_a_restored_state_is_the_one_that_was_remembered() -> None:
    run = tiny_run(objective="lsgan", adaptive_noise=True)
    live = state.create_state(run, CPU)
    live.images_seen, live.tick, live.seconds = 640, 2, 1.0
    live.stat_sums.sums, live.stat_sums.counts = {"loss": torch.tensor(0.5)}, {"loss": 3}
    good = copy_to_cpu(live, run)
    before = {name: value.clone() for name, value in live.generator.state_dict().items()}
    for _ in range(2):  # a snapshot serves several times
        with torch.no_grad():
            for weight in live.generator.parameters():
                weight.fill_(math.nan)
        live.controllers["confidence"].fill_(7.0)
        live.stat_sums.sums["loss"] += math.nan
        live.stat_sums.counts["loss"] = 4
        live.images_seen, live.tick, live.seconds, live.rollbacks = 900, 3, 2.0, 1
        restore(live, good)
        assert all(
            torch.equal(before[name], value) for name, value in live.generator.state_dict().items()
        )
        assert (live.images_seen, live.tick, live.controllers) == (640, 2, {"confidence": 0})
        assert (live.stat_sums.sums, live.stat_sums.counts) == ({"loss": 0.5}, {"loss": 3})
        assert (live.seconds, live.rollbacks) == (2.0, 1)  # time and attempts are not undone


def test_weights_that_the_last_step_spoilt_are_noticed() -> None:
    live = state.create_state(tiny_run(), CPU)
    assert describe_nonfinite_weights(live) == ""
    with torch.no_grad():
        live.g_ema.to_rgb["8x8"].bias[1] = math.inf
    assert describe_nonfinite_weights(live) == "not finite: average.to_rgb.8x8.bias"


@pytest.mark.parametrize(
    "means, said",
    [
        ({"loss/critic": 1e9, "scores/real": -999.0, "gradient/norm": 750.0}, ""),
        ({"loss/critic": math.nan}, "not finite: loss/critic"),
        ({"scores/fake": -math.inf, "scores/real": 1e9}, "not finite: scores/fake"),
        ({"scores/real": -2e6}, "scores/real is -2e+06, more than --largest 1e+06"),
        ({"gradient/critic-weights": 2e6}, "gradient/critic-weights is 2e+06, more than"),
        ({"progress/kimg": 2e6}, ""),
    ],
)
def test_what_counts_as_a_fault(means: dict[str, float], said: str) -> None:
    assert describe_divergence(means, 1e6).startswith(said) and bool(
        describe_divergence(means, 1e6)
    ) == bool(said)


def test_exploding_scores_roll_back_too(data: Path, tmp_path: Path) -> None:
    result = train(
        data, tmp_path, "--rollbacks", "1", "--largest", "1", "--g-lr", "0.1", "--d-lr", "0.1"
    )
    assert result.exit_code == 1 and "more than --largest 1" in message(result)


def test_only_a_rollback_changes_the_random_numbers() -> None:
    run = tiny_run(seed=5)
    assert reseed_after_rollback(run, 0) is run
    seeds = {reseed_after_rollback(run, count).seed for count in range(4)}
    assert len(seeds) == 4 and reseed_after_rollback(run, 1) == reseed_after_rollback(run, 1)


def test_the_device_is_looked_at_every_few_rounds_only(tmp_path: Path) -> None:
    """A look waits for the device; `now` is asked for where something is about to be written."""
    looks: list[int] = []

    class Meter:
        def means(self) -> dict[str, float]:
            looks.append(1)
            return {}

    live = state.create_state(tiny_run(), CPU)
    watch = guard.Guard(tiny_run(), live, tmp_path, print)  # type: ignore[arg-type]
    for _ in range(2 * guard.CHECK_ROUNDS):
        watch.check(live, None, Meter(), now=False)  # type: ignore[arg-type]
    assert len(looks) == 2
    watch.check(live, None, Meter(), now=True)  # type: ignore[arg-type]
    assert len(looks) == 3


def test_the_time_of_what_is_undone_was_spent(tmp_path: Path) -> None:
    run = tiny_run()
    live = state.create_state(run, CPU)
    live.seconds = 2.0
    process = Guard(run, live, tmp_path, Log(tmp_path / "log.txt"), writes=False)
    stage = schedule.stage_at(run.growth, run.network, 0)
    process.roll_back(live, TrainingDiverged("loss is nan", stage, {}, seconds=1.5))
    assert live.seconds == 3.5
