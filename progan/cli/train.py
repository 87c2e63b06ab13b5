"""train.py: train a progressive GAN, or continue a training."""

import math
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from metrics.names import parse_metrics
from progan import presets
from progan.cli.processes import Team, team
from progan.cli.train_checks import measures, require_metrics, require_resumption, require_start
from progan.config import Run, all_changes
from progan.door import (
    EXIT_RESUMABLE,
    PATH,
    Command,
    Interrupted,
    device_option,
    resumable_before_training,
)
from progan.door import in_words as error_words
from progan.errors import UserError
from progan.invocation import command, program
from progan.options import config_options, given
from progan.runtime.entry import INTERRUPTED
from progan.runtime.text import format_count
from progan.runtime.torch_settings import require_compile_cache, set_omp_passive, use_threads
from progan.settings import option_name

if TYPE_CHECKING:
    from progan.data.reader import Dataset
    from progan.training.init_from import Transfer
    from progan.training.snapshot_metrics import Metric
    from progan.training.state import TrainState

NEWEST = ":newest:"  # what a bare --resume stands for


class Hours(click.FloatRange):
    """A time; nan is none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        hours = super().convert(value, param, ctx)
        return self.fail("nan is no time.", param, ctx) if math.isnan(hours) else hours


@click.command(cls=Command)
@click.option("--data", type=PATH, help="Dataset made by dataset_tool.py.")
@click.option(
    "--outdir",
    type=PATH,
    default=Path("runs"),
    show_default=True,
    help="Where the directories of runs are.",
)
@click.option(
    "--preset",
    metavar="NAME",
    help=f"Settings to start from: {', '.join(presets.PRESETS)}.  [default: {presets.DEFAULT}]",
)
@click.option(
    "--resume",
    is_flag=False,
    flag_value=NEWEST,
    metavar="[RUN|FILE]",
    help="Continue a run in its own directory: the newest one of --outdir or of the "
    "directory named, the run named, or one of its state files.",
)
@click.option(
    "--init-from",
    type=PATH,
    metavar="FILE|RUN",
    help="Begin a new run with the "
    "networks of another one, where they fit: a training state, a network file, the "
    "directory of a run, a pickle of the official TensorFlow code, or a .pth of "
    "pytorch_GAN_zoo's PGAN.",
)
@device_option
@click.option(
    "--max-hours",
    type=Hours(min=0, min_open=True),
    metavar="H",
    help="Stop after so long as if by Ctrl-C, with everything saved; --resume goes on.",
)
@click.option(
    "--scale-schedule",
    is_flag=True,
    help="Scale the phases of the preset to "
    "--total-kimg, so that the final resolution is trained for the same share of it as "
    "in the preset, and shorten ticks as much. Not with --training-kimg, "
    "--transition-kimg, --resume or --init-from.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan of the run, and stop.")
@config_options
def main(
    data: Path | None,
    outdir: Path,
    preset: str | None,
    resume: str | None,
    init_from: Path | None,
    device: str,
    max_hours: float | None,
    scale_schedule: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Train a progressive GAN, growing from 4x4 to the resolution of the dataset.

    \b
    train.py --data datasets/mine --preset v2-1gpu        start
    train.py --resume                                     continue the newest run
    train.py --init-from runs/00000-… --data datasets/b   begin with its networks
    train.py --preset v2-1gpu --dry-run                   show the plan
    tensorboard --logdir runs                             watch

    Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP finish the step, save everything, print the command that
    goes on, and exit with 75; a second one exits at once, with 130. Before the first step all of
    them exit at once, with 130, SIGUSR1 with 75.
    """
    set_omp_passive()
    with resumable_before_training(), team(device) as members:
        begun = members.begun(outdir) if resume is None else None
        if begun:  # torchrun has started everything anew, with the command that began the run
            _resume(outdir, str(begun), None, members, {}, dry_run=dry_run, max_hours=max_hours)
        else:
            _start_or_resume(
                data,
                outdir,
                preset,
                resume,
                init_from,
                members,
                options,
                scaled=scale_schedule,
                dry_run=dry_run,
                max_hours=max_hours,
            )


def _start_or_resume(
    data: Path | None,
    outdir: Path,
    preset: str | None,
    resume: str | None,
    init_from: Path | None,
    members: Team,
    options: dict[str, Any],
    *,
    scaled: bool,
    dry_run: bool,
    max_hours: float | None,
) -> None:
    if resume == "":
        raise UserError(
            "--resume was given an empty name. Leave the name away to continue the newest run."
        )
    if resume is None:
        _start(
            outdir,
            preset,
            data,
            init_from,
            members,
            given(options),
            scaled=scaled,
            dry_run=dry_run,
            max_hours=max_hours,
        )
    elif init_from:
        raise UserError(
            f"--resume continues a run, and --init-from {init_from} begins a new one. "
            "Leave one of them away."
        )
    elif scaled:
        raise UserError(
            "A resumed run keeps the lengths of its phases: leave --scale-schedule "
            "away. --total-kimg may change."
        )
    elif preset:
        raise UserError(
            f"A resumed run keeps its settings: leave --preset {preset} away, and "
            "name what is to change, e.g. --total-kimg 20000."
        )
    else:
        _resume(outdir, resume, data, members, given(options), dry_run=dry_run, max_hours=max_hours)


