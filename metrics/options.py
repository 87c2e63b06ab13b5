"""Options that every command of the metrics has."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from progan.command import PATH, device_option
from progan.errors import UserError
from progan.invocation import command_line
from progan.runtime.files import require_detector, require_existing, require_writable_file

F = TypeVar("F", bound=Callable[..., object])
detector_option = click.option(
    "--detector",
    type=PATH,
    metavar="FILE",
    help="Where features come from: weights of Inception "
    "or VGG-16, or any TorchScript network of images uint8 [N, 3, H, W]; fetched if not given.",
)
_SOURCE_OPTIONS = (
    click.option(
        "--network",
        type=PATH,
        metavar="FILE|RUN",
        help="Measure what a network "
        "draws from the seeds 0, 1, 2 …: a network file, also of the other programs that "
        "generate.py reads, or the directory of a run.",
    ),
    click.option(
        "--images",
        type=PATH,
        metavar="PATH",
        help="Measure images: a dataset, or a folder or zip file of images.",
    ),
    click.option(
        "--data", type=PATH, metavar="DIR", help="Real images: the dataset of the network."
    ),
    click.option(
        "--reference",
        type=PATH,
        metavar="PATH",
        help="The same as --data: any dataset, folder or zip file of images.",
    ),
    click.option(
        "--subset",
        default="",
        metavar="CLASS",
        help="Of the real images take this "
        "class of the dataset only, by name or index: what train.py --subset trains on.",
    ),
    click.option(
        "--resize",
        type=click.IntRange(1, 4096),
        metavar="SIDE",
        help="Bring all images to SIDE x SIDE px first.",
    ),
    detector_option,
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of the draws.",
    ),
    click.option("--json", "json_file", type=PATH, metavar="FILE", help="Append JSON lines to it."),
    device_option,
)
repeats_option = click.option(
    "--repeats",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Measure so often, with other draws, and give mean ± standard deviation.",
)
record_option = click.option(
    "--no-record",
    is_flag=True,
    help="Do not keep the rows with the run. If not given, those of a "
    "run, or of one of its networks, are in its metric-measured.jsonl, where compare and report "
    "find them.",
)


def source_options(*, detector: bool = True) -> Callable[[F], F]:
    """The options that name images and reals, and how they are computed.

    Args:
        detector: With --detector.
    """
    options = (
        _SOURCE_OPTIONS
        if detector
        else tuple(option for option in _SOURCE_OPTIONS if option is not detector_option)
    )

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def require_files(*inputs: Path | None, detector: Path | None, json_file: Path | None) -> None:
    """Raise UserError unless inputs exist and results can be written, before any work."""
    require_existing(inputs, "Name a file or folder that exists.")
    require_detector(detector)
    if json_file is not None and json_file.is_dir():
        raise UserError(f"Cannot write {json_file}: Is a directory. Name a file with --json.")
    if json_file is not None:
        require_writable_file(json_file, "--json", makes_folder=True)


def named(first: Path | None, second: Path | None, question: str) -> Path:
    """The one of two options that was given; raises UserError if none was, or both."""
    if first is not None and second is not None:
        raise UserError(f"{question} Both are too many.")
    chosen = first or second
    if chosen is None:
        raise UserError(question)
    return chosen


def require_classifier_file(path: Path) -> None:
    """Raise UserError unless there is a file of a classifier."""
    if not path.is_file():
        raise UserError(f"There is no classifier {path}. {classifier_advice()}")


def classifier_advice() -> str:
    """How to get a classifier."""
    training = command_line("metrics", "discrete-modes", "--train-classifier")
    return (
        f"Train a classifier with {training} and name it with --classifier FILE "
        f"({command_line('train')}: --detector FILE)."
    )
