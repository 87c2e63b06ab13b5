"""Comparison of networks with their NumPy references, in float64."""

from typing import TypeVar

import numpy as np
import torch
from torch import nn

from progan import networks as nets
from progan.config import Network
from tests.reference.numpy_kinds import REFERENCES

T = TypeVar("T", bound=nn.Module)

BATCH = 8


def randomized(network: T) -> T:
    """The network in float64, with random numbers for all weights and biases."""
    random = np.random.RandomState(3)
    for parameter in network.double().parameters():
        values = random.randn(*parameter.shape)
        parameter.data.copy_(torch.from_numpy(values) * (1 if parameter.ndim > 1 else 0.3))
    return network.requires_grad_(False)


def arrays(network: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def one_hot(config: Network, n: int) -> np.ndarray:
    return (
        np.eye(config.label_size)[np.arange(n) * 3 % config.label_size]
        if (config.label_size)
        else np.zeros((n, 0))
    )


def as_tensor(alpha: float) -> torch.Tensor | None:
    return None if alpha == 1 else torch.tensor(alpha, dtype=torch.float64)


def assert_generator_agrees(config: Network, level: int, alpha: float) -> None:
    network = randomized(nets.build_generator(config))
    generate, _ = REFERENCES[config.kind]
    latents = np.random.RandomState(4).randn(BATCH, config.latent_size)
    labels = one_hot(config, BATCH)
    drawn = network(torch.from_numpy(latents), torch.from_numpy(labels), level, as_tensor(alpha))
    expected = generate(config, arrays(network), latents, labels, level, alpha)
    assert expected.shape == (BATCH, config.channels, *config.size(level))
    assert expected.std() > 0.01
    np.testing.assert_allclose(drawn.numpy(), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def assert_discriminator_agrees(config: Network, level: int, alpha: float, n: int = BATCH) -> None:
    network = randomized(nets.build_discriminator(config))
    _, judge = REFERENCES[config.kind]
    images = np.random.RandomState(5).uniform(-1, 1, (n, config.channels, *config.size(level)))
    found = network(torch.from_numpy(images), level, as_tensor(alpha))
    expected = judge(config, arrays(network), images, level, alpha)
    assert expected[1].shape == (n, config.label_size)
    scale = 1e-10 * np.abs(expected[0]).max()
    for ours, theirs in zip(found[:2], expected, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=0, atol=scale)
