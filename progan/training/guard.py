"""Rollback after divergence: restore the last good state, or stop."""

import copy
import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from progan.config import Run
from progan.images import save_png
from progan.invocation import command_line
from progan.option_fields import format_option_name
from progan.run_directory import ROLLBACK_PREFIX, choose_rollback_path, list_states
from progan.runtime.files import write_atomically
from progan.runtime.log import Log
from progan.runtime.seeding import derive_seed
from progan.schedule import Stage
from progan.training import sample_grids
from progan.training.checkpoint import COUNTERS, copy_to_cpu
from progan.training.state import TrainState
from progan.training.step_stats import StatSums, StepStats

CHECK_ROUNDS = 32  # rounds between two checks; each waits for the device
BOUNDED = ("gradient/", "scores/")  # statistics that may explode; losses may be anything finite
KEPT_COUNTERS = ("seconds", "rollbacks")  # a rollback does not restore them


class TrainingDiverged(Exception):
    """Training diverged.

    Attributes:
        what: Description of the values that are not finite or too large.
        stage: Stage of the schedule.
        means: Means of all statistics since the last tick.
        seconds: Seconds since the last tick.
    """

    def __init__(self, what: str, stage: Stage, means: Mapping[str, float], seconds: float) -> None:
        super().__init__(what, stage, means, seconds)
        self.what, self.stage, self.means, self.seconds = what, stage, means, seconds


class Guard:
    """Keeps the last good state in main memory, and restores it a bounded number of times.

    Statistics are summed on the device, and a sum with a non-finite term stays non-finite: a check
    every few rounds covers all steps. Nothing is saved without a check.

    Args:
        writes: True in the process that writes evidence; all processes find the same.
        untrained: Classes without training images, which the evidence does not show.
    """

    def __init__(
        self,
        run: Run,
        state: TrainState,
        directory: Path,
        log: Log,
        *,
        writes: bool = True,
        untrained: Sequence[int] = (),
    ) -> None:
        self._run, self._directory, self._log, self._writes = run, directory, log, writes
        self._untrained, self._rounds = untrained, 0
        self._rollbacks_before = state.rollbacks  # those before a --resume
        self.mark_good(state)

    def mark_good(self, state: TrainState) -> None:
        """Keep a copy of this state."""
        self._good = copy_to_cpu(state, self._run)

    def check(self, state: TrainState, stage: Stage, stats: StepStats, *, now: bool) -> None:
        """Raise TrainingDiverged if a step since the last tick did; checks `now` or sometimes."""
        self._rounds += 1
        if not now and self._rounds % CHECK_ROUNDS:
            return
        means = stats.means()
        found = describe_divergence(means, self._run.guard.largest) or describe_nonfinite_weights(
            state
        )
        if found:
            raise TrainingDiverged(found, stage, means, stats.seconds)

    def roll_back(self, state: TrainState, diverged: TrainingDiverged) -> bool:
        """Write the evidence and restore the last good state.

        Returns True if training may continue, False after too many rollbacks.
        """
        state.rollbacks += 1  # it chooses the next order of the data: never the same again
        state.seconds += diverged.seconds
        found_at, most = state.kimg, self._run.guard.rollbacks
        evidence = self._keep_evidence(state, diverged)
        restore(state, self._good)
        self._log(f"At kimg {found_at:g}: {diverged.what}. Evidence: {evidence.name} and .png.")
        count = state.rollbacks - self._rollbacks_before
        if count > most:
            return False
        self._log(
            f"Rolled back to kimg {state.kimg:g}; training continues with the data in another "
            f"order ({count} of {most} rollbacks)."
        )
        return True

    def _keep_evidence(self, state: TrainState, diverged: TrainingDiverged) -> Path:
        path = choose_rollback_path(self._directory)
        if not self._writes:
            return path
        evidence = {
            "what": diverged.what,
            "images_seen": state.images_seen,
            "tick": state.tick,
            "last_good_images_seen": self._good["images_seen"],
            "stage": dataclasses.asdict(diverged.stage),
            "means_since_tick": {  # JSON has no infinity
                name: value if math.isfinite(value) else str(value)
                for name, value in diverged.means.items()
            },
            "weights_not_finite": list_nonfinite_weights(state),
        }
        write_atomically(path, json.dumps(evidence, indent=2) + "\n")
        pixels = sample_grids.fakes_grid(state.g_ema, self._run, diverged.stage, self._untrained)
        save_png(path.with_suffix(".png"), pixels)
        return path


def describe_divergence(means: Mapping[str, float], largest: float) -> str:
    """Describe statistics that are not finite or too large; '' if there are none."""
    if lost := [name for name, value in means.items() if not math.isfinite(value)]:
        return f"not finite: {', '.join(lost)}"
    for name, value in means.items():
        if name.startswith(BOUNDED) and abs(value) > largest:
            return f"{name} is {value:.3g}, more than {format_option_name('largest')} {largest:g}"
    return ""


def describe_nonfinite_weights(state: TrainState) -> str:
    """Describe non-finite weights, which the last step may have left; '' if there are none."""
    norms = [
        nn.utils.get_total_norm([parameter.detach() for parameter in network.parameters()])
        for network in state.networks.values()
    ]
    if torch.stack(norms).isfinite().all():
        return ""
    return f"not finite: {', '.join(list_nonfinite_weights(state)) or 'the norm of all weights'}"


def list_nonfinite_weights(state: TrainState) -> list[str]:
    """Names of the weights that are not all finite."""
    return [
        f"{role}.{name}"
        for role, network in state.networks.items()
        for name, weight in network.state_dict().items()
        if not weight.isfinite().all()
    ]


def format_diverged_message(directory: Path, kimg: float, most: int, network: Path | None) -> str:
    """Return the message of a training that diverged too often.

    Args:
        network: Network file of the last good state, if that was saved.
    """
    known = list_states(directory)
    rates = f"{format_option_name('g_lr')} and {format_option_name('d_lr')}"
    restart = (
        f"Resume ({command_line('train', '--resume', known[-1])}) with {rates}"
        if known
        else f"No state was saved yet: start a new run with {rates}"
    )
    saved = f" and its network is saved in {network}" * bool(network)
    return (
        f"Training diverged more often than {format_option_name('rollbacks')} {most} allows; "
        f"giving up. The evidence is in {directory / ROLLBACK_PREFIX}*, the last good state was at "
        f"kimg {kimg:g}{saved}. {restart} of a half or less, or with "
        f"{format_option_name('clip_gradients')}. "
        "If it always diverges at the same kimg, check the data. A larger "
        f"{format_option_name('rollbacks')} allows more attempts."
    )


def reseed_after_rollback(run: Run, rollbacks: int) -> Run:
    """Return the run with a new seed after a rollback, for other data and random numbers."""
    if not rollbacks:
        return run
    return dataclasses.replace(run, seed=derive_seed(run.seed, "rollback", rollbacks))


def restore(state: TrainState, good: Mapping[str, Any]) -> None:
    """Restore a copy from `copy_to_cpu` into `state`; `good` can be used again."""
    for name, module in (state.networks | state.optimizers).items():
        module.load_state_dict(copy.deepcopy(good[name]))
    for name in COUNTERS:
        if name not in KEPT_COUNTERS:
            setattr(state, name, good[name])
    for name, value in good["dials"].items():
        state.controllers[name].fill_(value)
    device = next(state.generator.parameters()).device
    sums = {name: total.to(device, copy=True) for name, total in good["tally"]["sums"].items()}
    state.stat_sums = StatSums(sums, dict(good["tally"]["counts"]))
