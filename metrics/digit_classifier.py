"""A network that reads digits of MNIST, and its file."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progan.errors import UserError
from progan.invocation import command
from progan.runtime.weights_file import load_weights, save_weights

FORMAT = "progan digit classifier"
FORMAT_VERSION = 1
DIGITS = 10
SIDES = (28, 32)  # px: of MNIST, and of its datasets, which have a black border of 2 px
FEATURES = 64 * 4 * 4


class DigitClassifier(nn.Module):
    """Three convolutions, each of which halves the sides, and a linear layer: 66,666 weights.

    The first one does so by its stride, where pooling would take most of the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(64, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(2))
        self.linear = nn.Linear(FEATURES, DIGITS)

    def features(self, digits: Tensor) -> Tensor:
        """[N, 1, S, S] in [-1, 1], S of SIDES -> [N, FEATURES]."""
        margin = (max(SIDES) - digits.shape[-1]) // 2
        bordered = F.pad(digits, [margin] * 4, value=-1)  # black
        features: Tensor = self.convolutions(bordered).flatten(1)
        return features

    def forward(self, digits: Tensor) -> Tensor:
        """[N, 1, S, S] in [-1, 1], S of SIDES -> logits [N, 10]."""
        logits: Tensor = self.linear(self.features(digits))
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """How a classifier was trained, and how good it is.

    Attributes:
        dataset: Path and fingerprint of the dataset.
        error: Share of the held-out digits that it misreads, 0…1.
    """

    dataset: str
    fingerprint: str
    num_training: int
    num_held_out: int
    epochs: int
    seed: int
    error: float


def save_classifier(path: Path, classifier: DigitClassifier, origin: Origin) -> None:
    """Write the weights, with a header that says where they come from."""
    header = {"format": FORMAT, "version": FORMAT_VERSION, **asdict(origin)}
    save_weights(path, header, {name: tensor for name, tensor in classifier.state_dict().items()
                                if tensor.is_floating_point()})  # without counters of batches


def load_classifier(path: Path, device: torch.device) -> tuple[DigitClassifier, Origin]:
    """Read a classifier, ready for use; raises UserError if the file is none of ours."""
    try:
        header, weights = load_weights(path, FORMAT, str(device))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} is no classifier of digits ({error}). Train one: "
                        f"{command('metrics', 'discrete-modes', '--train-classifier')}") from error
    if header.pop("version", None) != FORMAT_VERSION:
        raise UserError(f"{path} is a classifier of digits of another version than "
                        f"{FORMAT_VERSION}, which this progan reads. Train it anew.")
    try:
        del header["format"]
        origin = Origin(**header)
        classifier = DigitClassifier()
        missing, unknown = classifier.load_state_dict(weights, strict=False)
        if unknown or any(not name.endswith("num_batches_tracked") for name in missing):
            raise ValueError(f"missing {missing}, unknown {unknown}")
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path}, a classifier of digits, is damaged: its header does not "
                        "describe its weights. Train it anew.") from error
    return classifier.to(device).eval().requires_grad_(False), origin
