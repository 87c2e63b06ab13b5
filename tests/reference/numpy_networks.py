"""The progressive networks in plain NumPy, written from the paper and the official behaviour.

Slow, and meant to be read beside table 2: convolutions as sums over sliding windows, doubling and
averaging as separate steps, no fused kernels. Arrays are float64; images are [N, C, H, W]. The
weights are a state dict of ours as arrays: `blocks.8x8.conv.weight`, `to_rgb.8x8.bias` ….
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from progan.config import Network

Array = npt.NDArray[np.float64]
Weights = Mapping[str, Array]

HE_GAIN = math.sqrt(2)


def double(x: Array) -> Array:
    return np.repeat(np.repeat(x, 2, axis=2), 2, axis=3)


def halve(x: Array) -> Array:
    return (
        x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2] + x[:, :, 1::2, 1::2]
    ) / 4


def convolve(x: Array, weight: Array) -> Array:
    """Correlation with [out, in, k, k] and zeros around the image; the odd one is at the end."""
    k = weight.shape[-1]
    around = ((k - 1) // 2, k // 2)
    padded = np.pad(x, ((0, 0), (0, 0), around, around))
    windows = sliding_window_view(padded, (k, k), axis=(2, 3))  # [N, in, H, W, k, k]
    return np.einsum("nihwyx,oiyx->nohw", windows, weight)


def pixel_norm(x: Array) -> Array:
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-8)


def with_stddev(x: Array, group_size: int) -> Array:
    """One more map: how much the members of each group differ, averaged over all features.

    The largest group that divides the batch; its members are every M-th image.
    """
    n = len(x)
    size = next(size for size in range(min(n, group_size), 0, -1) if n % size == 0)
    num_groups = n // size
    extra = np.empty((n, 1, *x.shape[2:]))
    for first in range(num_groups):
        members = x[first::num_groups]
        extra[first::num_groups] = np.sqrt(np.var(members, axis=0) + 1e-8).mean()
    return np.concatenate([x, extra], axis=1)


def with_neighbours(x: Array, weight: Array, bias: Array) -> Array:
    """Minibatch discrimination (Salimans et al. 2016, section 3.2), image by image.

    How near the others are, for each of K kernels of 5 rows; an image is not a neighbour of itself.
    """
    n, kernels = len(x), len(bias)
    rows = (x @ weight.T).reshape(n, kernels, 5)
    extra = np.zeros((n, kernels))
    for i in range(n):
        for j in range(n):
            for kernel in range(kernels):
                if i != j:
                    distance = np.abs(rows[i, kernel] - rows[j, kernel]).sum()
                    extra[i, kernel] += np.exp(-distance)
    return np.concatenate([x, extra + bias], axis=1)


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "leaky-relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu": lambda x: np.maximum(x, 0),
    "elu": _elu,
}
OUTPUTS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "sigmoid": lambda x: 2 / (1 + np.exp(-x)) - 1,
}


def size_of(level: int) -> str:
    return f"{2**level}x{2**level}"


class Layers:
    """Layers by name; He's constant comes in at runtime, unless it is in the weights already."""

    def __init__(self, config: Network, weights: Weights) -> None:
        self.config, self.weights = config, weights

    def scaled(self, name: str, gain: float) -> Array:
        weight = self.weights[f"{name}.weight"]
        fan_in = np.prod(weight.shape[1:])
        return weight * (gain / np.sqrt(fan_in) if self.config.equalized_lr else 1.0)

    def dense(self, x: Array, name: str, gain: float = HE_GAIN) -> Array:
        return x @ self.scaled(name, gain).T + self.weights[f"{name}.bias"]

    def dense_to_maps(self, x: Array, name: str) -> Array:
        features = x @ self.scaled(name, HE_GAIN / 4).T
        features = features.reshape(len(x), -1, *self.config.base)
        return features + self.weights[f"{name}.bias"][:, None, None]

    def conv(self, x: Array, name: str, gain: float = HE_GAIN) -> Array:
        return convolve(x, self.scaled(name, gain)) + self.weights[f"{name}.bias"][:, None, None]

    def finish(self, x: Array, name: str, activation: str, norm: str) -> Array:
        """Activation with a normalisation: batch and layer before it, pixel after it."""
        if norm in ("batch", "layer"):
            spatial = tuple(range(2, x.ndim))
            over = (0, *spatial) if norm == "batch" else (1, *spatial)
            x = (x - x.mean(over, keepdims=True)) / np.sqrt(x.var(over, keepdims=True) + 1e-5)
            shape = (-1, *(1 for _ in spatial))
            x = x * self.weights[f"{name}.norm.weight"].reshape(shape) + (
                self.weights[f"{name}.norm.bias"].reshape(shape)
            )
        x = ACTIVATIONS[activation](x)
        return pixel_norm(x) if norm == "pixel" else x

    def of_generator(self, x: Array, name: str) -> Array:
        return self.finish(x, name, self.config.g_activation, self.config.g_norm)

    def of_discriminator(self, x: Array, name: str) -> Array:
        return self.finish(x, name, self.config.d_activation, self.config.d_norm)


