"""Count the modes of MNIST-RGB, and their KL divergence from uniform; train the digit classifier.

The discrete-mode test (Metz et al. 2016, section 3.3.1; Karras et al. 2018, appendix E): each
colour channel shows a digit, a classifier reads it, and the three digits are one of 1000 modes.
"""

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from metrics.options import format_classifier_advice
from metrics.samples import ImageSample, ImageShape, Rows
from progan.data.reader import Dataset, compute_holdout_size, draw_holdout_rows
from progan.errors import UserError
from progan.images import to_float
from progan.invocation import command_line
from progan.runtime.seeding import torch_generator
from progan.runtime.weights_file import load_weights, save_weights
from progan.sizes import level_of

if TYPE_CHECKING:
    from metrics.detector import MetricContext

FORMAT = "progan digit classifier"
FORMAT_VERSION = 1
DIGITS = 10
SIDES = (28, 32)  # px: of MNIST, and of its datasets, which have a black border of 2 px
FEATURES = 64 * 4 * 4
SIDE = max(SIDES)  # px
HELD_OUT = 0.1  # share of the digits, if the dataset has no hold-out
BATCH = 64
LEARNING_RATE = 4e-3
WARM_UP = 0.2  # share of all steps
WEIGHT_DECAY = 0.01
ROTATION = math.radians(12)  # at most, to either side; likewise below
STRETCH = 0.12
SHEAR = 0.2
SHIFT = 2.5 / (SIDE / 2)  # 2.5 px


