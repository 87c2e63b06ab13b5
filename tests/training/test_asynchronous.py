"""Training asks a GPU for one step after the other and never waits for it between two looks.

On machines without a GPU too: see `fake_gpu`.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from progan import schedule
from progan.batch_split import UNSHARDED, Shard
from progan.config import Run
from progan.losses import LOSSES
from progan.networks import NETWORKS
from progan.runtime.distributed import Group
from progan.schedule import Stage
from progan.training import guard, preflight
from progan.training.cuda_graph import WARM_UP_STEPS, CapturedGraph, cuda_graph_steps
from progan.training.gradients import BatchSplit, MicroBatchSizes, split_rows_on_device
from progan.training.guard import CHECK_ROUNDS, Guard
from progan.training.loop import train_round
from progan.training.state import create_state
from progan.training.step import EAGER_STEPS, Steps, make_steps
from progan.training.step_stats import StepStats
from tests.builders import tiny_run
from tests.training.fake_gpu import GPU, Asynchronous, NotAsynchronous, fake_gpu

AUTOENCODERS_ONLY = ("ebgan", "began")
COMMON: dict[str, Any] = dict(resolution=8, batch=8, fmap_base=32, stddev_group=4)
KINDS = [
    (kind, objective)
    for kind, objective in itertools.product(NETWORKS, LOSSES)
    if kind == "autoencoder" or objective not in AUTOENCODERS_ONLY
]
OPTIONS: dict[str, dict[str, Any]] = {
    "labels": dict(label_size=3, mirror=True),
    "adaptive augmentation of all kinds": dict(
        augment="adaptive",
        augment_p=0.4,
        augment_stretch=0.1,
        augment_kinds="flip,translate,zoom,stretch,rotate,shift,color",
    ),
    "fp16": dict(precision="fp16"),
    "fp16, relativistic": dict(precision="fp16", objective="relativistic", label_size=3),
    "bf16": dict(precision="bf16"),
    "freeze-D": dict(freeze_d=1),
    "gradient at the trained resolution": dict(gp_resolution="trained"),
    "dropout": dict(dropout=0.3),
    "adaptive noise": dict(objective="lsgan", adaptive_noise=True, fake_weight=0.1),
    "minibatch discrimination": dict(minibatch_kernels=4, stddev_group=0),
    "mixed batches": dict(objective="gan", mixed_batches=True, label_noise=0.1),
    "separate updates": dict(objective="gan", separate_updates=True, label_smoothing=0.1),
    "RMSProp, clipped": dict(
        objective="wgan", optimizer="rmsprop", clip_weights=0.01, clip_gradients=0.1
    ),
    "batch normalisation": dict(kind="dcgan", g_norm="batch", d_norm="batch"),
    "layer normalisation": dict(g_norm="batch", d_norm="layer"),
    "not equalized, fixed augmentation": dict(equalized_lr=False, augment="fixed", augment_p=0.3),
}


def stages(run: Run) -> list[Stage]:
    """The last level, as it is faded in and after that."""
    return [phase.stage for phase in schedule.iterate_phases(run.growth, run.network)][-2:]


def train_asynchronously(
    run: Run, steps: Steps = EAGER_STEPS, *, shard: Shard = UNSHARDED, warm_up: int = 0
) -> None:
    """An iteration at each stage on a fake GPU, after some in which it may be waited for."""
    with fake_gpu():
        state = create_state(run, GPU)
        for stage in stages(run):
            batch = preflight.noise_batch(run, stage, shard).to(GPU)
            for _ in range(warm_up):
                preflight.run_dummy_iteration(state, run, stage, batch, steps)
            with Asynchronous():
                preflight.run_dummy_iteration(state, run, stage, batch, steps)


@pytest.mark.parametrize("kind, objective", KINDS)
def test_steps_of_every_kind_and_objective_wait_for_nothing(kind: str, objective: str) -> None:
    train_asynchronously(tiny_run(**COMMON, kind=kind, objective=objective))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_no_option_makes_a_step_wait(options: dict[str, Any]) -> None:
    train_asynchronously(tiny_run(**COMMON | options))


@pytest.fixture
def no_cached_rows() -> Iterator[None]:
    """Tensors of one fake GPU are strange to the next one."""
    split_rows_on_device.cache_clear()
    yield
    split_rows_on_device.cache_clear()


@pytest.mark.usefixtures("no_cached_rows")
@pytest.mark.parametrize("precision", ("fp32", "fp16"))
def test_micro_batches_wait_once_at_each_level(precision: str) -> None:
    run = tiny_run(
        **COMMON, objective="gan", label_size=3, augment="adaptive", augment_kinds="flip",
        precision=precision, micro_batch=4,
    )  # fmt: skip
    sizes = MicroBatchSizes(run, pytest.fail)
    train_asynchronously(run, make_steps(BatchSplit(sizes)), warm_up=1)


class Two(Group):
    """One of two processes, which hears nothing of the other one."""

    size = 2


@pytest.mark.usefixtures("no_cached_rows")
def test_processes_that_share_a_batch_wait_for_each_other_and_not_for_their_gpu() -> None:
    run = tiny_run(**COMMON, label_size=3)
    train_asynchronously(run, make_steps(BatchSplit(group=Two())), shard=Shard(0, 2), warm_up=1)


@pytest.mark.parametrize("precision", ("fp32", "bf16", "fp16"))
def test_a_step_that_is_recorded_waits_for_nothing(precision: str) -> None:
    run = tiny_run(
        **COMMON, objective="gan", augment="adaptive", augment_kinds="flip", label_size=3,
        precision=precision,
    )  # fmt: skip
    recorded = list[Tensor]()

    def record(work: Callable[[], Tensor]) -> CapturedGraph:
        recorded.append(work())
        return CapturedGraph(lambda: None, recorded[-1])

    steps = cuda_graph_steps(EAGER_STEPS, lambda: record, pytest.fail)
    train_asynchronously(run, steps, warm_up=WARM_UP_STEPS)
    assert len(recorded) == 2 * len(stages(run)) and all(
        each.device.type == "cuda" for each in recorded
    )


def test_rounds_wait_only_where_the_guard_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "copy_to_cpu", lambda state, run: {})
    run = tiny_run(**COMMON, augment="adaptive", d_repeats=2, minibatch_repeats=1)
    stage = stages(run)[0]
    with fake_gpu():
        state, meter = create_state(run, GPU), StepStats()
        batch = preflight.noise_batch(run, stage, UNSHARDED).to(GPU)
        look = Guard(run, state, None, pytest.fail, writes=False)  # type: ignore[arg-type]
        with Asynchronous():
            for number in range(CHECK_ROUNDS - 1):
                if number < 1:  # all are alike
                    train_round(run, state, stage, itertools.repeat(batch), meter)
                look.check(state, stage, meter, now=False)
            with pytest.raises(NotAsynchronous, match="local_scalar_dense.*step_stats.py"):
                look.check(state, stage, meter, now=False)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ("labels", "fp16", "adaptive augmentation of all kinds"))
def test_a_real_gpu_is_not_waited_for(name: str) -> None:
    """As torch itself sees it; also where waits are inside of its operations."""
    run = tiny_run(**COMMON | OPTIONS[name])
    state, stage = create_state(run, GPU), stages(run)[0]
    batch = preflight.noise_batch(run, stage, UNSHARDED).to(GPU)
    preflight.run_dummy_iteration(state, run, stage, batch, EAGER_STEPS)
    torch.cuda.set_sync_debug_mode("error")
    try:
        preflight.run_dummy_iteration(state, run, stage, batch, EAGER_STEPS)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def on_gpu(*size: int) -> Tensor:
    return torch.ones(size, device=GPU)


WAITS: dict[str, Callable[[], object]] = {
    "item": lambda: on_gpu().item(), "bool": lambda: bool(on_gpu() > 0),
    "float": lambda: float(on_gpu()), "list": lambda: on_gpu(3).tolist(),
    "mask": lambda: on_gpu(3)[on_gpu(3) > 0],
    "mask set": lambda: on_gpu(3).__setitem__(on_gpu(3) > 0, on_gpu(3)),
    "nonzero": lambda: on_gpu(3).nonzero(),
    "masked_select": lambda: on_gpu(3).masked_select(on_gpu(3) > 0),
    "unique": lambda: on_gpu(3).unique(), "equal": lambda: torch.equal(on_gpu(3), on_gpu(3)),
    "to the CPU": lambda: on_gpu(3).cpu(), "from the CPU": lambda: torch.ones(3).to(GPU),
    "copy_": lambda: on_gpu(3).copy_(torch.ones(3)),
    "tensor": lambda: torch.tensor(0.5, device=GPU), "index by a list": lambda: on_gpu(3)[[0, 1]],
    "mixture": lambda: on_gpu(3) + torch.ones(3),
    "mixture with a 0-d tensor": lambda: on_gpu(3) + torch.tensor(2.0),
    "generator of the CPU": lambda: torch.rand(
        3, generator=torch.Generator().manual_seed(1), device=GPU
    ),
}  # fmt: skip


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_waits_are_found(wait: Callable[[], object]) -> None:
    with fake_gpu(), Asynchronous(), pytest.raises(NotAsynchronous):
        wait()


NOT_REPEATABLE = {"scatter_add", "grid_sampler_2d_backward", "reflection_pad2d_backward"}
WITHOUT_FIXED_ORDER = NOT_REPEATABLE | {
    "_adaptive_avg_pool2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_bicubic2d_backward",
    "reflection_pad1d_backward",
    "replication_pad2d_backward",
    "max_pool2d_with_indices_backward",
    "cumsum",
    "histc",
    "bincount",
    "index_add",
    "index_add_",
    "scatter_add_",
    "put_",
    "median",
}


class Names(TorchDispatchMode):
    """The operations that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = set[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.add(func._overloadpacket.__name__)
        return func(*args, **kwargs or {})


@pytest.mark.parametrize(
    "options, expected",
    (
        (dict(label_size=3), set()),
        (dict(kind="autoencoder", objective="ebgan"), set()),
        (OPTIONS["adaptive augmentation of all kinds"], NOT_REPEATABLE),
    ),
    ids=("networks", "autoencoder", "augmentation"),
)
def test_only_augmentation_adds_up_in_any_order_on_a_gpu(
    options: dict[str, Any], expected: set[str]
) -> None:
    """Beside convolutions; by torch's list of what has no fixed order on CUDA."""
    run = tiny_run(**COMMON | options)
    with fake_gpu():
        state, stage = create_state(run, GPU), stages(run)[0]
        batch = preflight.noise_batch(run, stage, UNSHARDED).to(GPU)
        with Names() as names:
            preflight.run_dummy_iteration(state, run, stage, batch, EAGER_STEPS)
    assert names.seen & WITHOUT_FIXED_ORDER == expected


def test_what_does_not_wait_is_let_through() -> None:
    with fake_gpu(), Asynchronous():
        random = torch.Generator(GPU).manual_seed(2)
        x = torch.rand(3, 3, generator=random, device=GPU, requires_grad=True)
        loss = (torch.where(x > 0.5, 1.0, x) * 2 + x[torch.arange(3, device=GPU)]).sum()
        (gradient,) = torch.autograd.grad(loss, [x])
        assert gradient.device.type == "cuda"
        assert torch.ones(2).sum().device.type == "cpu"
