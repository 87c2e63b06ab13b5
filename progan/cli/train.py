"""train.py: train a progressive GAN, or resume a training. The checks here need no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from metrics.options import LOWER_IS_BETTER, parse_metrics
from progan import presets, run_directory
from progan.aliases import TRAIN_ALIASES, TRAIN_DIFFERENCES, explain_differences
from progan.cli.processes import join_processes, start_processes
from progan.cli.run_file import config_option, let_command_line_precede, note_settings_above_preset
from progan.cli.train_help import TrainCommand, help_all_option, list_presets_option
from progan.command import (
    GIVEN,
    NETWORK,
    PATH,
    FiniteRange,
    device_option,
    exit_resumable_before_training,
)
from progan.config import Run, override, require_trained_weights_to_freeze
from progan.errors import UserError
from progan.invocation import command_line
from progan.options import add_config_options, is_none, select_given_fields
from progan.runtime.files import require_detector, require_existing, require_writable_folder
from progan.runtime.torch_settings import set_omp_passive

if TYPE_CHECKING:
    from progan.data.reader import Dataset

NEWEST = ":newest:"  # stands for a --resume without a value


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """The command line of train.py.

    Attributes:
        is_outdir_given: False if `outdir` is the default.
        is_subset_none: True if --subset is the word 'none', which may be a class, too.
        options: Config fields that were given, by name.
        is_restart: torchrun has restarted the command, in a run that has a record of that.
    """

    data: Path | None
    outdir: Path
    preset: str | None
    resume: str | None
    init_from: Path | None
    max_hours: float | None
    scale_schedule: bool
    dry_run: bool
    print_config: bool
    is_outdir_given: bool
    is_subset_none: bool
    gpus: int | None
    options: Mapping[str, Any]
    is_restart: bool = False

    @property
    def resumed_path(self) -> Path:
        """The run, the folder of runs or the state file that --resume names."""
        return self.outdir if self.resume in (None, NEWEST) else Path(self.resume or "")

    @property
    def is_plan(self) -> bool:
        """True if nothing is to be trained."""
        return self.dry_run or self.print_config


# fmt: off
@click.command(cls=TrainCommand, aliases=TRAIN_ALIASES)
@click.option("--data", type=PATH, help="Dataset made by dataset_tool.py.")
@click.option("--outdir", type=PATH, default=Path("runs"), show_default=True,
    help="Folder of the directories of runs.")
@click.option("--preset", metavar="NAME",
    help=f"Settings to start from; --list-presets lists them.  [default: {presets.DEFAULT}]")
@click.option("--resume", is_flag=False, flag_value=NEWEST, metavar="[RUN|FILE]",
    help="Continue a run in its own directory: the newest one of --outdir or of the directory "
    "named, the run named, or one of its state files.")
@click.option("--init-from", type=NETWORK, metavar="FILE|RUN|NAME",
    help="Begin a new run with the networks of another one, where they fit: a training state, a "
    "network file, the directory of a run, a pickle of the official TensorFlow code, a .pth of "
    "pytorch_GAN_zoo's PGAN, hf://…, or portraits, the network in the package.")
@device_option
@click.option("--gpus", type=click.IntRange(min=1),
    help="Number of GPUs of this machine to train on, with one process each, as under torchrun; "
    "with --device cpu, number of processes. 1 if not given.")
@click.option("--max-hours", type=FiniteRange(min=0, min_open=True), metavar="H",
    help="Stop after this time like after Ctrl-C, with everything saved; --resume continues.")
@click.option("--scale-schedule", is_flag=True,
    help="Scale the phases of the preset to --total-kimg, so that the final resolution is trained "
    "for the same share of it as in the preset, and shorten ticks as much. Not with "
    "--training-kimg, --transition-kimg, --resume or --init-from.")
@click.option("--dry-run", is_flag=True, help="Print the plan of the run, and stop.")
@config_option
@click.option("--print-config", is_flag=True,
    help="Print all settings of the run as a YAML file for --config, and stop.")
@list_presets_option
@help_all_option
@click.option("--lr", type=float, hidden=True)
@explain_differences(TRAIN_DIFFERENCES)
@add_config_options
# fmt: on
def main(device: str, gpus: int | None, lr: float | None, **values: Any) -> None:
    """Train a progressive GAN, growing from 4x4 to the resolution of the dataset.

    \b
    train.py --data datasets/mine --preset v2-1gpu        start
    train.py --resume                                     continue the newest run
    train.py --init-from runs/00000-… --data datasets/b   begin with its networks
    train.py --preset v2-1gpu --dry-run                   show the plan
    tensorboard --logdir runs                             watch

    Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP finish the step, save everything, print the command to
    resume, and exit with 75; a second one exits at once, with 130. Before the first step all of
    them exit at once, with 130, SIGUSR1 with 75.
    """
    set_omp_passive()
    context = click.get_current_context()
    values = let_command_line_precede(context, values, lr)
    note_settings_above_preset(context)
    values |= {
        "is_outdir_given": context.get_parameter_source("outdir") in GIVEN,
        "is_subset_none": is_none(context, "subset"),
    }
    names = [field.name for field in fields(TrainRequest)]
    named = {name: values[name] for name in names if name in values}
    request = TrainRequest(**named, gpus=gpus, options=select_given_fields(values))
    if gpus is not None and not request.is_plan:
        start_processes(gpus, device)
    with exit_resumable_before_training(), join_processes(device) as members:
        resumed = None if request.resume is None else request.resumed_path
        restarted = members.find_restarted_run(request.outdir, resumed)
        if restarted and resumed is None:  # the config of the run holds the options
            request = replace(request, data=None, options={})
        if restarted:
            request = replace(request, resume=str(restarted), is_restart=True)
        elif request.resume is None:
            _require_startable(request)
        else:
            _require_compatible_with_resume(request)
        if request.resume is not None and members.is_main:
            _require_resumable(request)
        from progan.cli import train_run  # imports torch

        if request.resume is None:
            train_run.start_new_run(request, members)
        else:
            train_run.resume_run(request, members)


def _require_compatible_with_resume(request: TrainRequest) -> None:
    """Raise UserError for options that begin a new run, or a --resume with an empty name."""
    if request.resume == "":
        raise UserError("--resume has an empty name. Omit the name to continue the newest run.")
    if request.init_from:
        raise UserError(
            f"--resume continues a run, and --init-from {request.init_from} begins a new one: "
            "they cannot be combined."
        )
    if request.scale_schedule:
        raise UserError(
            "A resumed run keeps the lengths of its phases: omit --scale-schedule. "
            "--total-kimg may change."
        )
    if request.preset:
        raise UserError(
            f"A resumed run keeps its settings: omit --preset {request.preset}, and "
            "name what is to change, e.g. --total-kimg 20000."
        )
    if request.is_outdir_given and request.resume != NEWEST:
        raise UserError(
            f"--resume {request.resume} continues that run in its own directory: omit --outdir "
            f"{request.outdir}, or omit the name after --resume to continue the newest run there."
        )


def _require_startable(request: TrainRequest) -> None:
    """Raise UserError if a new run cannot begin: wrong options, missing or unwritable paths."""
    dataset = None if request.data is None else _open_complete_dataset(request.data)
    if request.preset or not request.init_from:
        run = presets.preset(request.preset or presets.DEFAULT)
        if not request.init_from:
            resolution = dataset.resolution if dataset else None
            run = presets.change_preset(run, request.options, resolution)
            require_trained_weights_to_freeze(run)
        _require_metric_files(run, request.options)
    require_existing([request.init_from], "Name the file or the run to begin with by --init-from.")
    if not (dataset or request.is_plan or request.init_from):
        raise UserError(
            "Missing option '--data'. Name a dataset with --data DIR; "
            f"{command_line('dataset')} makes one. "
            "(--resume continues a run, --dry-run needs no dataset.)"
        )
    if not request.is_plan:
        require_writable_folder(request.outdir, "--outdir")


def _require_resumable(request: TrainRequest) -> None:
    """Raise UserError if a run cannot be resumed: no run, wrong options, no images, unwritable."""
    found = run_directory.find_run_or_state(request.resumed_path)
    directory = found if found.is_dir() else found.parent
    if not (directory / run_directory.CONFIG_FILE).is_file():
        return  # a file of something else: train_run.resume_run says what it is
    run = override(run_directory.load_config(directory), request.options)
    _require_metric_files(run, request.options)
    if request.data:
        _open_complete_dataset(request.data)
    elif run.data.data:
        from progan.data.reader import open_dataset_of_run

        open_dataset_of_run(directory, run.data.data, "")
    if not request.is_plan:
        require_writable_folder(directory, "--resume")


def _require_metric_files(run: Run, options: Mapping[str, Any]) -> None:
    """Raise UserError for unknown --metrics, an unusable --best, or a missing --detector file."""
    require_metrics(run)
    if options.get("detector"):
        require_detector(Path(options["detector"]))


def _open_complete_dataset(data: Path) -> "Dataset":
    """Open a dataset; raise UserError unless all its files are there."""
    from progan.data.reader import Dataset

    return Dataset.open(data)


def require_metrics(run: Run) -> None:
    """Raise UserError unless --metrics names metrics, and --best one of them that has a best."""
    measured = {name for name, _ in parse_metrics(run.output.metrics).values()}
    ranked = [name for name in LOWER_IS_BETTER if name in measured]
    if run.output.best and run.output.best not in ranked:
        raise UserError(
            f"--best {run.output.best} is not one of the metrics in --metrics "
            f"{run.output.metrics!r} that can rank snapshots. Add one of these there: "
            f"{', '.join(LOWER_IS_BETTER)}."
        )
