"""Generator and discriminator in plain NumPy, written from the paper and the official behaviour.

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
    return (x[:, :, 0::2, 0::2] + x[:, :, 0::2, 1::2] + x[:, :, 1::2, 0::2]
            + x[:, :, 1::2, 1::2]) / 4


def convolve(x: Array, weight: Array) -> Array:
    """Correlation with [out, in, k, k] and zeros around the image."""
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
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


def _activation(config: Network) -> Callable[[Array], Array]:
    slope = 0.2 if config.g_activation == "leaky-relu" else 0.0
    return lambda x: np.where(x > 0, x, slope * x)


def _size(level: int) -> str:
    return f"{2**level}x{2**level}"


class _Layers:
    """Layers by name; He's constant comes in at runtime, unless it is in the weights already."""

    def __init__(self, config: Network, weights: Weights) -> None:
        self._equalized, self._weights = config.equalized_lr, weights
        self._base = config.base_height, config.base_width

    def _scaled(self, name: str, gain: float) -> Array:
        weight = self._weights[f"{name}.weight"]
        fan_in = np.prod(weight.shape[1:])
        return weight * (gain / np.sqrt(fan_in) if self._equalized else 1.0)

    def dense(self, x: Array, name: str, gain: float = HE_GAIN) -> Array:
        return x @ self._scaled(name, gain).T + self._weights[f"{name}.bias"]

    def dense_to_maps(self, x: Array, name: str) -> Array:
        features = x @ self._scaled(name, HE_GAIN / 4).T
        features = features.reshape(len(x), -1, *self._base)
        return features + self._weights[f"{name}.bias"][:, None, None]

    def conv(self, x: Array, name: str, gain: float = HE_GAIN) -> Array:
        return convolve(x, self._scaled(name, gain)) + self._weights[f"{name}.bias"][:, None, None]


def generate(config: Network, weights: Weights, latents: Array, labels: Array, level: int,
             alpha: float = 1.0) -> Array:
    """What `Generator(config)` with these weights should draw; alpha 1 is fully faded in."""
    layers, act = _Layers(config, weights), _activation(config)

    def finish(x: Array) -> Array:
        return pixel_norm(act(x)) if config.g_norm == "pixel" else act(x)

    def image(x: Array, at: int) -> Array:
        return layers.conv(x, f"to_rgb.{_size(at)}", gain=1)

    x = np.concatenate([latents, labels], axis=1)
    x = pixel_norm(x) if config.normalize_latents else x
    x = finish(layers.dense_to_maps(x, "blocks.4x4.dense"))
    x = below = finish(layers.conv(x, "blocks.4x4.conv"))
    for each in range(3, level + 1):
        below = x
        x = finish(layers.conv(double(x), f"blocks.{_size(each)}.up"))
        x = finish(layers.conv(x, f"blocks.{_size(each)}.conv"))
    if alpha == 1:
        return image(x, level)
    return (1 - alpha) * double(image(below, level - 1)) + alpha * image(x, level)


def judge(config: Network, weights: Weights, images: Array, level: int,
          alpha: float = 1.0) -> tuple[Array, Array]:
    """Scores [N] and label logits [N, label_size] that `Discriminator(config)` should give."""
    layers, act = _Layers(config, weights), _activation(config)

    def features(x: Array, at: int) -> Array:
        return act(layers.conv(x, f"from_rgb.{_size(at)}"))

    x = features(images, level)
    for each in range(level, 2, -1):
        x = act(layers.conv(x, f"blocks.{_size(each)}.conv"))
        x = layers.conv(x, f"blocks.{_size(each)}.down")
        x = act(halve(x)) if config.fused_scaling else halve(act(x))
        if each == level and alpha != 1:
            x = (1 - alpha) * features(halve(images), level - 1) + alpha * x
    x = with_stddev(x, config.stddev_group) if config.stddev_group else x
    x = act(layers.conv(x, "blocks.4x4.conv"))
    x = act(layers.dense(x.reshape(len(x), -1), "blocks.4x4.hidden"))
    out = layers.dense(x, "blocks.4x4.output", gain=1)
    return out[:, 0], out[:, 1:]
