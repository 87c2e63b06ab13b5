"""`progan.train`: train in Python, in this process, as train.py does."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from progan import presets, run_directory
from progan.config import override
from progan.data.loader import compute_cache_budget_bytes
from progan.errors import UserError
from progan.runtime.devices import choose_device, set_precision
from progan.runtime.distributed import SINGLE_PROCESS
from progan.runtime.lock import exclusive_lock
from progan.runtime.log import Log
from progan.runtime.signals import StopSignal
from progan.runtime.torch_settings import require_compile_cache_or_replace, set_cpu_threads
from progan.training.acceleration import COMPILING, prepare_execution
from progan.training.hooks import Callback
from progan.training.loop import TrainContext
from progan.training.loop import train as run_loop
from progan.training.plan import list_startup_notes
from progan.training.precision import require_precision
from progan.training.start import resolve_new_run
from progan.training.state import create_state


def train(
    data: Path,
    preset: str,
    outdir: Path,
    device_name: str,
    callbacks: Sequence[Callback],
    max_hours: float | None,
    settings: Mapping[str, Any],
) -> Path:
    """Train a new run, and return its directory; see `progan.train`."""
    override(presets.preset(preset), settings)  # unknown names and wrong values first
    run, dataset, _ = resolve_new_run(preset, data, None, dict(settings))
    assert dataset is not None
    if run.output.metrics:
        raise UserError("Metrics are measured by progan.measure, after the training.")
    device = choose_device(device_name)
    require_compile_cache_or_replace(needed=run.acceleration in COMPILING)
    require_precision(run, device)
    state = create_state(run, device)
    directory = run_directory.create_run(outdir, dataset.name, run)
    set_precision(run.precision)
    set_cpu_threads(run.threads)
    with exclusive_lock(directory, "is being trained"):
        log = Log(directory / run_directory.LOG_FILE)
        for line in list_startup_notes(run, settings, device):
            log(line)
        execution = prepare_execution(run, state, device, log, SINGLE_PROCESS)
        with StopSignal(max_hours or math.inf) as interrupts:
            context = TrainContext(
                run=run, dataset=dataset, directory=directory, device=device, log=log,
                interrupts=interrupts, steps=execution.steps, expected=execution.expected,
                device_data_bytes=compute_cache_budget_bytes(run.device_data_gib, device),
                callbacks=tuple(callbacks),
            )  # fmt: skip
            run_loop(context, state)
    return directory
