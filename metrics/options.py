"""Names of metrics and options of the commands, without importing torch."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from progan.command import NETWORK, PATH, device_option
from progan.errors import UserError
from progan.invocation import command_line
from progan.runtime.files import require_detector, require_existing, require_writable_file

MODES = "discrete-modes"  # needs a classifier of digits
DESCRIPTIONS = {
    "swd": "sliced Wasserstein distance of patches x1e3, per pyramid level (section 5)",
    "ms-ssim": "similarity of pairs of images: 1 means that all are equal (section 5)",
    "fid": "Fréchet distance of Inception features",
    "kid": "unbiased kernel distance of Inception features x1e3",
    "kid75": "KID of images of 75x75, batch by batch: fast",
    "is": "Inception score",
    "pr": "precision and recall of Inception features",
    MODES: "modes of 1000 that images of MNIST-RGB show, and KL from uniform",
}
LOWER_IS_BETTER = {  # the column that ranks networks
    "swd": "SWDx1e3_avg",
    "fid": "FID",
    "kid": "KIDx1e3",
    "kid75": "KID75x1e3",
    MODES: "KL",
}
GOALS = {  # best value of a column; a key is its name up to '_'
    "SWDx1e3": "least",
    "MS-SSIM": "reals",
    "FID": "least",
    "KIDx1e3": "least",
    "KID75x1e3": "least",
    "IS": "most",
    "precision": "most",
    "recall": "most",
    "modes": "most",
    "KL": "least",
    "speed/images-per-second": "most",
}
DEFAULT = ("swd", "ms-ssim")  # need no detector

PIXELS = "pixels"  # in place of a detector's file
NEIGHBOURS_FILE = "neighbours.png"
COUNT = click.IntRange(min=1)
MOST_RESIZE = 4096  # px

# fmt: off
detector_option = click.option("--detector", type=PATH, metavar="FILE",
    help="Network whose features are compared: weights of Inception or VGG-16, or any TorchScript "
    "network of images uint8 [N, 3, H, W]; downloaded if not given.")
_SOURCE_OPTIONS = (
    click.option("--network", type=NETWORK, metavar="FILE|RUN|NAME",
        help="Measure the images that a network generates from the seeds 0, 1, 2 …: a network "
        "file, also of the other programs that generate.py reads, the directory of a run, or "
        "portraits, the network in the package."),
    click.option("--images", type=PATH, metavar="PATH",
        help="Measure images: a dataset, or a folder or zip file of images."),
    click.option("--data", type=PATH, metavar="DIR",
        help="Real images: the dataset of the network."),
    click.option("--reference", type=PATH, metavar="PATH",
        help="The same as --data: any dataset, folder or zip file of images."),
    click.option("--subset", default="", metavar="CLASS",
        help="Use only this class of the real images, by name or index: what train.py --subset "
        "trains on."),
    click.option("--resize", type=click.IntRange(1, MOST_RESIZE), metavar="SIDE",
        help="Resize all images to SIDE x SIDE px first."),
    detector_option,
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
        help="Random seed of the sampling."),
    click.option("--json", "json_file", type=PATH, metavar="FILE",
        help="Append results as JSON lines."),
    device_option,
)
repeats_option = click.option("--repeats", type=COUNT, default=1, show_default=True,
    help="Number of measurements with other samples; prints mean ± standard deviation.")
record_option = click.option("--no-record", is_flag=True,
    help="Do not store the rows with the run. By default those of a run, or of one of its "
    "networks, go to its metric-measured.jsonl, where compare and report find them.")
# fmt: on


def parse_metrics(text: str) -> dict[str, tuple[str, int | None]]:
    """Parse 'swd16k,ms-ssim' -> {'swd16k': ('swd', 16384), 'ms-ssim': ('ms-ssim', None)}.

    k is 1024 after a power of two, as in the official 'swd-16k', and else 1000, as in 'fid50k'.
    Raises UserError for anything else.
    """
    names, metrics = "|".join(sorted(DESCRIPTIONS, reverse=True)), {}
    for word in filter(None, text.replace(" ", "").replace("_", "-").split(",")):
        match = re.fullmatch(rf"({names})(?:-?(\d+)(k?))?", word)
        if not match:
            raise UserError(
                f"--metrics: no such metric: {word!r}. Choose from "
                f"{', '.join(DESCRIPTIONS)}, optionally with a number of images: "
                "swd16k,ms-ssim."
            )
        number = int(match[2]) if match[2] else None
        if number is not None and match[3]:
            number *= 1000 if number & (number - 1) else 1024
        metrics[word] = match[1], number
    return metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceOptions:
    """Values of the options that name images and reals, and how they are compared.

    Attributes:
        subset: Class of the reals that is taken alone; '': all.
        resize: Side in px that all images are resized to.
        can_resize: The caller has --resize, so that messages may name it.
        detector: None: the default one, where a metric needs any.
        json_file: Where result lines are appended.
    """

    network: Path | None = None
    images: Path | None = None
    data: Path | None = None
    reference: Path | None = None
    subset: str = ""
    resize: int | None = None
    can_resize: bool = False
    detector: Path | None = None
    seed: int = 0
    json_file: Path | None = None
    device: str = "auto"

    @property
    def measured(self) -> Path:
        """The network or images to measure; raises UserError unless exactly one is given."""
        return _require_exactly_one("--network", self.network, "--images", self.images)

    @property
    def reals(self) -> Path:
        """The real images; raises UserError unless exactly one is given."""
        return _require_exactly_one("--data", self.data, "--reference", self.reference)

    def require_files(self, detector: Path | None = None) -> None:
        """Raise UserError unless inputs exist and results can be written, before any work."""
        require_inputs(self.measured, self.reals, detector=detector)
        if self.json_file is not None and self.json_file.is_dir():
            raise UserError(
                f"Cannot write {self.json_file}: Is a directory. Name a file with --json."
            )
        if self.json_file is not None:
            require_writable_file(self.json_file, "--json", makes_folder=True)


def source_options(*, detector: bool = True) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds the options of SourceOptions, and passes them as `sources`.

    Args:
        detector: With --detector.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(**values: Any) -> Any:
            names = [field.name for field in fields(SourceOptions) if field.name in values]
            sources = SourceOptions(can_resize=True, **{name: values.pop(name) for name in names})
            return function(sources=sources, **values)

        for option in reversed(_SOURCE_OPTIONS):
            if detector or option is not detector_option:
                call = option(call)
        return call

    return decorate


def require_inputs(*paths: Path | None, detector: Path | None = None) -> None:
    """Raise UserError unless the inputs and the detector exist."""
    require_existing(paths, "Name a file or folder that exists.")
    require_detector(detector)


def _require_exactly_one(
    option: str, value: Path | None, other: str, other_value: Path | None
) -> Path:
    if value is not None and other_value is not None:
        raise UserError(f"{option} and {other} exclude each other. Name one of them.")
    chosen = value or other_value
    if chosen is None:
        raise UserError(f"Missing option '{option}' or '{other}'.")
    return chosen


def require_classifier_file(path: Path) -> None:
    """Raise UserError unless there is a file of a digit classifier."""
    if not path.is_file():
        raise UserError(f"No such file: {path}. {format_classifier_advice()}")


def format_classifier_advice() -> str:
    """Return the sentence that says how to get a digit classifier."""
    training = command_line("metrics", "discrete-modes", "--train-classifier")
    return (
        f"Train a classifier with {training} and name it with --classifier FILE "
        f"({command_line('train')}: --detector FILE)."
    )
