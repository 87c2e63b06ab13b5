"""How many of the thousand kinds of images of MNIST-RGB there are, and how evenly.

The discrete-mode test (Metz et al. 2016, section 3.3.1; Karras et al. 2018, appendix E): each
colour channel shows a digit, a classifier reads it, and the three digits are one of 1000 modes.
"""

import numpy as np
import numpy.typing as npt
import torch

from metrics.detector import Setup
from metrics.digit_classifier import SIDES
from metrics.options import classifier_advice
from metrics.samples import ImageSample, Size
from progan.errors import UserError
from progan.invocation import command_line

NUM_MODES = 1000
PAPER_NUM_IMAGES = 25600

Labels = npt.NDArray[np.int64]


def modes_and_kl(labels: Labels) -> tuple[int, float]:
    """Count the modes, and how far they are from being equally frequent.

    N images of equally frequent modes have about 999 / 2N: .0195 for 25600.

    Args:
        labels: [N], each 0…999; N >= 1.

    Returns:
        How many different labels there are, and KL(histogram ‖ uniform) in nats, 0…ln 1000.
    """
    shares = np.bincount(labels, minlength=NUM_MODES) / len(labels)
    present = shares[shares > 0]
    # p ln p -> 0 for p -> 0: modes that are missing add nothing.
    return len(present), float((present * np.log(present * NUM_MODES)).sum())


def measure(images: ImageSample, reals: ImageSample, setup: Setup) -> dict[str, float]:
    """'modes', 0…1000, and 'KL' in nats, of the images; the reals do not count."""
    assert setup.detector is not None
    modes, divergence = modes_and_kl(_labels(images, setup))
    return {"modes": modes, "KL": divergence}


def require(size: Size, num_images: int) -> None:
    """Raise UserError unless images are RGB, of a size that the classifier reads."""
    if size.channels != 3:
        raise UserError(
            f"discrete-modes reads one digit in each of three channels, and images of "
            f"{size} have {size.channels}. {command_line('dataset', 'create-mnist-rgb')} "
            "makes such images."
        )
    if size.height != size.width or size.height not in SIDES:
        raise UserError(
            f"discrete-modes reads digits of {' or '.join(map(str, SIDES))} px, and "
            f"the images are {size}. Bring them to that with --resize {max(SIDES)}."
        )


def require_detector(setup: Setup) -> None:
    """Raise UserError unless the detector tells a thousand classes apart."""
    assert setup.detector is not None
    black = torch.zeros(1, 3, max(SIDES), max(SIDES), dtype=torch.uint8, device=setup.device)
    _, logits = setup.detector.embed(black)
    if logits is None or logits.shape[1] != NUM_MODES:
        raise UserError(
            f"discrete-modes needs a classifier of digits, and "
            f"{setup.detector.name} is none. {classifier_advice()}"
        )


def _labels(images: ImageSample, setup: Setup) -> Labels:
    """100 red + 10 green + blue of each image, [N]."""
    assert setup.detector is not None
    read = []
    for batch in images.batches(setup.device, "reading digits"):
        _, logits = setup.detector.embed(batch)
        assert logits is not None, "require_detector has seen to it"
        read.append(logits.argmax(1).numpy())
    return np.concatenate(read)