class DigitClassifier(nn.Module):
    """Three convolutions, each of which halves the sides, and a linear layer: 66,666 weights.

    The first has stride 2, as pooling there would take most of the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3, padding=1, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.linear = nn.Linear(FEATURES, DIGITS)

    def features(self, digits: Tensor) -> Tensor:
        """Map [N, 1, S, S] in [-1, 1], S of SIDES -> [N, FEATURES]."""
        margin = (max(SIDES) - digits.shape[-1]) // 2
        bordered = F.pad(digits, [margin] * 4, value=-1)  # black
        features: Tensor = self.convolutions(bordered).flatten(1)
        return features

    def forward(self, digits: Tensor) -> Tensor:
        """Map [N, 1, S, S] in [-1, 1], S of SIDES -> logits [N, 10]."""
        logits: Tensor = self.linear(self.features(digits))
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierInfo:
    """Training data and error rate of a classifier; its fields are keys of the file's header.

    Attributes:
        dataset: Path of the dataset.
        error: Error rate on the held-out digits, 0…1.
    """

    dataset: str
    fingerprint: str
    num_training: int
    num_held_out: int
    epochs: int
    seed: int
    error: float


def save_classifier(path: Path, classifier: DigitClassifier, info: ClassifierInfo) -> None:
    """Write the weights, with `info` in the header."""
    header = {"format": FORMAT, "version": FORMAT_VERSION, **asdict(info)}
    state = classifier.state_dict().items()
    # Without the batch counters of normalisation.
    save_weights(path, header, {name: x for name, x in state if x.is_floating_point()})


def load_classifier(path: Path, device: torch.device) -> tuple[DigitClassifier, ClassifierInfo]:
    """Read a frozen classifier in eval mode; raises UserError if the file is none."""
    try:
        header, weights = load_weights(path, FORMAT, str(device))
    except (ValueError, OSError) as error:
        raise UserError(
            f"{path} is not a digit classifier ({error}). Train one: "
            f"{command_line('metrics', 'discrete-modes', '--train-classifier')}"
        ) from error
    if header.pop("version", None) != FORMAT_VERSION:
        raise UserError(
            f"{path} is a digit classifier of another version than {FORMAT_VERSION}. "
            "Train a new one."
        )
    try:
        del header["format"]
        info = ClassifierInfo(**header)
        classifier = DigitClassifier()
        missing, unknown = classifier.load_state_dict(weights, strict=False)
        if unknown or any(not name.endswith("num_batches_tracked") for name in missing):
            raise ValueError(f"missing {missing}, unknown {unknown}")
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(
            f"{path}, a digit classifier, is damaged: its header does not "
            "describe its weights. Train a new one."
        ) from error
    return classifier.to(device).eval().requires_grad_(False), info


def train_classifier(
    dataset: Dataset, *, epochs: int, seed: int, device: torch.device
) -> tuple[DigitClassifier, ClassifierInfo]:
    """Train a classifier on the digits of a dataset, and measure its error on the held-out ones.

    All random numbers derive from `seed`. Raises UserError unless the dataset has grey digits.
    """
    require_digit_dataset(dataset)
    training, held_out = _split_rows(dataset, seed)
    with torch.random.fork_rng(devices=[]):  # leaves torch's global generator as it was
        torch.manual_seed(seed)
        classifier = DigitClassifier().to(device)
    images, labels = _load_digits(dataset, training, device)
    _fit_classifier(classifier, images, labels, epochs=epochs, seed=seed)
    return classifier, ClassifierInfo(
        dataset=str(dataset.path),
        fingerprint=dataset.fingerprint,
        num_training=len(training),
        num_held_out=len(held_out),
        epochs=epochs,
        seed=seed,
        error=error_rate(classifier, *_load_digits(dataset, held_out, device)),
    )


def require_digit_dataset(dataset: Dataset) -> None:
    """Raise UserError unless a dataset has ten classes of grey images of 32x32."""
    advice = f"Name a dataset of {command_line('dataset', 'create-mnist')}."
    if dataset.label_size != DIGITS:
        raise UserError(
            f"{dataset.path} has {dataset.label_size} classes, not the ten digits. {advice}"
        )
    if dataset.channels != 1 or dataset.info.top_size != (SIDE, SIDE):
        raise UserError(
            f"{dataset.path} has images of {dataset.info.top_size}x{dataset.channels}, "
            f"not digits of {SIDE}x{SIDE}x1. {advice}"
        )


def error_rate(classifier: DigitClassifier, digits: Tensor, labels: Tensor) -> float:
    """Return the share of digits [N, 1, S, S] in [-1, 1] that are misclassified, 0…1."""
    classifier.eval()
    with torch.no_grad():
        read = torch.cat([classifier(some).argmax(1) for some in digits.split(256)])
    return float((read != labels).double().mean())


def augment_digits(digits: Tensor, random: torch.Generator) -> Tensor:
    """Randomly rotate, stretch, shear and shift digits [N, 1, S, S].

    Pixel p of the result is that at A p + b, with A near the identity and b near 0.
    """
    turn, shear, *stretch, dx, dy = 2 * torch.rand(6, len(digits), generator=random) - 1
    cos, sin = (ROTATION * turn).cos(), (ROTATION * turn).sin()
    across, down = (1 + STRETCH * each for each in stretch)
    rows = [
        torch.stack([cos * across, sin * down + SHEAR * shear, SHIFT * dx], 1),
        torch.stack([-sin * across, cos * down, SHIFT * dy], 1),
    ]
    places = F.affine_grid(
        torch.stack(rows, 1).to(digits.device), list(digits.shape), align_corners=False
    )
    return F.grid_sample(digits, places, padding_mode="border", align_corners=False)


def learning_rate_factor(progress: float) -> float:
    """Return the factor of the learning rate, 0…1: linear warm-up, then linear decay.

    Args:
        progress: Part of the training that is done, 0…1.
    """
    return min(progress / WARM_UP, (1 - progress) / (1 - WARM_UP))


def _fit_classifier(
    classifier: DigitClassifier, digits: Tensor, labels: Tensor, *, epochs: int, seed: int
) -> None:
    random = torch_generator("cpu", seed, "digit-classifier")
    optimizer = torch.optim.AdamW(classifier.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    batch = min(BATCH, len(digits))
    steps = epochs * (len(digits) // batch)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: learning_rate_factor((step + 1) / (steps + 1))
    )
    classifier.train()
    with tqdm(
        total=steps, desc="training the classifier", unit="step", disable=None, leave=False
    ) as progress:
        for _ in range(epochs):
            order = torch.randperm(len(digits), generator=random).to(digits.device)
            for rows in order[: len(digits) // batch * batch].split(batch):
                loss = F.cross_entropy(
                    classifier(augment_digits(digits[rows], random)), labels[rows]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                rate.step()
                progress.update()


def _split_rows(dataset: Dataset, seed: int) -> tuple[Rows, Rows]:
    """Split the rows into training and held-out ones."""
    count = len(dataset)
    held_out = dataset.held_out_rows
    if not len(held_out):
        held_out = draw_holdout_rows(compute_holdout_size(HELD_OUT, count), count, seed)
    return np.setdiff1d(np.arange(count), held_out), held_out


def _load_digits(dataset: Dataset, rows: Rows, device: torch.device) -> tuple[Tensor, Tensor]:
    """Load images [n, 1, 32, 32] in [-1, 1] and labels [n]."""
    pixels = torch.from_numpy(dataset.images(level_of(SIDE), rows)).permute(0, 3, 1, 2)
    return to_float(pixels).to(device), torch.from_numpy(dataset.labels(rows)).to(device)


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


def measure(images: ImageSample, reals: ImageSample, context: "MetricContext") -> dict[str, float]:
    """Return 'modes', 0…1000, and 'KL' in nats, of the images, ignoring the reals."""
    assert context.detector is not None
    modes, divergence = count_modes_and_kl(_mode_labels(images, context))
    return {"modes": modes, "KL": divergence}


def require_measurable(size: ImageShape, num_images: int) -> None:
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
            f"the images are {size}. Resize them to {max(SIDES)}x{max(SIDES)}."
        )


def require_digit_classifier(context: "MetricContext") -> None:
    """Raise UserError unless the detector is a classifier of 1000 classes."""
    assert context.detector is not None
    black = torch.zeros(1, 3, max(SIDES), max(SIDES), dtype=torch.uint8, device=context.device)
    _, logits = context.detector.embed(black)
    if logits is None or logits.shape[1] != NUM_MODES:
        raise UserError(
            f"discrete-modes needs a digit classifier, and "
            f"{context.detector.name} is none. {format_classifier_advice()}"
        )


def _mode_labels(images: ImageSample, context: "MetricContext") -> Labels:
    """Return the label 100 red + 10 green + blue of each image, [N]."""
    assert context.detector is not None
    labels = []
    for batch in images.batches(context.device, "classifying digits"):
        _, logits = context.detector.embed(batch)
        assert logits is not None, "checked by require_digit_classifier"
        labels.append(logits.argmax(1).numpy())
    return np.concatenate(labels)
