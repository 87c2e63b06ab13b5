"""Runs that send their batches through the networks in parts, and their states, compared."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from progan import schedule
from progan.batch_split import UNSHARDED, Shard, select_shard_rows
from progan.config import Run
from progan.data.loader import Batch
from progan.runtime.distributed import Group
from progan.training import state as states
from progan.training.gradients import FULL_BATCH, BatchSplit, Gradients
from progan.training.state import TrainState
from progan.training.step import Statistics, Steps, make_steps
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs
from tests.builders import tiny_run

CPU = torch.device("cpu")
LEVEL = 3
COMMON: dict[str, Any] = dict(
    resolution=8, latent_size=6, fmap_base=32, fmap_max=8, batch=8, stddev_group=4, label_size=3,
    mirror=True, g_lr=0.01, d_lr=0.01,
)  # fmt: skip
# Every objective and every kind of networks that couple no images beyond a group. Those of
# wgan-gp that grow to 16x16 are trained at 8x8, where its gradient norms are divided by 2.
RUNS: dict[str, dict[str, Any]] = {
    "progressive, wgan-gp, adaptive": dict(resolution=16, augment="adaptive", augment_p=0.4),
    "progressive, relativistic": dict(objective="relativistic", augment="fixed", augment_p=0.3),
    "progressive, gan, mixed": dict(objective="gan", mixed_batches=True, label_noise=0.1),
    "dcgan, lsgan": dict(kind="dcgan", objective="lsgan", g_norm="pixel", clip_gradients=1e-3),
    "dcgan, gan, separate": dict(
        kind="dcgan", objective="gan", separate_updates=True, g_norm="none", optimizer="rmsprop"
    ),
    "dcgan, wgan": dict(kind="dcgan", objective="wgan", clip_weights=0.01, d_norm="layer"),
    "resnet, r1": dict(kind="resnet", objective="r1", d_norm="layer"),
    "progressive, r1, lazy": dict(objective="r1", penalty_interval=2),
    "autoencoder, began": dict(
        kind="autoencoder", objective="began", code_size=6, g_norm="none", balance_rate=0.5
    ),
    "autoencoder, ebgan": dict(
        kind="autoencoder", objective="ebgan", code_size=6, g_norm="none", pulling_away=0.0
    ),
    "stacked-mnist, wgan-gp": dict(
        kind="stacked-mnist", resolution=16, d_fmap_base=8, g_norm="pixel"
    ),
}


def run_of(name: str) -> Run:
    return tiny_run(**(COMMON | RUNS[name]))


def born(run: Run, dtype: torch.dtype = torch.float64, device: torch.device = CPU) -> TrainState:
    state = states.create_state(run, device)
    for network in (state.generator, state.discriminator, state.g_ema):
        network.to(dtype)
    state.controllers = {name: dial.to(dtype) for name, dial in state.controllers.items()}
    return state


def batch_of(run: Run, number: int, share: Shard = UNSHARDED) -> Batch:
    """Some images of noise of 8x8, or the share of a process of them."""
    random = torch.Generator().manual_seed(number)
    n, size = run.growth.batch, run.network.size(LEVEL)
    images = torch.randint(
        256, (n, *size, run.network.channels), generator=random, dtype=torch.uint8
    )
    labels, drawn = torch.eye(3)[torch.randint(3, (2, n), generator=random)]
    rows = torch.from_numpy(select_shard_rows(run, n, share))
    return Batch(images[rows], labels[rows], drawn[rows], rows, share)


def iterations(
    run: Run,
    state: TrainState,
    count: int,
    split: BatchSplit = FULL_BATCH,
    share: Shard = UNSHARDED,
    steps: Steps | None = None,
) -> Statistics:
    """Train through a fade, at learning rates that change; return the last statistics.

    Args:
        steps: Instead of plain ones with this split.
    """

    def rate(of_stage: float) -> float:
        return torch.tensor(of_stage * 0.9**number).item()  # as exact in a tensor as without

    steps = steps or make_steps(split)
    stage = schedule.stage_at(run.growth, run.network, 10**9)
    weight = next(state.generator.parameters())
    dtype, device = weight.dtype, weight.device
    for number in range(count):
        alpha = torch.tensor(0.3 + 0.05 * number, dtype=dtype, device=device)
        position = LevelAlpha(LEVEL, alpha if run.network.grows else None)
        batch = batch_of(run, number, share).to(device)
        discriminator = cast(discriminator_inputs(run, batch, position, state.images_seen), dtype)
        statistics = steps.discriminator(state, run, position, rate(stage.d_lr), discriminator)
        state.images_seen += stage.batch
        drawn = cast(generator_inputs(run, batch, position, state.images_seen), dtype)
        statistics |= steps.generator(state, run, position, rate(stage.g_lr), drawn)
    return statistics


def cast(inputs: Any, dtype: torch.dtype) -> Any:
    return torch.utils._pytree.tree_map_only(
        Tensor, lambda x: x.to(dtype) if x.is_floating_point() else x, inputs
    )


def tensors(state: TrainState) -> dict[str, Tensor]:
    """All weights, moments and controllers, by name."""
    found = {f"dials.{name}": value for name, value in state.controllers.items()}
    for part, network in state.networks.items():
        found |= {f"{part}.{name}": value for name, value in network.state_dict().items()}
    for part in ("g_optimizer", "d_optimizer"):
        found |= {
            f"{part}.{number}.{name}": value
            for number, moments in getattr(state, part).state_dict()["state"].items()
            for name, value in moments.items()
        }
    return found


@dataclass(frozen=True)
class Recorded(BatchSplit):
    """A split that keeps the gradients that it returns."""

    seen: list[list[Tensor]] = field(default_factory=list)

    def gradients(self, *arguments: Any) -> Gradients:
        found = super().gradients(*arguments)
        self.seen.append([each.clone() for each in found.of_weights if each is not None])
        return found


def relative_error(ours: list[list[Tensor]], theirs: list[list[Tensor]]) -> float:
    """The largest difference of gradients of a network, relative to their norm."""
    assert len(ours) == len(theirs)
    errors = []
    for one, other in zip(ours, theirs, strict=True):
        difference = [a - b for a, b in zip(one, other, strict=True)]
        errors.append(nn.utils.get_total_norm(difference) / nn.utils.get_total_norm(other))
    return float(max(errors))


class Threads:
    """Processes played by threads, whose sums are those of gloo but for the order."""

    def __init__(self, size: int) -> None:
        self.size, self._barrier = size, threading.Barrier(size, timeout=60)
        self._box: list[Any] = [None] * size

    def exchanged(self, rank: int, value: Any) -> list[Any]:
        """The values of all, in the order of their ranks."""
        self._box[rank] = value
        self._barrier.wait()
        found = list(self._box)
        self._barrier.wait()
        return found

    def run(self, work: Callable[[Group], Any]) -> list[Any]:
        """What the work returns in each rank."""
        results: list[Any] = [None] * self.size

        def as_rank(rank: int) -> None:
            try:
                results[rank] = work(_Rank(self, rank))
            except Exception as error:
                results[rank] = error
                self._barrier.abort()

        threads = [threading.Thread(target=as_rank, args=(rank,)) for rank in range(self.size)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for result in results:
            if isinstance(result, Exception) and not isinstance(
                result, threading.BrokenBarrierError
            ):
                raise result
        return results


class _Rank(Group):
    def __init__(self, threads: Threads, rank: int) -> None:
        self._threads, self.rank, self.size = threads, rank, threads.size
        self.messages = 0

    def all_reduce(self, tensor: Tensor) -> None:
        self.messages += 1
        parts = self._threads.exchanged(self.rank, tensor.clone())
        tensor.copy_(torch.stack(parts).sum(dim=0))

    def broadcast(self, tensor: Tensor) -> None:
        tensor.detach().copy_(self._threads.exchanged(self.rank, tensor.detach().clone())[0])

    def any(self, flag: bool) -> bool:
        return any(self._threads.exchanged(self.rank, flag))

    def broadcast_text(self, words: str) -> str:
        told: str = self._threads.exchanged(self.rank, words)[0]
        return told

    def barrier(self) -> None:
        self._threads.exchanged(self.rank, None)
