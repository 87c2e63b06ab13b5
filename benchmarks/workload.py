"""Runs and stages that benchmarks measure, the cost of their steps, a stopwatch, and peers.

Peers are training steps of other projects, from the user's own checkouts, at our widths. Their
code is unchanged; incompatibilities with today's torch are patched here.
"""

import builtins
import contextlib
import importlib
import sys
import time
import typing
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from progan import schedule
from progan.config import Network, Run, override
from progan.errors import UserError
from progan.runtime import devices
from progan.schedule import Stage
from progan.sizes import MIN_LEVEL
from progan.training.cuda_graph import WARM_UP_STEPS
from progan.training.memory import META, meta_inputs, meta_state
from progan.training.step import discriminator_step, generator_step
from progan.training.step_inputs import LevelAlpha

BLOCKS = 5  # each is timed as a whole, as training does not synchronise between iterations


def measure_seconds(
    work: Callable[[], object], device: torch.device, repetitions: int = 1
) -> float:
    """Return the seconds of some calls, with the device synchronised before and after."""
    devices.synchronize(device)
    start = time.perf_counter()
    for _ in range(repetitions):
        work()
    devices.synchronize(device)
    return time.perf_counter() - start


def time_blocks(work: Callable[[], object], device: torch.device, seconds: float) -> list[float]:
    """Return the mean seconds of one call in each of BLOCKS blocks, after a warm-up."""
    for _ in range(WARM_UP_STEPS + 1):
        one = measure_seconds(work, device)
    count = max(round(seconds / BLOCKS / one), 1)
    return [measure_seconds(work, device, count) / count for _ in range(BLOCKS)]


def stages_by_resolution(run: Run) -> dict[int, Stage]:
    """Return the stages of a run by resolution, fully faded in."""
    return {
        phase.stage.resolution: phase.stage
        for phase in schedule.iterate_phases(run.growth, run.network)
        if not phase.stage.fading
    }


def stage_at(run: Run, resolution: int) -> Stage:
    """Return the stage of a run at one resolution, fully faded in."""
    return stages_by_resolution(run)[resolution]


def end_at_resolution(run: Run, resolution: int) -> Run:
    """Return the run with another final resolution."""
    initial = min(resolution, run.growth.initial_resolution)
    return override(run, {"resolution": resolution, "initial_resolution": initial})


def stay_at_resolution(run: Run, resolution: int) -> Run:
    """Return the run with one resolution only, practically without end."""
    return override(
        run, {"resolution": resolution, "total_kimg": 1e9, "initial_resolution": resolution}
    )


def with_variant(run: Run, variant: str) -> Run:
    """Return the run with acceleration and precision of a variant such as 'eager-graph-bf16'."""
    acceleration, precision = variant.rsplit("-", 1)
    return override(run, {"acceleration": acceleration, "precision": precision})


