"""python -m metrics: measure images, count modes, find nearest training images."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import click

from metrics.compare_cli import compare
from metrics.options import (
    COUNT,
    DEFAULT,
    DESCRIPTIONS,
    MODES,
    NEIGHBOURS_FILE,
    PIXELS,
    SourceOptions,
    record_option,
    repeats_option,
    require_classifier_file,
    require_inputs,
    source_options,
)
from progan.command import PATH, Command, format_path, hyphenate, list_given_options
from progan.errors import UserError
from progan.runtime.files import require_writable_file
from progan.runtime.text import format_duration
from progan.runtime.torch_settings import set_omp_passive

FOR_COUNTING = (  # options that --train-classifier ignores
    "--network", "--images", "--subset", "--resize", "--json", "--num-images", "--repeats",
    "--no-record",
)  # fmt: skip


# fmt: off
@click.command(MODES, cls=Command)
@click.option("--classifier", type=PATH, required=True, metavar="FILE",
    help="The classifier of digits (.safetensors) to use, or to write.")
@click.option("--train-classifier", is_flag=True,
    help="Train one on the digits of --data, a dataset of create-mnist, and print its error rate "
    "on the held-out digits.")
@click.option("--epochs", type=COUNT, default=12, show_default=True,
    help="Epochs of --train-classifier.")
@source_options(detector=False)
@click.option("--num-images", type=click.IntRange(min=2), default=25600, show_default=True,
    help="Number of images to classify.")
@repeats_option
@record_option
# fmt: on
def discrete_modes(
    classifier: Path,
    train_classifier: bool,
    epochs: int,
    sources: SourceOptions,
    num_images: int,
    repeats: int,
    no_record: bool,
) -> None:
    """Count the modes of MNIST-RGB that a network generates (appendix E of the paper).

    Each colour channel shows a digit, so there are 1000 kinds of images. A network that has lost
    none shows all 1000 modes; KL is how far they are from being equally frequent, in nats. N
    images of equally frequent modes have about 999 / 2N: .0195 for 25600.

    \b
    python -m metrics discrete-modes --train-classifier --data datasets/mnist --classifier C
    python -m metrics discrete-modes --network runs --data datasets/mnist-rgb --classifier C
    """
    if train_classifier:
        return _train_classifier(classifier, epochs, sources)
    if "--epochs" in list_given_options():
        raise UserError("--epochs needs --train-classifier: nothing is trained without it.")
    sources.require_files()
    require_classifier_file(classifier)
    set_omp_passive()
    from metrics.measure import measure

    sources = dataclasses.replace(sources, detector=classifier)
    record = not no_record
    click.echo(measure((MODES,), sources, num_images=num_images, repeats=repeats, record=record))


def _train_classifier(file: Path, epochs: int, sources: SourceOptions) -> None:
    if given := [option for option in list_given_options() if option in FOR_COUNTING]:
        raise UserError(f"--train-classifier cannot be combined with {', '.join(given)}.")
    require_inputs(sources.reals)
    if file.is_dir():
        raise UserError(f"--classifier {file} is a folder. Name a file in it.")
    require_writable_file(file, "--classifier", makes_folder=True)
    set_omp_passive()
    from metrics.discrete_modes import save_classifier, train_classifier
    from progan.data.reader import Dataset
    from progan.runtime.devices import choose_device, set_precision
    from progan.runtime.files import make_folder

    dataset, device = Dataset.open(sources.reals), choose_device(sources.device)
    set_precision("fp32")
    make_folder(file.parent)
    start = time.monotonic()
    classifier, info = train_classifier(dataset, epochs=epochs, seed=sources.seed, device=device)
    save_classifier(file, classifier, info)
    click.echo(
        f"{file}: trained on {info.num_training} digits in "
        f"{format_duration(time.monotonic() - start)}; error rate {info.error:.2%} on "
        f"{info.num_held_out} held-out digits."
    )


# fmt: off
@click.command(cls=Command)
@source_options()
@click.option("--num-images", type=COUNT, default=128, show_default=True,
    help="Number of images to look up.")
@click.option("-k", "k", type=COUNT, default=5, show_default=True,
    help="Number of neighbours to show of each image.")
@click.option("--rows", type=COUNT, default=16, show_default=True,
    help="Number of images to show: those that are nearest to a training image.")
@click.option("--mirror/--no-mirror", default=None,
    help="Compare with training images flipped left to right, too. By default, if the network "
    "was trained with --mirror.")
@click.option("--crop", metavar="X,Y,WxH",
    help="Compare only this part of the images, in px from the left and from the top.")
@click.option("--sheet", type=PATH, default=Path(NEIGHBOURS_FILE), show_default=True,
    metavar="FILE",
    help="PNG file to write; the figure of all distances is written beside it.")
# fmt: on
def neighbours(
    sources: SourceOptions,
    num_images: int,
    k: int,
    rows: int,
    mirror: bool | None,
    crop: str | None,
    sheet: Path,
) -> None:
    """Show images beside the training images that they are nearest to.

    Distances are those of a detector's features: five layers of VGG-16 as in figure 10 of the
    paper, another --detector FILE, or the pixels with --detector pixels. Of a dataset with a
    hold-out, the held-out images show how near images are that copy nothing.

    \b
    python -m metrics neighbours --network runs/00000-mine-v2-1gpu --data datasets/mine
    """
    sources.require_files(None if str(sources.detector) == PIXELS else sources.detector)
    require_writable_file(sheet, "--sheet", makes_folder=True, suffix=".png")
    set_omp_passive()
    from metrics.evaluation import append_lines
    from metrics.neighbours import find_neighbours, summarize_search, write_sheet

    if sources.json_file is not None:
        append_lines(sources.json_file, [])  # fail now rather than after measuring
    found = find_neighbours(sources, num_images, k, crop, mirror=mirror)
    files = write_sheet(found, rows, sheet)
    click.echo("\n".join([summarize_search(found.record()), *map(format_path, files)]))
    if sources.json_file is not None:
        append_lines(sources.json_file, [found.record()])


METRIC_LIST = "\b\nMetrics:\n" + "\n".join(
    f"  {name:14}  {description}" for name, description in DESCRIPTIONS.items()
)
COMMANDS = {command.name: command for command in (neighbours, discrete_modes, compare)}


class Metrics(Command):
    """A command that measures, unless its first argument names one of COMMANDS."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        command = COMMANDS.get(hyphenate(args[0])) if args else None
        if command is not None:
            return command.make_context(f"{info_name} {command.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        return super().invoke(ctx) if ctx.command is self else ctx.command.invoke(ctx)


# fmt: off
@click.command(cls=Metrics, epilog=METRIC_LIST)
@click.argument("names", nargs=-1, type=click.Choice(tuple(DESCRIPTIONS)), metavar="[METRIC]...")
@source_options()
@click.option("--num-images", type=click.IntRange(min=2),
    help="Number of images, and of reals that they are compared with; by default half of the "
    "reals, 16384 at most.")
@click.option("--mirror", is_flag=True,
    help="Flip half of the reals left to right, as train.py --mirror does.")
@click.option("--held-out", is_flag=True,
    help="Compare with the images that were held out of training, where memorising training "
    "images gains nothing.")
@repeats_option
@record_option
# fmt: on
def main(names: tuple[str, ...], sources: SourceOptions, no_record: bool, **settings: Any) -> None:
    """Compare images with real ones by the given metrics; by swd and ms-ssim if none is given.

    The row 'real-vs-real baseline' has the same metrics between two sets of reals. A
    run has one row for each of its snapshots.

    \b
    python -m metrics --network runs/00000-mine-v2-1gpu --data datasets/mine
    python -m metrics fid kid --images images.zip --reference photos --repeats 5
    python -m metrics neighbours --help       the nearest training images, as a sheet
    python -m metrics discrete-modes --help   the modes of MNIST-RGB
    python -m metrics compare --help          several runs in one table and on one sheet
    """
    sources.require_files(sources.detector)
    set_omp_passive()
    from metrics.measure import measure

    names = tuple(dict.fromkeys(names)) or DEFAULT
    click.echo(measure(names, sources, record=not no_record, **settings))
