"""The other kinds of networks in plain NumPy, from their papers; see numpy_networks.py.

Each function takes what `numpy_networks.generate` and `judge` take.
"""

import math

import numpy as np

from progan.config import Network
from tests.reference import numpy_networks
from tests.reference.numpy_networks import (
    HE_GAIN,
    OUTPUTS,
    Array,
    Layers,
    Weights,
    double,
    halve,
    inputs_of,
    size_of,
    with_stddev,
)


def transposed(x: Array, weight: Array) -> Array:
    """Every pixel leaves its [out, in, k, k] print at twice its place; cut to twice the size."""
    (n, _, h, w), (outputs, _, k, _) = x.shape, weight.shape
    canvas = np.zeros((n, outputs, 2 * h + k, 2 * w + k))
    prints = np.einsum("nihw,oiyx->nohwyx", x, weight)
    for row in range(h):
        for column in range(w):
            canvas[:, :, 2 * row : 2 * row + k, 2 * column : 2 * column + k] += prints[
                :, :, row, column
            ]
    start = (k - 1) // 2
    return canvas[:, :, start : start + 2 * h, start : start + 2 * w]


def strided(x: Array, weight: Array) -> Array:
    """Correlation with [out, in, k, k] at every second pixel."""
    (n, _, h, w), k = x.shape, weight.shape[-1]
    start = (k - 1) // 2
    padded = np.pad(x, ((0, 0), (0, 0), (start, k), (start, k)))
    out = np.empty((n, len(weight), h // 2, w // 2))
    for row in range(h // 2):
        for column in range(w // 2):
            window = padded[:, :, 2 * row : 2 * row + k, 2 * column : 2 * column + k]
            out[:, :, row, column] = np.einsum("niyx,oiyx->no", window, weight)
    return out


def _bias(layers: Layers, name: str) -> Array:
    return layers.weights[f"{name}.bias"][:, None, None]


def head(layers: Layers, x: Array) -> tuple[Array, Array]:
    group = layers.config.stddev_group
    x = with_stddev(x, group) if group else x
    out = layers.dense(x.reshape(len(x), -1), "head.dense", gain=1)
    return out[:, 0], out[:, 1:]


def dcgan_generate(
    config: Network, weights: Weights, latents: Array, labels: Array, level: int, alpha: float = 1.0
) -> Array:
    layers = Layers(config, weights)
    x = layers.dense_to_maps(inputs_of(config, latents, labels), "first")
    for number in range(level - 2):
        x = layers.of_generator(x, f"acts.{number}")
        # Each output sees a quarter of the kernel: He's constant is of that many inputs.
        name, gain = f"ups.{number}", HE_GAIN * 2
        x = transposed(x, layers.scaled(f"{name}", gain)) + _bias(layers, name)
    if config.output_kernel:
        x = layers.conv(layers.of_generator(x, f"acts.{level - 2}"), "to_rgb", gain=1)
    return OUTPUTS[config.output](x)


def dcgan_judge(
    config: Network, weights: Weights, images: Array, level: int, alpha: float = 1.0
) -> tuple[Array, Array]:
    layers, x = Layers(config, weights), images
    for number in range(level - 2):
        name = f"downs.{number}"
        x = strided(x, layers.scaled(name, HE_GAIN)) + _bias(layers, name)
        norm = config.d_norm if number else "none"  # the layer that sees the image has none
        x = layers.finish(x, f"acts.{number}", config.d_activation, norm)
    return head(layers, x)


def resnet_generate(
    config: Network, weights: Weights, latents: Array, labels: Array, level: int, alpha: float = 1.0
) -> Array:
    layers = Layers(config, weights)
    x = layers.dense_to_maps(inputs_of(config, latents, labels), "first")
    for number in range(level - 2):
        block = f"blocks.{number}"
        residual = layers.conv(double(layers.of_generator(x, f"{block}.first_act")), f"{block}.up")
        residual = layers.conv(
            layers.of_generator(residual, f"{block}.second_act"), f"{block}.conv"
        )
        x = layers.conv(double(x), f"{block}.shortcut", gain=1) + residual
    x = layers.conv(layers.of_generator(x, "act"), "to_rgb", gain=1)
    return OUTPUTS[config.output](x)


def resnet_judge(
    config: Network, weights: Weights, images: Array, level: int, alpha: float = 1.0
) -> tuple[Array, Array]:
    layers = Layers(config, weights)
    x = layers.conv(images, "from_rgb", gain=1)
    for number in range(level - 2):
        block = f"blocks.{number}"
        residual = layers.conv(layers.of_discriminator(x, f"{block}.first_act"), f"{block}.conv")
        residual = layers.conv(
            layers.of_discriminator(residual, f"{block}.second_act"), f"{block}.down"
        )
        x = halve(layers.conv(x, f"{block}.shortcut", gain=1)) + halve(residual)
    return head(layers, x)


def decode(layers: Layers, name: str, code: Array, level: int, activation: str, norm: str) -> Array:
    x = layers.dense_to_maps(code, f"{name}.first")
    for number in range(level - 1):
        x = pair(layers, f"{name}.convs.{number}", double(x) if number else x, activation, norm)
    return OUTPUTS[layers.config.output](layers.conv(x, f"{name}.to_rgb", gain=1))


def pair(layers: Layers, name: str, x: Array, activation: str, norm: str) -> Array:
    for each in ("first", "second"):
        x = layers.finish(layers.conv(x, f"{name}.{each}"), f"{name}.{each}_act", activation, norm)
    return x


def autoencoder_generate(
    config: Network, weights: Weights, latents: Array, labels: Array, level: int, alpha: float = 1.0
) -> Array:
    return decode(
        Layers(config, weights),
        "decoder",
        inputs_of(config, latents, labels),
        level,
        config.g_activation,
        config.g_norm,
    )


def autoencoder_judge(
    config: Network, weights: Weights, images: Array, level: int, alpha: float = 1.0
) -> tuple[Array, Array]:
    layers = Layers(config, weights)
    code = encode(config, weights, images, level)
    wrong = decode(layers, "decoder", code, level, config.d_activation, config.d_norm) - images
    energy = np.abs(wrong) if config.energy == "l1" else wrong**2
    logits = layers.dense(code, "classes", gain=1) if config.label_size else code[:, :0]
    return -energy.mean(axis=(1, 2, 3)), logits


def encode(config: Network, weights: Weights, images: Array, level: int) -> Array:
    layers = Layers(config, weights)
    x = layers.conv(images, "encoder.from_rgb")
    for number in range(level - 1):
        x = pair(
            layers,
            f"encoder.convs.{number}",
            halve(x) if number else x,
            config.d_activation,
            config.d_norm,
        )
    return layers.dense(x.reshape(len(x), -1), "encoder.last", gain=1)


def stacked_mnist_generate(
    config: Network, weights: Weights, latents: Array, labels: Array, level: int, alpha: float = 1.0
) -> Array:
    layers = Layers(config, weights)

    def image(x: Array, at: int) -> Array:
        return layers.conv(x, f"to_rgb.{size_of(at)}", gain=1)

    x = below = layers.of_generator(
        layers.dense_to_maps(inputs_of(config, latents, labels), "first"), "acts.4x4"
    )
    for each in range(3, level + 1):
        below = x
        x = layers.of_generator(
            layers.conv(double(x), f"ups.{size_of(each)}"), f"acts.{size_of(each)}"
        )
    images = image(x, level)
    if alpha != 1:
        images = (1 - alpha) * double(image(below, level - 1)) + alpha * images
    return OUTPUTS[config.output](images)


def stacked_mnist_judge(
    config: Network, weights: Weights, images: Array, level: int, alpha: float = 1.0
) -> tuple[Array, Array]:
    layers = Layers(config, weights)

    def features(x: Array, at: int) -> Array:
        if at == int(math.log2(config.resolution)):
            return x
        return numpy_networks.ACTIVATIONS[config.d_activation](
            layers.conv(x, f"from_rgb.{size_of(at)}")
        )

    x = features(images, level)
    for each in range(level, 2, -1):
        name = f"downs.{size_of(each)}"
        x, act = layers.conv(x, name), f"{name}.act"
        x = (
            layers.of_discriminator(halve(x), act)
            if config.fused_scaling
            else (halve(layers.of_discriminator(x, act)))
        )
        if each == level and alpha != 1:
            x = (1 - alpha) * features(halve(images), level - 1) + alpha * x
    return head(layers, x)


# kind: (generate, judge)
REFERENCES = {
    "progressive": (numpy_networks.generate, numpy_networks.judge),
    "dcgan": (dcgan_generate, dcgan_judge),
    "resnet": (resnet_generate, resnet_judge),
    "autoencoder": (autoencoder_generate, autoencoder_judge),
    "stacked-mnist": (stacked_mnist_generate, stacked_mnist_judge),
}
