"""Compare a device with the CPU: the part `correctness` of `benchmarks/gpu.py`.

Small networks are trained for one iteration on the device, and in float64 on the CPU, from the same
weights, images and random numbers. Every function is a task of `benchmarks/isolated.py`; each
figure comes with its limit, and with `ok`.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from benchmarks.isolated import Recorder
from benchmarks.loader import create_portraits
from benchmarks.workload import stage_at, stay_at_resolution
from progan import presets
from progan.batch_split import UNSHARDED
from progan.config import Run, override
from progan.data.loader import prefetch_batches, read_batches
from progan.runtime import devices
from progan.training import preflight
from progan.training.checkpoint import load_state, save_state_and_delete_oldest
from progan.training.cuda_graph import cuda_graph_capture, cuda_graph_steps
from progan.training.state import TrainState, create_state
from progan.training.step import EAGER_STEPS, Statistics, Steps
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs
from tests.training.tape import tapes

CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[1]
# Largest relative error of a gradient, measured over a network. What the CPU has in fp32 and bf16
# is below half of it (docs/performance.md); tf32 and fp16 have 10 bits, bf16 has 7.
LIMITS = {"fp32": 1e-4, "tf32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}
START_SCALE = 8.0  # log2 of the loss scale of fp16: with 2^16 the first steps overflow


def small_run(precision: str = "fp32") -> Run:
    """Narrow networks up to 32x32, with labels.

    Adam's epsilon is large, so that a step is proportional to the gradient; with a small one it
    is the sign of each gradient, of which a rounding error near 0 makes the opposite.
    """
    return override(
        presets.preset("v2-1gpu"),
        {
            "resolution": 32, "latent_size": 32, "fmap_base": 512, "fmap_max": 32, "label_size": 3,
            "batch": 8, "batch_at": (), "precision": precision, "epsilon": 1.0, "g_lr": 0.1,
            "g_lr_at": (), "d_lr": 0.1, "d_lr_at": (), "ema_decay": 0.5,
        },
    )  # fmt: skip


def compare_with_float64(
    device: str, resolution: int, precisions: list[str], *, record: Recorder
) -> None:
    """Compare losses, gradients and updates of an iteration with float64 on the CPU."""
    place = devices.choose_device(device)
    for alpha in (None, 0.3) if resolution > 4 else (None,):
        expected = _iteration_results(small_run(), resolution, alpha, CPU, torch.float64)
        for precision in precisions:
            name = f"{precision}{'' if alpha is None else ' fading'}"
            if name in record.done:
                continue
            devices.set_precision(precision)
            found = _iteration_results(
                small_run(precision), resolution, alpha, place, torch.float32
            )
            errors = {what: relative_error(found[what], expected[what]) for what in expected}
            limit = LIMITS[precision]
            record(
                name=name,
                resolution=resolution,
                errors=errors,
                limit=limit,
                ok=all(error <= limit for error in errors.values()),
            )


def _iteration_results(
    run: Run, resolution: int, alpha: float | None, device: torch.device, dtype: torch.dtype
) -> dict[str, list[Tensor]]:
    """Return statistics, gradients and updates of an iteration, in float64 on the CPU."""
    state = create_state(run, CPU)
    before = {
        name: [weight.detach().double() for weight in network.parameters()]
        for name, network in _trained_networks(state)
    }
    state = create_state(run, device)
    for network in _networks(state):
        network.to(dtype)
    for name, value in state.controllers.items():
        value.fill_(START_SCALE if name.startswith("loss-scale") else value.item())
    statistics = iterate_on_equal_inputs(state, run, resolution, alpha, dtype)
    names = [name for name in statistics if not name.startswith("dials/")]
    outcome = {"statistics": [torch.stack([statistics[name].double().cpu() for name in names])]}
    for name, optimizer in (("generator", state.g_optimizer), ("discriminator", state.d_optimizer)):
        outcome[f"{name} gradients"] = [each.double().cpu() for each in gradients(optimizer)]
    for name, network in _trained_networks(state):
        outcome[f"{name} updates"] = [
            weight.detach().double().cpu() - old
            for weight, old in zip(network.parameters(), before[name], strict=True)
        ]
    return outcome


def _networks(state: TrainState) -> Iterator[torch.nn.Module]:
    yield from (state.generator, state.discriminator, state.g_ema)


def _trained_networks(state: TrainState) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield the networks but g_ema, which averages the initial generator in the first iteration."""
    yield from (("generator", state.generator), ("discriminator", state.discriminator))


def gradients(optimizer: Optimizer) -> list[Tensor]:
    """Return the gradients of the last step: with beta1 = 0 they are Adam's first moments."""
    (group,) = optimizer.param_groups
    assert group["betas"][0] == 0
    return [
        optimizer.state[weight]["exp_avg"]
        for weight in group["params"]
        if weight in optimizer.state
    ]


