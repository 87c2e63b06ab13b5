"""python -m metrics discrete-modes: count the modes of MNIST-RGB."""

import dataclasses
import time
from pathlib import Path

import click

from metrics.options import (
    SourceOptions,
    record_option,
    repeats_option,
    require_classifier_file,
    require_inputs,
    source_options,
)
from progan.command import PATH, Command
from progan.errors import UserError
from progan.runtime.files import require_writable_file
from progan.runtime.torch_settings import set_omp_passive

NAME = "discrete-modes"


@click.command(NAME, cls=Command)
@click.option(
    "--classifier",
    type=PATH,
    required=True,
    metavar="FILE",
    help="The classifier of digits (.safetensors) to use, or to write.",
)
@click.option(
    "--train-classifier",
    is_flag=True,
    help="Train one on the digits of --data, a dataset of create-mnist, and print its error rate "
    "on the held-out digits.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Epochs of --train-classifier.",
)
@source_options(detector=False)
@click.option(
    "--num-images",
    type=click.IntRange(min=2),
    default=25600,
    show_default=True,
    help="Number of images to classify.",
)
@repeats_option
@record_option
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
        return _train(classifier, epochs, sources)
    sources.require_files()
    require_classifier_file(classifier)
    set_omp_passive()
    from metrics.measure import measure

    sources = dataclasses.replace(sources, detector=classifier)
    record = not no_record
    table = measure((NAME,), sources, num_images=num_images, repeats=repeats, record=record)
    click.echo(table)


def _train(file: Path, epochs: int, sources: SourceOptions) -> None:
    if sources.network or sources.images:
        raise UserError("--train-classifier cannot be combined with --network or --images.")
    require_inputs(sources.reals)
    if file.is_dir():
        raise UserError(f"--classifier {file} is a folder. Name a file in it.")
    require_writable_file(file, "--classifier", makes_folder=True)
    set_omp_passive()
    from metrics.digit_classifier import save_classifier, train_classifier
    from progan.data.reader import Dataset
    from progan.runtime.devices import choose_device, set_precision
    from progan.runtime.files import make_folder
    from progan.runtime.text import human_seconds

    dataset, device = Dataset.open(sources.reals), choose_device(sources.device)
    set_precision("fp32")
    make_folder(file.parent)
    start = time.monotonic()
    classifier, info = train_classifier(dataset, epochs=epochs, seed=sources.seed, device=device)
    save_classifier(file, classifier, info)
    click.echo(
        f"{file}: trained on {info.num_training} digits in "
        f"{human_seconds(time.monotonic() - start)}; error rate {info.error:.2%} on "
        f"{info.num_held_out} held-out digits."
    )