def _start(
    outdir: Path,
    preset: str | None,
    data: Path | None,
    init_from: Path | None,
    members: Team,
    options: dict[str, Any],
    *,
    scaled: bool,
    dry_run: bool,
    max_hours: float | None,
) -> None:
    require_start(outdir, preset, data, init_from, options, dry_run=dry_run)
    from progan import run_directory
    from progan.training import state
    from progan.training.acceleration import COMPILING
    from progan.training.init_from import apply_transfer, describe_transfer
    from progan.training.precision import require_precision
    from progan.training.start import new_run_settings, require_batch_split
    from progan.training.start_checks import startup_notes

    run, dataset, found = new_run_settings(preset, data, init_from, options, scaled=scaled)
    require_compile_cache(needed=run.acceleration in COMPILING)
    if not (dataset or dry_run):
        raise UserError(
            f"Which images? {init_from} does not tell on which it was trained. Name a "
            "dataset with --data DIR."
        )
    require_metrics(run)
    require_batch_split(run, members.group.size)
    if dry_run or not dataset:
        return _print_plan(run, members, options, found, scaled=scaled) if members.leads else None
    chosen = members.device
    require_precision(run, chosen)
    measured = measures(run, dataset, chosen) if members.leads else {}
    born = state.create_state(run, chosen)
    remarks = [
        *startup_notes(run, options, chosen, scaled=scaled),
        *(describe_transfer(found) if found else []),
    ]
    if found:
        apply_transfer(born, found)
    del found  # with all its weights, before days of training
    directory = Path()
    if members.leads:
        directory = run_directory.create(outdir, dataset.name, run)
    directory, run = members.agree_on(directory, run)
    with members.exclusive_lock(directory):
        if members.launch and members.leads:
            run_directory.note_launch(directory, members.launch.name)
        _train(run, dataset, directory, members, born, measured, max_hours, remarks)


def _resume(
    outdir: Path,
    resume: str,
    data: Path | None,
    members: Team,
    options: dict[str, Any],
    *,
    dry_run: bool,
    max_hours: float | None,
) -> None:
    if members.leads:
        require_resumption(
            outdir if resume == NEWEST else Path(resume), data, options, dry_run=dry_run
        )
    from progan import run_directory
    from progan.training import state as states
    from progan.training.acceleration import COMPILING
    from progan.training.precision import require_precision
    from progan.training.resume import load_resumed_state, require_unfinished, resume_settings
    from progan.training.start import dataset_change_notes, require_batch_split
    from progan.training.start_checks import startup_notes

    path, saved = _found(outdir, resume, members) if members.leads else (Path(), Run())
    path, saved = members.agree_on(path, saved)
    directory = path if path.is_dir() else path.parent
    run, dataset = resume_settings(saved, directory, data, options)
    require_compile_cache(needed=run.acceleration in COMPILING)
    require_metrics(run)
    require_batch_split(run, members.group.size)
    if dry_run:
        return _print_plan(run, members, options) if members.leads else None
    chosen = members.device
    require_precision(run, chosen)
    with members.exclusive_lock(directory):
        if members.leads:
            state, remarks = load_resumed_state(path, saved, run, chosen)
            require_unfinished(directory, state, run, parse_metrics(run.output.metrics))
            measured = measures(run, dataset, chosen)
            run_directory.save_config(directory, run)
        else:
            state, remarks, measured = states.create_state(run, chosen), [], {}
        remarks += dataset_change_notes(saved, run)
        remarks += startup_notes(run, options, chosen)
        if changed := all_changes(saved, run, without=("fingerprint",)):
            remarks.append(f"Changed: {'; '.join(changed)}.")
        _train(run, dataset, directory, members, state, measured, max_hours, remarks)


def _found(outdir: Path, resume: str, members: Team) -> tuple[Path, Run]:
    """The directory of a run, or the state of it that was named, and its settings."""
    from progan import run_directory
    from progan.training.resume import require_resumable

    path = run_directory.find(outdir if resume == NEWEST else Path(resume))
    if path.is_file():
        require_resumable(path)
    if path.is_file() and members.restarted:
        path = path.parent  # where a newer state is than the one that was named at first
    return path, run_directory.load_config(path if path.is_dir() else path.parent)


def _print_plan(
    run: Run,
    members: Team,
    options: dict[str, Any],
    found: "Transfer | None" = None,
    *,
    scaled: bool = False,
) -> None:
    from progan.training.init_from import describe_transfer
    from progan.training.plan import describe_plan
    from progan.training.start_checks import plan_notes

    lines = "\n".join(plan_notes(run, options, members.planned_device, scaled=scaled))
    click.echo(
        "\n\n".join(
            [
                describe_plan(run),
                *filter(None, [lines]),
                *(describe_transfer(found) if found else ()),
            ]
        )
    )