def iterate_on_equal_inputs(
    state: TrainState,
    run: Run,
    resolution: int,
    alpha: float | None,
    dtype: torch.dtype,
    steps: Steps = EAGER_STEPS,
) -> Statistics:
    """Train for one iteration on images and random numbers generated on the CPU."""
    stage, device = stage_at(run, resolution), next(state.generator.parameters()).device
    batch = preflight.noise_batch(run, stage, UNSHARDED)
    cpu_position = LevelAlpha(stage.level, None if alpha is None else torch.tensor(alpha))

    def move(value: Any) -> Any:
        return tree_map_only(
            Tensor, lambda x: x.to(device, dtype if x.is_floating_point() else x.dtype), value
        )

    position = LevelAlpha(stage.level, move(cpu_position.alpha))
    d_inputs = move(discriminator_inputs(run, batch, cpu_position, state.images_seen))
    statistics = steps.discriminator(state, run, position, stage.d_lr, d_inputs)
    state.images_seen += stage.batch
    g_inputs = move(generator_inputs(run, batch, cpu_position, state.images_seen))
    return statistics | steps.generator(state, run, position, stage.g_lr, g_inputs)


def relative_error(found: Iterable[Tensor], expected: Iterable[Tensor]) -> float:
    """Return the norm of all differences relative to the norm of the second."""
    pairs = list(zip(found, expected, strict=True))
    difference = sum(float((a - b).square().sum()) for a, b in pairs)
    return float((difference / sum(float(b.square().sum()) for _, b in pairs)) ** 0.5)


def compare_graph(device: str, resolutions: list[int], *, record: Recorder) -> None:
    """Compare ten iterations recorded as CUDA graphs with ten plain ones, in float32."""
    place = devices.choose_device(device)
    devices.set_deterministic()
    recorder = cuda_graph_capture if place.type == "cuda" else tapes
    for resolution in resolutions:
        run, messages = small_run(), list[str]()
        recorded, plain = (
            _train(run, place, resolution, 10, steps)
            for steps in (cuda_graph_steps(EAGER_STEPS, recorder, messages.append), EAGER_STEPS)
        )
        error = relative_error(_weights(recorded), _weights(plain))
        record(
            name=f"graph {resolution}", resolution=resolution, error=error, limit=1e-5,
            messages=messages, ok=error <= 1e-5 and not messages,
        )  # fmt: skip


def _train(run: Run, device: torch.device, resolution: int, count: int, steps: Steps) -> TrainState:
    state = create_state(run, device)
    for _ in range(count):
        iterate_on_equal_inputs(state, run, resolution, None, torch.float32, steps)
    return state


def _weights(state: TrainState) -> list[Tensor]:
    return [weight.detach() for network in _networks(state) for weight in network.parameters()]


def compare_resumed(device: str, *, record: Recorder) -> None:
    """Compare six iterations with three, a state file, and three more: bits must be equal."""
    place, run = devices.choose_device(device), stay_at_resolution(small_run(), 16)
    devices.set_deterministic()
    straight = _train(run, place, 16, 6, EAGER_STEPS)
    half = _train(run, place, 16, 3, EAGER_STEPS)
    with tempfile.TemporaryDirectory() as folder:
        resumed = load_state(save_state_and_delete_oldest(Path(folder), half, run), run, place)
    for _ in range(3):
        iterate_on_equal_inputs(resumed, run, 16, None, torch.float32)
    same = all(map(torch.equal, _weights(resumed), _weights(straight)))
    record(
        name="resume",
        same_bits=same,
        ok=same,
        error=relative_error(_weights(resumed), _weights(straight)),
    )


def compare_batches(device: str, *, record: Recorder) -> None:
    """Compare batches of the side stream and of device memory with those of the files."""
    place, run = (
        devices.choose_device(device),
        stay_at_resolution(override(small_run(), {"label_size": 0}), 16),
    )
    with tempfile.TemporaryDirectory() as folder:
        dataset = create_portraits(Path(folder) / "portraits", 16, 64, compress=False)
        expected = [batch.images for batch in islice(read_batches(dataset, run, 0), 20)]
        for name, budget in (("side stream", 0), ("device memory", 2**30)):
            with closing(prefetch_batches(dataset, run, place, 0, budget_bytes=budget)) as batches:
                found = [batch.images for batch in islice(batches, 20)]
            equal = all(
                each.device.type == place.type and torch.equal(each.cpu(), other)
                for each, other in zip(found, expected, strict=True)
            )
            record(name=name, batches=len(found), ok=equal)


def run_gpu_tests(most_files: int, *, record: Recorder) -> None:
    """Run the tests that need a GPU by pytest, of so many files; without a GPU they are skipped."""
    files = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        if "mark.gpu" in file.read_text("utf-8")
    ]
    finished = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-rfE",
            "--tb=line", *files[:most_files],
        ],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )  # fmt: skip
    counts = {
        outcome: int(count)
        for count, outcome in re.findall(r"(\d+) (passed|failed|skipped|error)", finished.stdout)
    }
    failures = [
        line for line in finished.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))
    ]
    record(
        name="tests",
        counts=counts,
        failures=failures,
        ok=finished.returncode == 0,
        message="" if counts else finished.stdout[-2000:],
    )
