"""Count the modes of MNIST-RGB, and their KL divergence from uniform.

The discrete-mode test (Metz et al. 2016, section 3.3.1; Karras et al. 2018, appendix E): each
colour channel shows a digit, a classifier reads it, and the three digits are one of 1000 modes.
"""

import numpy as np
import numpy.typing as npt
import torch

from metrics.detector import MetricContext
from metrics.digit_classifier import SIDES
from metrics.options import classifier_advice
from metrics.samples import ImageSample, Size
from progan.errors import UserError
from progan.invocation import command_line

NUM_MODES = 1000
PAPER_NUM_IMAGES = 25600

Labels = npt.NDArray[np.int64]


def count_modes_and_kl(labels: Labels) -> tuple[int, float]:
    """Return the number of different labels, and KL(histogram ‖ uniform) in nats, 0…ln 1000.

    The KL of N images of equally frequent modes is about 999 / 2N: .0195 for 25600.

    Args:
        labels: [N], each 0…999; N >= 1.
    """
    shares = np.bincount(labels, minlength=NUM_MODES) / len(labels)
    present = shares[shares > 0]
    # p ln p -> 0 for p -> 0: missing modes add nothing.
    return len(present), float((present * np.log(present * NUM_MODES)).sum())


def measure(images: ImageSample, reals: ImageSample, context: MetricContext) -> dict[str, float]:
    """Return 'modes', 0…1000, and 'KL' in nats, of the images, ignoring the reals."""
    assert context.detector is not None
    modes, divergence = count_modes_and_kl(_mode_labels(images, context))
    return {"modes": modes, "KL": divergence}


def require_measurable(size: Size, num_images: int) -> None:
    """Raise UserError unless images are RGB, of a size that the classifier takes."""
    if size.channels != 3:
        raise UserError(
            f"discrete-modes reads one digit in each of three channels, and images of "
            f"{size} have {size.channels}. {command_line('dataset', 'create-mnist-rgb')} "
            "makes such images."
        )
    if size.height != size.width or size.height not in SIDES:
        raise UserError(
            f"discrete-modes reads digits of {' or '.join(map(str, SIDES))} px, and "
            f"the images are {size}. Resize them with --resize {max(SIDES)}."
        )


def require_digit_classifier(context: MetricContext) -> None:
    """Raise UserError unless the detector is a classifier of 1000 classes."""
    assert context.detector is not None
    black = torch.zeros(1, 3, max(SIDES), max(SIDES), dtype=torch.uint8, device=context.device)
    _, logits = context.detector.embed(black)
    if logits is None or logits.shape[1] != NUM_MODES:
        raise UserError(
            f"discrete-modes needs a digit classifier, and "
            f"{context.detector.name} is none. {classifier_advice()}"
        )


def _mode_labels(images: ImageSample, context: MetricContext) -> Labels:
    """Return the label 100 red + 10 green + blue of each image, [N]."""
    assert context.detector is not None
    labels = []
    for batch in images.batches(context.device, "classifying digits"):
        _, logits = context.detector.embed(batch)
        assert logits is not None, "checked by require_digit_classifier"
        labels.append(logits.argmax(1).numpy())
    return np.concatenate(labels)
