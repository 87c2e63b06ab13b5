"""Start or resume the training that train.py was asked for. Imports torch."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import click
import torch

from metrics.options import LOWER_IS_BETTER, parse_metrics
from progan import __version__, run_directory
from progan.cli.processes import LOST, TrainProcess
from progan.cli.run_file import format_run_file
from progan.cli.train import TrainRequest, require_metrics
from progan.command import GIVEN, Interrupted, describe_os_error, describe_out_of_memory
from progan.config import Run, list_config_changes
from progan.data.reader import Dataset
from progan.data.summary import describe_empty_classes
from progan.errors import UserError, get_first_error_line
from progan.invocation import command_line, list_command_words, spell_path
from progan.option_fields import format_changes, format_option_name
from progan.options import NONE
from progan.runtime.devices import describe_device, is_out_of_memory, set_precision
from progan.runtime.distributed import PeerLost, is_launched_by_gpus_option, write_exit_code
from progan.runtime.log import Log, NullLog
from progan.runtime.signals import EXIT_INTERRUPTED, EXIT_RESUMABLE
from progan.runtime.text import escape_controls, format_count
from progan.runtime.torch_settings import require_compile_cache_or_replace, set_up_cpu
from progan.training.acceleration import COMPILING
from progan.training.in_process import train_until_stopped
from progan.training.init_from import Transfer, apply_transfer, describe_transfer
from progan.training.loop import TrainContext
from progan.training.plan import describe_plan, list_dry_run_notes, list_startup_notes
from progan.training.precision import require_precision
from progan.training.resume import (
    load_resumed_state,
    require_planned_phase,
    require_resumable,
    resume_settings,
)
from progan.training.run_length import format_end_message
from progan.training.snapshot_metrics import SnapshotMetric
from progan.training.start import list_dataset_changes, require_batch_split, resolve_new_run
from progan.training.state import TrainState, create_state
from progan.training.state_sync import broadcast_state

if TYPE_CHECKING:
    from metrics.evaluation import MeasurementPlan


class Training(NamedTuple):
    """A run that is ready to be trained.

    Attributes:
        notes: Lines for the log, about its settings and its start.
    """

    run: Run
    dataset: Dataset
    directory: Path
    state: TrainState
    metrics: Mapping[str, SnapshotMetric]
    notes: list[str]


def start_new_run(request: TrainRequest, members: TrainProcess) -> None:
    """Train a new run in a new directory, or print its plan; raises UserError."""
    options, scaled = dict(request.options), request.scale_schedule
    run, dataset, transfer = resolve_new_run(
        request.preset, request.data, request.init_from, options, scaled=scaled
    )
    _require_no_class_named_none(request, dataset)
    require_compile_cache_or_replace(needed=run.acceleration in COMPILING)
    if not (dataset or request.is_plan):
        raise UserError(
            f"Missing option '--data': {request.init_from} does not say on which dataset it was "
            "trained. Name one."
        )
    require_metrics(run)
    require_batch_split(run, _count_processes(request, members))
    if request.is_plan or not dataset:
        if members.is_main:
            _print_plan(run, dataset, members, request, transfer)
        return
    device = members.device
    require_precision(run, device)
    metrics = prepare_metrics(run, dataset, device) if members.is_main else {}
    state = create_state(run, device)
    notes = list_startup_notes(run, options, device, scaled=scaled)
    if transfer:
        notes = [*notes, *describe_transfer(transfer)]
        apply_transfer(state, transfer)
    del transfer  # with all its weights, before days of training
    directory = Path()
    if members.is_main:
        directory = run_directory.create_run(request.outdir, dataset.name, run)
    directory, run = members.broadcast_run(directory, run)
    with members.exclusive_lock(directory):
        members.record_launch(directory)
        _train_and_exit(Training(run, dataset, directory, state, metrics, notes), request, members)


def resume_run(request: TrainRequest, members: TrainProcess) -> None:
    """Continue a run in its directory, or print its plan; raises UserError."""
    options = dict(request.options)
    path, saved = _find_run_to_resume(request) if members.is_main else (Path(), Run())
    path, saved = members.broadcast_run(path, saved)
    directory = path if path.is_dir() else path.parent
    run, dataset = resume_settings(saved, directory, request.data, options)
    _require_no_class_named_none(request, dataset)
    require_compile_cache_or_replace(needed=run.acceleration in COMPILING)
    require_metrics(run)
    require_batch_split(run, _count_processes(request, members))
    if request.is_plan:
        require_planned_phase(path, run)
        return _print_plan(run, dataset, members, request) if members.is_main else None
    device = members.device
    require_precision(run, device)
    with members.exclusive_lock(directory):
        if path.is_dir() and not request.is_restart:
            members.record_launch(directory, request.resumed_path)
        if members.is_main:
            metrics = prepare_metrics(run, dataset, device)
            state, notes = load_resumed_state(path, saved, run, device, metrics)
            if path.is_file():  # from here on the newest state is this one, or follows from it
                members.record_launch(directory, request.resumed_path)
            run_directory.save_config(directory, run)
        else:
            state, notes, metrics = create_state(run, device), [], {}
        notes += list_dataset_changes(saved, run)
        notes += list_startup_notes(run, options, device)
        if changed := list_config_changes(saved, run, without=("fingerprint",)):
            notes.append(f"Changed: {format_changes(changed)}.")
        _train_and_exit(Training(run, dataset, directory, state, metrics, notes), request, members)


def _find_run_to_resume(request: TrainRequest) -> tuple[Path, Run]:
    """Return the directory of the run, or the state file that was named, and its config."""
    path = run_directory.find_run_or_state(request.resumed_path)
    if path.is_file():
        require_resumable(path)
    return path, run_directory.load_config(path if path.is_dir() else path.parent)


def _require_no_class_named_none(request: TrainRequest, dataset: Dataset | None) -> None:
    """Raise UserError if --subset none may mean all classes, or the class of that name."""
    if request.is_subset_none and dataset and NONE in dataset.label_names:
        raise UserError(
            f"--subset {NONE} trains on all classes, and {dataset.path} has a class of that name. "
            f"Pass --subset {dataset.label_names.index(NONE)} to train on that class, or --subset "
            "'' to train on all."
        )


def _print_plan(
    run: Run,
    dataset: Dataset | None,
    members: TrainProcess,
    request: TrainRequest,
    transfer: Transfer | None = None,
) -> None:
    if dataset:
        plan_metrics(run, dataset)  # refused as the training would be
    if request.print_config:
        return click.echo(format_run_file(run))
    lines = list_dry_run_notes(
        run, dict(request.options), members.planned_device, scaled=request.scale_schedule
    )
    plan = describe_plan(run, _count_processes(request, members))
    paragraphs = [plan, *filter(None, ["\n".join(lines)])]
    click.echo("\n\n".join([*paragraphs, *(describe_transfer(transfer) if transfer else ())]))


def _count_processes(request: TrainRequest, members: TrainProcess) -> int:
    """Return the number of processes of the training; for a plan, --gpus starts none."""
    return request.gpus or members.group.size


def plan_metrics(run: Run, dataset: Dataset) -> dict[str, "MeasurementPlan"]:
    """Return what --metrics names, by word; raise UserError if the dataset is too small for it."""
    requested = parse_metrics(run.output.metrics)
    if not requested:
        return {}
    from metrics.measure import plan_snapshot_metric, training_source

    reals = training_source(dataset, run.network.max_level, mirror=run.data.mirror)
    plans = {}
    for word, (name, count) in requested.items():
        try:
            plans[word] = plan_snapshot_metric(name, count, reals)
        except UserError as error:
            raise UserError(f"--metrics {word}: {error}") from error
    return plans


def prepare_metrics(run: Run, dataset: Dataset, device: torch.device) -> dict[str, SnapshotMetric]:
    """Return the metrics that --metrics names; raise UserError if one cannot be computed."""
    plans = plan_metrics(run, dataset)
    if not plans:
        return {}
    from metrics.detector import MetricContext, open_detector
    from metrics.measure import (
        make_shared_source_of,
        make_snapshot_metric,
        needs_detector,
        training_source,
    )

    names = {word: plan.names[0] for word, plan in plans.items()}
    detector = None
    if any(map(needs_detector, names.values())):
        file = Path(run.output.detector) if run.output.detector else None
        detector = open_detector(file, "inception", device)
    context = MetricContext(seed=run.seed, device=device, detector=detector)
    source_of = make_shared_source_of()
    reals = training_source(dataset, run.network.max_level, mirror=run.data.mirror)
    found = {}
    for word, plan in plans.items():
        try:
            compute = make_snapshot_metric(plan, reals, context, source_of)
        except UserError as error:
            raise UserError(f"--metrics {word}: {error}") from error
        is_best = names[word] == run.output.best
        best_column = LOWER_IS_BETTER[names[word]] if is_best else ""
        found[word] = SnapshotMetric(compute, best_column, plan.num_images)
    return found


def _train_and_exit(training: Training, request: TrainRequest, members: TrainProcess) -> None:
    """Train until the end, a stop signal or an error; exit with the code that says which."""
    run, dataset, directory, state, metrics, notes = training
    set_precision(run.precision)
    set_up_cpu(run.threads)
    device, group = members.device, members.group
    log = Log(directory / run_directory.LOG_FILE) if members.is_main else NullLog()
    for line in (*_describe_training(training, members), *notes):
        log(line)
    broadcast_state(state, group)
    try:
        context = TrainContext(
            run=run, dataset=dataset, directory=directory, device=device, log=log,
            metrics=metrics, group=group,
        )  # fmt: skip
        end = train_until_stopped(
            context, state, request.max_hours, members.local_size, ends_process=True
        )
    except OSError as error:
        error.filename = error.filename or str(directory)  # a failing write() names no path
        _log_error(log, describe_os_error(error))
        raise
    except Exception as error:
        _log_error(log, _describe_error(error))
        raise
    except KeyboardInterrupt as error:
        _exit_interrupted(error, directory, members, log)
    if end.stopped_by:
        files = f" in {end.saved.state} and {end.saved.network}" if end.saved else ""
        log(
            f"Stopped by {end.stopped_by} at kimg {state.kimg:.1f}; everything is saved{files}. "
            f"To resume: {_format_resume_command(directory, members)}"
        )
        # torchrun would take any other exit code for a failure, and restart everything.
        write_exit_code(EXIT_RESUMABLE)
        raise click.exceptions.Exit(0 if members.launch else EXIT_RESUMABLE)
    words = ("--network", directory, "--seeds", "0-15", "--outdir", "out")
    log(f"{format_end_message(run)} Generate images: {command_line('generate', *words)}")


def _describe_error(error: Exception) -> str:
    """Return the message of an error; of a bug, which has a traceback, its first line."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, PeerLost):
        return LOST
    if is_out_of_memory(error):
        return describe_out_of_memory(error)
    return f"{type(error).__name__}: {get_first_error_line(error)}"