class ProductCounter(TorchDispatchMode):
    """Count the FLOPs of convolutions and matrix products, and the elements they read and write.

    That is the least memory traffic: all other work fused into these operators.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func.overloadpacket)
        if count is not None:
            self.flops += count(*args, **(kwargs or {}), out_val=out)
            self.elements += sum(
                x.numel() for x in tree_leaves((args, out)) if isinstance(x, Tensor)
            )
        return out


@lru_cache
def step_cost(run: Run, stage: Stage) -> tuple[int, int]:
    """Return FLOPs and moved elements of an iteration, counted on tensors without data."""
    state = meta_state(run)
    discriminator, generator = meta_inputs(run, stage, stage.batch)
    position = LevelAlpha.of(stage, META)
    with ProductCounter() as products:
        for _ in range(run.growth.d_repeats):
            discriminator_step(state, run, position, stage.d_lr, discriminator)
        generator_step(state, run, position, stage.g_lr, generator)
    return products.flops, products.elements


Step = Callable[[Tensor], None]  # reals float32 [N, C, H, W] -> a step of D and one of G


def peer_step(
    checkout: Path, network: Network, level: int, device: torch.device
) -> tuple[str, Step]:
    """Return the name of the project in a directory, and its step at a level, fully faded in.

    Raises UserError for an unknown project.
    """
    for name, (file, step_of) in PEERS.items():
        if (checkout / file).is_file():
            with _on_path(checkout), contextlib.redirect_stdout(None):
                return name, step_of(network, level, device)
    raise UserError(
        f"{checkout} is no checkout of {' or '.join(PEERS)}. Clone one of them, and "
        "name its directory with --peer."
    )


def _pytorch_gan_zoo(network: Network, level: int, device: torch.device) -> Step:
    """Return `optimizeParameters` of models/base_GAN.py."""
    models = importlib.import_module("models.progressive_gan")
    # Its betas are [0, 0.99], and Adam takes floats only.
    models.optim = SimpleNamespace(
        Adam=lambda weights, betas, lr: torch.optim.Adam(
            weights, lr=lr, betas=(float(betas[0]), float(betas[1]))
        )
    )
    gan = models.ProgressiveGAN(
        dimLatentVector=network.latent_size, depthScale0=network.feature_maps(MIN_LEVEL),
        miniBatchStdDev=bool(network.stddev_group), lossMode="WGANGP", lambdaGP=10.0,
        epsilonD=0.001, baseLearningRate=0.001, useGPU=device.type == "cuda",
    )  # fmt: skip
    for above in range(MIN_LEVEL + 1, level + 1):
        gan.addScale(network.feature_maps(above))

    def step(reals: Tensor) -> None:
        gan.optimizeParameters(reals)

    return step


def _pro_gan_pytorch(network: Network, level: int, device: torch.device) -> Step:
    """Return the body of the loop of `ProGAN.train`."""
    # Its annotations use a name that it does not import.
    with _builtin("Tuple", typing.Tuple):  # noqa: UP006
        networks = importlib.import_module("pro_gan_pytorch.networks")
        gan = importlib.import_module("pro_gan_pytorch.gan")
    # torch's method has one more argument now; this is its result without output_size.
    layers = importlib.import_module("pro_gan_pytorch.custom_layers")
    layers.EqualizedConvTranspose2d._output_padding = lambda layer, *_: layer.output_padding
    widths = networks.nf
    networks.nf = partial(widths, fmap_base=network.fmap_base, fmap_max=network.fmap_max)
    try:
        sizes = dict(depth=level, num_channels=network.channels, latent_size=network.latent_size)
        engine = gan.ProGAN(networks.Generator(**sizes), networks.Discriminator(**sizes), device)
    finally:
        networks.nf = widths
    engine._toggle_all_networks("train")
    g_optimizer, d_optimizer = (
        torch.optim.Adam(each.parameters(), lr=0.001, betas=(0.0, 0.99), eps=1e-8)
        for each in (engine.gen, engine.dis)
    )
    loss = gan.WganGP()

    def step(reals: Tensor) -> None:
        latents = torch.randn(len(reals), network.latent_size, device=device)
        engine.optimize_discriminator(loss, d_optimizer, latents, reals, level, 1.0)
        gan.update_average(engine.gen_shadow, engine.gen, beta=0.999)
        engine.optimize_generator(loss, g_optimizer, latents, reals, level, 1.0)

    return step


PEERS: dict[str, tuple[str, Callable[[Network, int, torch.device], Step]]] = {
    "pytorch_GAN_zoo": ("models/progressive_gan.py", _pytorch_gan_zoo),
    "pro_gan_pytorch": ("pro_gan_pytorch/gan.py", _pro_gan_pytorch),
}


@contextlib.contextmanager
def _on_path(directory: Path) -> Iterator[None]:
    sys.path.insert(0, str(directory.resolve()))
    try:
        yield
    finally:
        sys.path.remove(str(directory.resolve()))


@contextlib.contextmanager
def _builtin(name: str, value: object) -> Iterator[None]:
    """Add a name to the builtins of all modules inside the context."""
    setattr(builtins, name, value)
    try:
        yield
    finally:
        delattr(builtins, name)
