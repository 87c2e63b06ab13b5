"""python -m metrics discrete-modes: count the modes of MNIST-RGB."""

import time
from pathlib import Path

import click

from metrics.options import (
    named,
    record_option,
    repeats_option,
    require_classifier_file,
    require_files,
    source_options,
)
from progan.command import PATH, Command
from progan.errors import UserError
from progan.invocation import command_line
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
    help="Train one on the digits of --data, a "
    "dataset of create-mnist, and say which share of the held-out digits it misreads.",
)
@click.option(
    "--epochs",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="How often to train it on each digit.",
)
@source_options(detector=False)
@click.option(
    "--num-images",
    type=click.IntRange(min=2),
    default=25600,
    show_default=True,
    help="How many images to read.",
)
@repeats_option
@record_option
def discrete_modes(
    classifier: Path,
    train_classifier: bool,
    epochs: int,
    network: Path | None,
    images: Path | None,
    data: Path | None,
    reference: Path | None,
    subset: str,
    resize: int | None,
    num_images: int,
    repeats: int,
    no_record: bool,
    seed: int,
    json_file: Path | None,
    device: str,
) -> None:
    """Count the modes of MNIST-RGB that a network draws (appendix E of the paper).

    Each colour channel shows a digit, so there are 1000 kinds of images. A network that has lost
    none shows all 1000 modes; KL is how far they are from being equally frequent, in nats. N
    images of equally frequent modes have about 999 / 2N: .0195 for 25600.

    \b
    python -m metrics discrete-modes --train-classifier --data datasets/mnist --classifier C
    python -m metrics discrete-modes --network runs --data datasets/mnist-rgb --classifier C
    """
    if train_classifier:
        if network or images:
            raise UserError(
                "--train-classifier trains on the digits of --data. Leave --network "
                "and --images away."
            )
        digits = named(
            data,
            reference,
            "Train on which digits? Name a dataset of "
            f"{command_line('dataset', 'create-mnist')} with --data.",
        )
        require_files(digits, detector=None, json_file=None)
        if classifier.is_dir():
            raise UserError(f"--classifier {classifier} is a folder. Name a file in it.")
        require_writable_file(classifier, "--classifier", makes_folder=True)
        return _train(digits, classifier, epochs, seed, device)
    measured = named(
        network, images, "Count the modes of what? Name either a --network or --images."
    )
    against = named(
        data,
        reference,
        "Beside which reals? Name a dataset of "
        f"{command_line('dataset', 'create-mnist-rgb')} with --data.",
    )
    require_files(measured, against, detector=None, json_file=json_file)
    require_classifier_file(classifier)
    set_omp_passive()
    from metrics.request import Request, answer

    require_classifier_file(classifier)
    click.echo(
        answer(
            Request(
                names=(NAME,),
                images=measured,
                is_network=network is not None,
                reals=against,
                num_images=num_images,
                repeats=repeats,
                resize=resize,
                subset=subset,
                mirror=False,
                held_out=False,
                detector=classifier,
                seed=seed,
                json_file=json_file,
                record=not no_record,
                device=device,
            )
        )
    )


def _train(digits: Path, file: Path, epochs: int, seed: int, device: str) -> None:
    set_omp_passive()
    from metrics.digit_classifier import save_classifier, train_classifier
    from progan.data.reader import Dataset
    from progan.runtime.devices import choose_device, set_precision
    from progan.runtime.files import make_folder
    from progan.runtime.log import human_seconds

    dataset, target = Dataset.open(digits), choose_device(device)
    set_precision("fp32")
    make_folder(file.parent)
    start = time.monotonic()
    classifier, origin = train_classifier(dataset, epochs=epochs, seed=seed, device=target)
    save_classifier(file, classifier, origin)
    click.echo(
        f"{file}: trained on {origin.num_training} digits in "
        f"{human_seconds(time.monotonic() - start)}; misreads {origin.error:.2%} of "
        f"{origin.num_held_out} held-out ones."
    )
