"""`progan.train`: train in Python, in this process, as train.py does."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from progan import run_directory
from progan.aliases import TRAIN_ALIASES, TRAIN_DIFFERENCES
from progan.command import hyphenate
from progan.config import (
    clear_tables_of_given,
    convert_python_values,
    require_settable,
    require_trained_weights_to_freeze,
)
from progan.data.loader import compute_cache_budget_bytes
from progan.errors import UserError
from progan.options import group_offered_fields
from progan.runtime.devices import choose_device, set_precision, use_device
from progan.runtime.lock import exclusive_lock
from progan.runtime.log import Log
from progan.runtime.signals import StopSignal
from progan.runtime.text import suggest_nearest
from progan.runtime.torch_settings import (
    require_compile_cache_or_replace,
    restore_process_settings,
    set_up_cpu,
)
from progan.training.acceleration import COMPILING, prepare_execution
from progan.training.hooks import Callback
from progan.training.loop import End, TrainContext
from progan.training.loop import train as run_loop
from progan.training.plan import list_startup_notes
from progan.training.precision import require_precision
from progan.training.start import require_batch_split, resolve_new_run
from progan.training.state import TrainState, create_state

PARAMETERS = ("data", "preset", "outdir", "device", "max_hours", "callbacks")  # no settings


def train(
    data: Path,
    preset: str,
    outdir: Path,
    device_name: str | torch.device,
    callbacks: Sequence[Callback],
    max_hours: float | None,
    settings: Mapping[str, Any],
) -> Path:
    """Train a new run, and return its directory; see `progan.train`."""
    require_settable(settings)
    _require_known_names(settings)
    _require_hours(max_hours)
    settings = clear_tables_of_given(convert_python_values(settings))
    # Metrics that only the preset names would refuse it; those of the caller are refused below.
    without_metrics = {"metrics": "", "best": ""}
    run, dataset, _ = resolve_new_run(preset, data, None, without_metrics | settings)
    assert dataset is not None
    require_trained_weights_to_freeze(run)
    require_batch_split(run, 1)
    if run.output.metrics or run.output.best:
        raise UserError("Metrics are measured by progan.measure, after the training.")
    device = choose_device(device_name)
    compiles = run.acceleration in COMPILING
    with restore_process_settings(compiles=compiles):
        require_compile_cache_or_replace(needed=compiles)
        require_precision(run, device)
        state = create_state(run, device)
        directory = run_directory.create_run(outdir, dataset.name, run)
        with exclusive_lock(directory, "is being trained"):
            set_precision(run.precision)
            set_up_cpu(run.threads)
            log = Log(directory / run_directory.LOG_FILE)
            for line in list_startup_notes(run, settings, device):
                log(line)
            context = TrainContext(
                run=run, dataset=dataset, directory=directory, device=device, log=log,
                callbacks=tuple(callbacks),
            )  # fmt: skip
            train_until_stopped(context, state, max_hours)
    return directory


def _require_known_names(settings: Iterable[str]) -> None:
    """Raise UserError for names that are no settings, each with the one that it may stand for."""
    known = {field.name for fields in group_offered_fields().values() for field in fields}
    if unknown := sorted(set(settings) - known):
        raise UserError(
            "\n".join(
                f"Unknown setting: {name}."
                f"{_suggest_name(name, known) or ' train.py --help-all lists the settings.'}"
                for name in unknown
            )
        )


def _suggest_name(name: str, known: set[str]) -> str:
    """Return which name stands for one of other projects or is near, with a blank before it."""
    names, option = {*known, *PARAMETERS}, hyphenate(name)
    alias = TRAIN_ALIASES.get(option, "").replace("-", "_")
    if alias in names:
        return f" Did you mean {alias}?"
    if option == "lr":
        return " Did you mean g_lr and d_lr?"
    difference = TRAIN_DIFFERENCES.get(option)
    return f" {difference}" if difference else suggest_nearest(name, names)


def _require_hours(max_hours: object) -> None:
    """Raise UserError unless a time limit is None or a number above 0."""
    is_positive = isinstance(max_hours, Real) and float(max_hours) > 0
    if max_hours is not None and not is_positive:
        raise UserError(
            f"max_hours must be more than 0, a number of hours such as 1.5, not {max_hours!r}."
        )


def train_until_stopped(
    context: TrainContext,
    state: TrainState,
    max_hours: float | None,
    local_processes: int = 1,
    *,
    ends_process: bool = False,
) -> End:
    """Train to the end of a run, a signal or the time limit, in the fastest way of the machine.

    Args:
        context: Its `interrupts`, `steps`, `expected` and `device_data_bytes` are set here.
        local_processes: Processes that share this machine.
        ends_process: The process is about to end, and may ignore signals afterwards.
    """
    run, device, group = context.run, context.device, context.group
    with use_device(device):
        execution = prepare_execution(run, state, device, context.log, group, local_processes)
        with StopSignal(
            math.inf if max_hours is None else max_hours,
            announce=group.is_main,
            ends_process=ends_process,
        ) as interrupts:
            prepared = dataclasses.replace(
                context, interrupts=interrupts, steps=execution.steps, expected=execution.expected,
                device_data_bytes=compute_cache_budget_bytes(run.device_data_gib, device),
            )  # fmt: skip
            return run_loop(prepared, state)