def _train(
    run: Run,
    dataset: "Dataset",
    directory: Path,
    members: Team,
    state: "TrainState",
    metrics: dict[str, "Metric"],
    max_hours: float | None,
    remarks: Sequence[str] = (),
) -> None:
    from progan.data.device_cache import budget_bytes
    from progan.run_directory import LOG_FILE
    from progan.runtime.devices import set_precision
    from progan.runtime.interrupts import Interrupts
    from progan.runtime.log import Log, NullLog
    from progan.training.data_parallel import broadcast_state
    from progan.training.execution import prepare_execution
    from progan.training.loop import TrainContext, train
    from progan.training.run_length import end_message

    set_precision(run.precision)
    use_threads(run.threads)
    device, group = members.device, members.group
    log = Log(directory / LOG_FILE) if members.leads else NullLog()
    for line in _introduction(run, dataset, directory, members, state):
        log(line)
    for remark in remarks:
        log(remark)
    broadcast_state(state, group)
    try:
        execution = prepare_execution(run, state, device, log, group, members.local_size)
        with Interrupts(max_hours or math.inf, tell=group.leads) as interrupts:
            session = TrainContext(
                run=run,
                dataset=dataset,
                directory=directory,
                device=device,
                log=log,
                metrics=metrics,
                interrupts=interrupts,
                group=group,
                steps=execution.steps,
                expected=execution.expected,
                device_data_bytes=budget_bytes(run.device_data_gib, device),
            )
            end = train(session, state)
    except OSError as error:
        error.filename = error.filename or str(directory)  # a failing write() knows no path
        with suppress(OSError):  # of the same disk
            log.note(f"Stopped by an error: {error_words(error)}")
        raise
    except KeyboardInterrupt as error:
        early = error if isinstance(error, Interrupted) else None
        log(
            f"Stopped at once{_lost(directory, is_early=bool(early))}: "
            f"{_resume_command(directory, members)}"
        )
        raise click.exceptions.Exit(early.early_exit_code if early else INTERRUPTED) from error
    if end.stopped_by:
        files = f" in {end.saved.state} and {end.saved.network}" if end.saved else ""
        log(
            f"Stopped by {end.stopped_by} at kimg {state.kimg:.1f}; everything is saved{files}. "
            f"To go on: {_resume_command(directory, members)}"
        )
        # torchrun would take any other exit code for a failure, and start everything anew.
        raise click.exceptions.Exit(0 if members.launch else EXIT_RESUMABLE)
    pictures = ("--network", directory, "--seeds", "0-15", "--outdir", "out")
    log(f"{end_message(run)} Make pictures: {command('generate', *pictures)}")


def _lost(directory: Path, *, is_early: bool) -> str:
    """What a training that was stopped at once has lost, and what its resumption means."""
    from progan.run_directory import states

    if not states(directory):
        return ", before any state was saved. To begin again"
    return (
        " before the first step; nothing is lost. To resume"
        if is_early
        else "; what came after the last state is lost. To go on"
    )


def _introduction(
    run: Run, dataset: "Dataset", directory: Path, members: Team, state: "TrainState"
) -> Iterator[str]:
    """What is going to be trained, by what, and where, in words."""
    import torch

    from progan import __version__
    from progan.data.summary import classes_note
    from progan.runtime.devices import describe
    from progan.runtime.text import escape_controls

    several = f", {format_count(members.group.size, 'process', 'processes')}" * (
        members.group.size > 1
    )
    yield f"progan {__version__}, torch {torch.__version__}, {describe(members.device)}{several}"
    num_held_out = len(dataset.held_out_rows)
    held_out = f" to train on and {num_held_out} held out" * bool(num_held_out)
    images = format_count(len(dataset.training_rows), "image")
    yield (
        f"{directory}: {escape_controls(dataset.name)}, {images}{held_out}, "
        f"{dataset.info.top_size}x{dataset.channels}; preset {run.preset}; "
        f"from kimg {state.kimg:g} to {run.growth.total_kimg:g}"
    )
    if run.data.conditional and (untrained := dataset.untrained_classes):
        yield classes_note(dataset, untrained, "to train on")
    if dataset.label_size and not run.data.conditional and not run.data.subset:
        classes = format_count(dataset.label_size, "class", "classes")
        yield (
            f"The dataset has {classes}, which {'is' if dataset.label_size == 1 else 'are'} "
            f"not used; {option_name('conditional')} does."
        )


def _resume_command(directory: Path, members: Team) -> str:
    """What goes on with a run, typed where this process was started."""
    context, words = click.get_current_context(), program("train")
    if members.launch:
        launched = words[1:] if words[0] == "python" else ["--no-python", *words]
        words = ["torchrun", f"--nproc-per-node={members.launch.local_size}", *launched]
    kept = [
        word
        for name in ("device", "max_hours")
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE
        for word in (option_name(name), str(context.params[name]))
    ]
    return shlex.join([*words, "--resume", str(directory), *kept])
