"""Progressive training as the official code formulates it: everything at the final resolution.

Written from its described behaviour, without anything of progan but the names of the weights.
Networks take a `lod` (log2 of final over trained resolution, fractional while fading) and images
of the final resolution, whatever level is trained: reals are enlarged before the loss, G enlarges
what it makes, D averages 2x2 pixels until it has the size that it looks at. The gradient of the
penalty is that of autograd, with respect to images of the final resolution. Adam is TensorFlow's.
All of it is float64, and slow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]

HE_GAIN = math.sqrt(2)


def enlarge(x: Tensor, times: int) -> Tensor:
    """Repeat each pixel as a square of 2^times x 2^times."""
    return x.repeat_interleave(2**times, dim=2).repeat_interleave(2**times, dim=3)


def average(x: Tensor, times: int) -> Tensor:
    """Average squares of 2^times x 2^times pixels, one halving after the other."""
    for _ in range(times):
        x = (
            x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2] + x[:, :, 1::2, 1::2]
        ) / 4
    return x


def crossfade(new: Tensor, old: Tensor, share_of_old: float) -> Tensor:
    return new * (1 - share_of_old) + old * share_of_old


def pixel_norm(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def with_stddev(x: Tensor, group: int) -> Tensor:
    """One more map; members of a group are every M-th image of a batch of G * M."""
    grouped = x.reshape(group, -1, *x.shape[1:])
    deviation = (grouped.var(dim=0, correction=0) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return torch.cat(
        [x, deviation.repeat(group).reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])], dim=1
    )


@dataclass(frozen=True)
class Layers:
    """Layers of equalized learning rate, by the names of their weights."""

    weights: Weights

    def scaled(self, name: str, gain: float = HE_GAIN) -> Tensor:
        weight = self.weights[f"{name}.weight"]
        return weight * (gain / math.sqrt(math.prod(weight.shape[1:])))

    def conv(self, x: Tensor, name: str, gain: float = HE_GAIN) -> Tensor:
        weight = self.scaled(name, gain)
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def dense(self, x: Tensor, name: str, gain: float = HE_GAIN) -> Tensor:
        return x @ self.scaled(name, gain).T + self.weights[f"{name}.bias"]


def size(level: int) -> str:
    return f"{2**level}x{2**level}"


def generate(
    weights: Weights, latents: Tensor, labels: Tensor, max_level: int, lod: float
) -> Tensor:
    """Images [N, C, S, S] of the final size S."""
    layers, floor = Layers(weights), math.floor(lod)
    level = max_level - floor

    def rgb(x: Tensor, at: int) -> Tensor:
        return layers.conv(x, f"to_rgb.{size(at)}", gain=1)

    x = pixel_norm(torch.cat([latents, labels], dim=1))
    x = (x @ layers.scaled("blocks.4x4.dense", HE_GAIN / 4).T).reshape(len(x), -1, 4, 4)
    x = pixel_norm(leaky(x + weights["blocks.4x4.dense.bias"][:, None, None]))
    x = below = pixel_norm(leaky(layers.conv(x, "blocks.4x4.conv")))
    for each in range(3, level + 1):
        below = x
        x = pixel_norm(leaky(layers.conv(enlarge(x, 1), f"blocks.{size(each)}.up")))
        x = pixel_norm(leaky(layers.conv(x, f"blocks.{size(each)}.conv")))
    image = rgb(x, level)
    if lod > floor:
        image = crossfade(image, enlarge(rgb(below, level - 1), 1), lod - floor)
    return enlarge(image, floor)


def discriminate(
    weights: Weights, images: Tensor, max_level: int, lod: float, group: int
) -> tuple[Tensor, Tensor]:
    """Scores [N] and logits [N, label_size] of images [N, C, S, S] of the final size S."""
    layers, floor = Layers(weights), math.floor(lod)
    level = max_level - floor

    def features(at: int) -> Tensor:
        return leaky(layers.conv(average(images, max_level - at), f"from_rgb.{size(at)}"))

    x = features(level)
    for each in range(level, 2, -1):
        x = leaky(layers.conv(x, f"blocks.{size(each)}.conv"))
        x = leaky(average(layers.conv(x, f"blocks.{size(each)}.down"), 1))
        if each == level and lod > floor:
            x = crossfade(x, features(level - 1), lod - floor)
    x = leaky(layers.conv(with_stddev(x, group), "blocks.4x4.conv"))
    x = leaky(layers.dense(x.flatten(1), "blocks.4x4.hidden"))
    out = layers.dense(x, "blocks.4x4.output", gain=1)
    return out[:, 0], out[:, 1:]


def process_reals(images: Tensor, lod: float) -> Tensor:
    """uint8 [N, s, s, C] of the trained size -> float64 [N, C, S, S] of the final size."""
    x = images.permute(0, 3, 1, 2).double() / 127.5 - 1
    fraction = lod - math.floor(lod)
    return enlarge(crossfade(x, enlarge(average(x, 1), 1), fraction), math.floor(lod))


def d_loss(
    weights: Weights,
    reals: Tensor,
    fakes: Tensor,
    labels: Tensor,
    mix: Tensor,
    *,
    max_level: int,
    lod: float,
    group: int,
    target: float,
) -> tuple[Tensor, Tensor]:
    """The mean loss of D, and the norms [N] of its penalty, both 'at the final resolution'."""

    def d(images: Tensor) -> tuple[Tensor, Tensor]:
        return discriminate(weights, images, max_level, lod, group)

    (real_scores, real_logits), (fake_scores, fake_logits) = d(reals), d(fakes)
    mixed = (reals + (fakes - reals) * mix).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(d(mixed)[0].sum(), mixed, create_graph=True)
    norms = gradient.square().sum(dim=(1, 2, 3)).sqrt()
    loss = fake_scores - real_scores
    loss = loss + (norms - target).square() * (10.0 / target**2) + 0.001 * real_scores.square()
    if labels.shape[1]:
        classes = labels.argmax(dim=1)
        loss = loss + F.cross_entropy(real_logits, classes, reduction="none")
        loss = loss + F.cross_entropy(fake_logits, classes, reduction="none")
    return loss.mean(), norms.detach()


def g_loss(
    d_weights: Weights, fakes: Tensor, labels: Tensor, *, max_level: int, lod: float, group: int
) -> Tensor:
    """The mean loss of G."""
    scores, logits = discriminate(d_weights, fakes, max_level, lod, group)
    loss = -scores
    if labels.shape[1]:
        loss = loss + F.cross_entropy(logits, labels.argmax(dim=1), reduction="none")
    return loss.mean()


@dataclass
class Adam:
    """TensorFlow's: the bias correction is folded into the rate, and epsilon added after it."""

    beta2: float = 0.99
    epsilon: float = 1e-8
    steps: int = 0
    second: dict[str, Tensor] = field(default_factory=dict)  # beta1 is 0: no first moments

    def reset(self) -> None:
        self.steps, self.second = 0, {}

    def update(self, weights: dict[str, Tensor], loss: Tensor, rate: float) -> None:
        gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        self.steps += 1
        corrected = rate * math.sqrt(1 - self.beta2**self.steps)
        for name, gradient in zip(list(weights), gradients, strict=True):
            found = torch.zeros_like(weights[name]) if gradient is None else gradient
            before = self.second.get(name, torch.zeros_like(found))
            self.second[name] = self.beta2 * before + (1 - self.beta2) * found.square()
            step = corrected * found / (self.second[name].sqrt() + self.epsilon)
            weights[name] = (weights[name] - step).detach().requires_grad_()


