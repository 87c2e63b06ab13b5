"""Losses in plain NumPy, written from the papers, for a critic whose gradients are known by hand.

A score is w.x + |x|^2/2, so its gradient at x is w + x; logits and code are linear. Arrays are
float64; images are [N, C, H, W].
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import Tensor

from progan.config import LossConfig
from progan.networks import DiscriminatorOutput

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Situation:
    """All that a loss depends on beside its config."""

    reals: Array
    fakes: Array
    slope: Array  # [pixels]: w
    teacher: Array  # [pixels, label_size]: logits are x @ teacher
    encoder: Array  # [pixels, K]: codes are x @ encoder
    labels: Array  # [N, label_size]
    mix: Array  # [N, 1, 1, 1]
    pixels: Array  # like reals
    targets: Array  # [2, N]
    k: float = 0.3

    def score(self, images: Array) -> Array:
        x = flat(images)
        return x @ self.slope + (x**2).sum(axis=1) / 2

    def steepness(self, images: Array) -> Array:
        return np.linalg.norm(self.slope + flat(images), axis=1)

    def unlabelled(self) -> "Situation":
        return replace(self, labels=self.labels[:, :0], teacher=self.teacher[:, :0])


def situation(seed: int, n: int = 4, size: int = 2) -> Situation:
    random = np.random.RandomState(seed)
    shape, pixels = (n, 3, size, size), 3 * size * size
    return Situation(
        reals=random.randn(*shape),
        fakes=random.randn(*shape),
        slope=random.randn(pixels) / 2,
        teacher=random.randn(pixels, 3),
        encoder=random.randn(pixels, 5),
        labels=np.eye(3)[random.randint(0, 3, n)],
        mix=random.rand(n, 1, 1, 1),
        pixels=random.rand(*shape),
        targets=random.rand(2, n),
    )


def flat(images: Array) -> Array:
    return images.reshape(len(images), -1)


def curved_discriminator(
    slope: Tensor, teacher: Tensor, encoder: Tensor, images: Tensor
) -> DiscriminatorOutput:
    """The same critic in torch."""
    x = images.flatten(1)
    return DiscriminatorOutput(x @ slope + x.square().sum(dim=1) / 2, x @ teacher, x @ encoder)


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def cross_entropy(probability: Array, target: Array | float) -> Array:
    """Of one bit; a target may be moved beyond 0 and 1."""
    return -target * np.log(probability) - (1 - target) * np.log(1 - probability)


def label_loss(s: Situation, images: Array) -> Array:
    if not s.labels.shape[1]:
        return np.zeros(len(images))
    odds = np.exp(flat(images) @ s.teacher)
    return -np.log((odds * s.labels).sum(axis=1) / odds.sum(axis=1))


def pulling_away(code: Array) -> float:
    """Equation 4 of EBGAN, a double loop over different images."""
    n, total = len(code), 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                cosine = code[i] @ code[j] / (np.linalg.norm(code[i]) * np.linalg.norm(code[j]))
                total += cosine**2
    return total / (n * (n - 1))


def discriminator_loss(o: LossConfig, s: Situation) -> float:
    real, fake = s.score(s.reals), s.score(s.fakes)
    label = label_loss(s, s.reals) + label_loss(s, s.fakes)
    loss = adversarial(o, s, real, fake) + penalty(o, s) + o.label_weight * label
    return float(loss.mean())


def adversarial(o: LossConfig, s: Situation, real: Array, fake: Array) -> Array:
    if o.objective in ("gan", "dragan", "r1"):
        moved = o.label_noise * s.targets
        return cross_entropy(sigmoid(real), 1 - o.label_smoothing - moved[0]) + cross_entropy(
            sigmoid(fake), -moved[1]
        )
    if o.objective == "lsgan":
        return 0.5 * (real - 1) ** 2 + o.fake_weight * 0.5 * fake**2
    if o.objective in ("wgan", "wgan-gp"):
        return fake - real + o.drift * real**2
    if o.objective == "ebgan":
        return -real + np.maximum(0, o.margin - -fake)
    if o.objective == "began":
        return -real - s.k * -fake
    assert o.objective == "relativistic"
    return -np.log(sigmoid(real - fake))


def penalty(o: LossConfig, s: Situation) -> Array:
    if o.objective in ("wgan-gp", "dragan"):
        # DRAGAN's perturbed reals are x + 0.5 std(x) U(0, 1), then mixed with x.
        other = s.reals + 0.5 * np.std(s.reals) * s.pixels if o.objective == "dragan" else s.fakes
        norms = s.steepness((1 - s.mix) * s.reals + s.mix * other)
        return o.gp_weight * (norms - o.gp_target) ** 2 / o.gp_target**2
    if o.objective == "r1":
        return o.gp_weight / 2 * s.steepness(s.reals) ** 2
    if o.objective == "relativistic":
        return o.gp_weight / 2 * (s.steepness(s.reals) ** 2 + s.steepness(s.fakes) ** 2)
    return np.zeros(len(s.reals))


def generator_loss(o: LossConfig, s: Situation) -> float:
    fake = s.score(s.fakes)
    loss = {
        "gan": lambda: -np.log(sigmoid(fake)),
        "dragan": lambda: -np.log(sigmoid(fake)),
        "r1": lambda: -np.log(sigmoid(fake)),
        "lsgan": lambda: 0.5 * (fake - 1) ** 2,
        "wgan": lambda: -fake,
        "wgan-gp": lambda: -fake,
        "ebgan": lambda: -fake + o.pulling_away * pulling_away(flat(s.fakes) @ s.encoder),
        "began": lambda: -fake,
        "relativistic": lambda: -np.log(sigmoid(fake - s.score(s.reals))),
    }[o.objective]()
    return float((loss + o.label_weight * label_loss(s, s.fakes)).mean())