def _log_error(log: Log, reason: str) -> None:
    """Append why a training ended to its log, if the disk takes it."""
    with suppress(OSError):
        log.append_to_file(f"Stopped by an error: {reason}")


def _exit_interrupted(
    error: KeyboardInterrupt, directory: Path, members: TrainProcess, log: Log
) -> NoReturn:
    """Log what a training that was stopped at once has lost, and exit."""
    early = error if isinstance(error, Interrupted) else None
    if not run_directory.list_states(directory):
        lost = ", before any state was saved. To start again"
    elif early:
        lost = " before the first step; nothing is lost. To resume"
    else:
        lost = "; what came after the last state is lost. To resume"
    if not early:
        write_exit_code(EXIT_INTERRUPTED)
    log(f"Stopped at once{lost}: {_format_resume_command(directory, members)}")
    raise click.exceptions.Exit(early.early_exit_code if early else EXIT_INTERRUPTED) from error


def _describe_training(training: Training, members: TrainProcess) -> Iterator[str]:
    """Yield lines about versions, device, dataset, and the images to train on."""
    run, dataset, size = training.run, training.dataset, members.group.size
    several = f", {format_count(size, 'process', 'processes')}" * (size > 1)
    device = describe_device(members.device)
    yield f"progan {__version__}, torch {torch.__version__}, {device}{several}"
    num_held_out = len(dataset.held_out_rows)
    held_out = f" to train on and {num_held_out} held out" * bool(num_held_out)
    images = format_count(len(dataset.training_rows), "image")
    yield (
        f"{training.directory}: {escape_controls(dataset.name)}, {images}{held_out}, "
        f"{dataset.info.top_size}x{dataset.channels}; preset {escape_controls(run.preset)}; "
        f"from kimg {training.state.kimg:g} to {run.growth.total_kimg:g}"
    )
    if run.data.conditional and (untrained := dataset.untrained_classes):
        yield describe_empty_classes(dataset, untrained, "to train on")
    if dataset.label_size and not run.data.conditional and not run.data.subset:
        classes = format_count(dataset.label_size, "class", "classes")
        yield (
            f"The dataset has {classes}, which {'is' if dataset.label_size == 1 else 'are'} "
            f"not used; {format_option_name('conditional')} does."
        )


def _format_resume_command(directory: Path, members: TrainProcess) -> str:
    """Return the command that resumes a run, to be typed where this process was started."""
    context, words = click.get_current_context(), list_command_words("train")
    own: list[str] = []
    if members.launch and is_launched_by_gpus_option():
        own = ["--gpus", str(members.local_size)]
    elif members.launch:
        launched = words[1:] if words[0] == "python" else ["--no-python", *words]
        words = ["torchrun", f"--nproc-per-node={members.local_size}", *launched]
    kept = [
        word
        for name in ("device", "max_hours")
        if context.get_parameter_source(name) in GIVEN
        for word in (format_option_name(name), str(context.params[name]))
    ]
    command = shlex.join([*words, "--resume", spell_path(directory), *kept, *own])
    if members.group.size > members.local_size:
        return f"{command} (on each machine, with the --nnodes and --rdzv options of this launch)"
    return command