def lod_at(images_seen: int, training_kimg: float, transition_kimg: float, levels: int) -> float:
    """The official clock: `levels` lods to go at the start, 0 once all are faded in."""
    kimg, period = images_seen / 1000, training_kimg + transition_kimg
    periods = math.floor(kimg / period)
    lod = levels - periods - max(kimg - periods * period - training_kimg, 0) / transition_kimg
    return max(lod, 0.0)


@dataclass
class Training:
    """The state of an official training, as dictionaries of weights."""

    g: dict[str, Tensor]
    d: dict[str, Tensor]
    g_ema: dict[str, Tensor]
    max_level: int
    group: int
    target: float
    lod: float = math.inf
    resets: int = -1  # but for the first, before which there is nothing to forget
    g_adam: Adam = field(default_factory=Adam)
    d_adam: Adam = field(default_factory=Adam)

    def set_lod(self, lod: float) -> None:
        """Reset both optimizers where the floor or the ceiling of lod changes."""
        if not math.isfinite(self.lod) or (math.floor(lod), math.ceil(lod)) != (
            math.floor(self.lod),
            math.ceil(self.lod),
        ):
            self.g_adam.reset()
            self.d_adam.reset()
            self.resets += 1
        self.lod = lod

    def train_d(
        self, images: Tensor, labels: Tensor, latents: Tensor, mix: Tensor, rate: float
    ) -> tuple[float, float]:
        """Update D, and the average of G together with it; return the loss and the mean norm."""
        with torch.no_grad():
            fakes = generate(self.g, latents, labels, self.max_level, self.lod)
        loss, norms = d_loss(
            self.d,
            process_reals(images, self.lod),
            fakes,
            labels,
            mix,
            max_level=self.max_level,
            lod=self.lod,
            group=self.group,
            target=self.target,
        )
        self.d_adam.update(self.d, loss, rate)
        for name, weight in self.g.items():
            self.g_ema[name] = (0.999 * self.g_ema[name] + 0.001 * weight).detach()
        return loss.item(), norms.mean().item()

    def train_g(self, labels: Tensor, latents: Tensor, rate: float) -> float:
        """Update G; return the loss."""
        fakes = generate(self.g, latents, labels, self.max_level, self.lod)
        loss = g_loss(
            self.d, fakes, labels, max_level=self.max_level, lod=self.lod, group=self.group
        )
        self.g_adam.update(self.g, loss, rate)
        return loss.item()