def inputs_of(config: Network, latents: Array, labels: Array) -> Array:
    x = np.concatenate([latents, labels], axis=1)
    return pixel_norm(x) if config.normalize_latents else x


def generate(
    config: Network, weights: Weights, latents: Array, labels: Array, level: int, alpha: float = 1.0
) -> Array:
    """What the progressive generator with these weights should draw; alpha 1: fully faded in."""
    layers, finish = Layers(config, weights), Layers(config, weights).of_generator

    def image(x: Array, at: int) -> Array:
        return layers.conv(x, f"to_rgb.{size_of(at)}", gain=1)

    x = inputs_of(config, latents, labels)
    x = finish(layers.dense_to_maps(x, "blocks.4x4.dense"), "blocks.4x4.dense_act")
    x = below = finish(layers.conv(x, "blocks.4x4.conv"), "blocks.4x4.conv_act")
    for each in range(3, level + 1):
        below, block = x, f"blocks.{size_of(each)}"
        x = finish(layers.conv(double(x), f"{block}.up"), f"{block}.up_act")
        x = finish(layers.conv(x, f"{block}.conv"), f"{block}.conv_act")
    images = image(x, level)
    if alpha != 1:
        images = (1 - alpha) * double(image(below, level - 1)) + alpha * images
    return OUTPUTS[config.output](images)


def judge(
    config: Network, weights: Weights, images: Array, level: int, alpha: float = 1.0
) -> tuple[Array, Array]:
    """Scores [N] and label logits [N, label_size] that the progressive discriminator gives."""
    layers, finish = Layers(config, weights), Layers(config, weights).of_discriminator

    def features(x: Array, at: int) -> Array:
        return ACTIVATIONS[config.d_activation](layers.conv(x, f"from_rgb.{size_of(at)}"))

    x = features(images, level)
    for each in range(level, 2, -1):
        block = f"blocks.{size_of(each)}"
        x = finish(layers.conv(x, f"{block}.conv"), f"{block}.conv_act")
        x, act = layers.conv(x, f"{block}.down"), f"{block}.down.act"
        x = finish(halve(x), act) if config.fused_scaling else halve(finish(x, act))
        if each == level and alpha != 1:
            x = (1 - alpha) * features(halve(images), level - 1) + alpha * x
    x = with_stddev(x, config.stddev_group) if config.stddev_group else x
    x = finish(layers.conv(x, "blocks.4x4.conv"), "blocks.4x4.conv_act")
    x = finish(layers.dense(x.reshape(len(x), -1), "blocks.4x4.hidden"), "blocks.4x4.hidden_act")
    if config.minibatch_kernels:
        x = with_neighbours(
            x, weights["blocks.4x4.neighbours.weight"], weights["blocks.4x4.neighbours.bias"]
        )
    out = layers.dense(x, "blocks.4x4.output", gain=1)
    return out[:, 0], out[:, 1:]
