"""A training whose numbers leave the numbers goes back to its last good state, or stops."""

import copy
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from progan.config import Run
from progan.images import save_png
from progan.invocation import command_line
from progan.option_fields import option_name
from progan.run_directory import ROLLBACK_PREFIX, list_states, rollback_path
from progan.runtime.files import write_atomically
from progan.runtime.log import Log
from progan.runtime.seeding import derive_seed
from progan.sampling.state_file import NETWORKS
from progan.schedule import Stage
from progan.training import samples
from progan.training.checkpoint import COUNTERS, MODULES, copy_to_cpu
from progan.training.meter import StatSums, StepStats
from progan.training.state import TrainState

CHECK_ROUNDS = 32  # rounds between two checks; each waits for the device, as a tick does
BOUNDED = ("gradient/", "scores/")  # statistics that may explode; losses may be anything finite
KEPT_CLOCKS = ("seconds", "rollbacks")  # what going back does not undo


class TrainingDiverged(Exception):
    """Training has left the numbers.

    Attributes:
        what: In words, what was found.
        stage: Where in the schedule.
        means: Of all statistics since the last tick.
        seconds: Spent since the last tick.
    """

    def __init__(self, what: str, stage: Stage, means: Mapping[str, float], seconds: float) -> None:
        super().__init__(what, stage, means, seconds)
        self.what, self.stage, self.means, self.seconds = what, stage, means, seconds


class Guard:
    """Remembers the last good state, in main memory, and returns to it a bounded number of times.

    Statistics are summed on the device, and a sum that meets one number that is not finite stays
    so: one look every few rounds sees all steps. Nothing is written before a look.

    Args:
        writes: Whether evidence is kept. Of several processes, which find the same, one writes.
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
        self.keep(state)

    def keep(self, state: TrainState) -> None:
        """This state is good."""
        self._good = copy_to_cpu(state, self._run)

    def check(self, state: TrainState, stage: Stage, meter: StepStats, *, now: bool) -> None:
        """Raise TrainingDiverged if a step since the last tick was; look `now` or at times."""
        self._rounds += 1
        if not now and self._rounds % CHECK_ROUNDS:
            return
        means = meter.means()
        found = divergence(means, self._run.guard.largest) or weights_fault(state)
        if found:
            raise TrainingDiverged(found, stage, means, meter.seconds)

    def roll_back(self, state: TrainState, diverged: TrainingDiverged) -> bool:
        """Keep the evidence and return to the last good state.

        Returns whether training may go on; False if that was too often.
        """
        state.rollbacks += 1
        state.seconds += diverged.seconds
        found_at, most = state.kimg, self._run.guard.rollbacks
        evidence = self._keep_evidence(state, diverged)
        restore(state, self._good)
        self._log(f"At kimg {found_at:g}: {diverged.what}. Evidence: {evidence.name} and .png.")
        if state.rollbacks > most:
            state.rollbacks = self._good["rollbacks"]  # a run that is resumed has as many again
            return False
        self._log(
            f"Back to kimg {state.kimg:g}, and on with another order of the data "
            f"({state.rollbacks} of {most} rollbacks)."
        )
        return True

    def _keep_evidence(self, state: TrainState, diverged: TrainingDiverged) -> Path:
        path = rollback_path(self._directory)
        if not self._writes:
            return path
        write_atomically(
            path,
            json.dumps(
                {
                    "what": diverged.what,
                    "images_seen": state.images_seen,
                    "tick": state.tick,
                    "last_good_images_seen": self._good["images_seen"],
                    "stage": dataclasses.asdict(diverged.stage),
                    "means_since_tick": {
                        name: _word(value) for name, value in diverged.means.items()
                    },
                    "weights_not_finite": not_finite(state),
                },
                indent=2,
            )
            + "\n",
        )
        pixels = samples.fakes(state.average, self._run, diverged.stage, self._untrained)
        save_png(path.with_suffix(".png"), pixels)
        return path


def divergence(means: Mapping[str, float], largest: float) -> str:
    """What is wrong with some statistics, in words; '' if nothing is."""
    lost = [name for name, value in means.items() if not math.isfinite(value)]
    if lost:
        return f"not finite: {', '.join(lost)}"
    for name, value in means.items():
        if name.startswith(BOUNDED) and abs(value) > largest:
            return f"{name} is {value:.3g}, more than {option_name('largest')} {largest:g}"
    return ""


def weights_fault(state: TrainState) -> str:
    """The same of the weights: the last step may have spoilt them, which no statistic shows."""
    norms = [_norm(getattr(state, name).parameters()) for name in NETWORKS]
    if torch.stack(norms).isfinite().all():
        return ""
    return f"not finite: {', '.join(not_finite(state)) or 'the norm of all weights'}"


def not_finite(state: TrainState) -> list[str]:
    """Names of the weights that are not all finite."""
    return [
        f"{network}.{name}"
        for network in NETWORKS
        for name, weight in getattr(state, network).state_dict().items()
        if not weight.isfinite().all()
    ]


def stop_message(directory: Path, kimg: float, most: int, network: Path | None) -> str:
    """Advice for a training that went back as often as it may.

    Args:
        network: Of the last good state, if that was saved.
    """
    known = list_states(directory)
    rates = f"{option_name('g_lr')} and {option_name('d_lr')}"
    go_on = (
        f"Go on ({command_line('train', '--resume', known[-1])}) with {rates}"
        if known
        else f"It has saved no state yet: start a new run with {rates}"
    )
    saved = f" and its network is saved in {network}" * bool(network)
    return (
        f"The training has left the numbers once more than {option_name('rollbacks')} {most} "
        f"allows, and stops. Its evidence is in {directory / ROLLBACK_PREFIX}*, its last good "
        f"state was at kimg {kimg:g}{saved}. {go_on} of a half or less, or with "
        f"{option_name('clip_gradients')}. If it always stops at the same place, look at the "
        "data. More rollbacks allow more attempts."
    )


def reseeded(run: Run, rollbacks: int) -> Run:
    """The run as training draws from it: after a rollback, every random number is another one."""
    if not rollbacks:
        return run
    return dataclasses.replace(run, seed=derive_seed(run.seed, "rollback", rollbacks))


def restore(state: TrainState, good: Mapping[str, Any]) -> None:
    """Make `state` what it was when `copied` saw it; `good` stays good for another time."""
    for name in MODULES:
        getattr(state, name).load_state_dict(copy.deepcopy(good[name]))
    for name in COUNTERS:
        if name not in KEPT_CLOCKS:
            setattr(state, name, good[name])
    for name, value in good["dials"].items():
        state.controllers[name].fill_(value)
    device = next(state.generator.parameters()).device
    sums = {name: total.to(device, copy=True) for name, total in good["tally"]["sums"].items()}
    state.tally = StatSums(sums, dict(good["tally"]["counts"]))


def _norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    return nn.utils.get_total_norm([parameter.detach() for parameter in parameters])


def _word(value: float) -> float | str:
    """JSON knows no infinity."""
    return value if math.isfinite(value) else str(value)
