"""Which weights are trained (FreezeD), the optimizers, and one update with them."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from progan.config import Optim
from progan.networks import Discriminator

Rate = float | Tensor  # a learning rate; 0-d on the device where steps are recorded


def optimizer(parameters: Iterable[nn.Parameter], config: Optim) -> Optimizer:
    """Adam as in appendix A.1, or RMSProp; the learning rate is set before each update."""
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=0.0, alpha=config.beta2, eps=config.epsilon)
    return torch.optim.Adam(
        parameters,
        lr=0.0,
        betas=(float(config.beta1), float(config.beta2)),
        eps=config.epsilon,
        fused=True,
    )


def trainable_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """The weights that an optimizer moves: gradients of no others need to be computed."""
    (group,) = optimizer.param_groups
    return [parameter for parameter in group["params"] if parameter.requires_grad]


def update(
    optimizer: Optimizer,
    gradients: Sequence[Tensor | None],
    rate: Rate,
    clip: float = 0.0,
    *,
    skips: bool = False,
) -> Tensor:
    """Take one step down the gradients; return their norm before they were clipped, 0-d.

    Args:
        gradients: Of the weights that are `learning`. Layers that are not in use get None and
            stay as they are (the official code gives them zeros, which do the same).
        clip: Largest element of a gradient that is used; 0: any.
        skips: Leave weights, moments and their counters as they are if the norm is not finite.
    """
    (group,) = optimizer.param_groups
    group["lr"] = rate
    for parameter, gradient in zip(trainable_parameters(optimizer), gradients, strict=True):
        parameter.grad = None if gradient is None else _laid_out_as(parameter, gradient)
    norm = nn.utils.get_total_norm([g for g in gradients if g is not None])
    # Fused Adam looks at it on the device (torch.amp.GradScaler tells it in the same way).
    lost = (~norm.isfinite()).float() if skips else None
    optimizer.found_inf = lost  # type: ignore[attr-defined]
    if clip:
        nn.utils.clip_grad_value_(group["params"], clip)
    optimizer.step()
    return norm


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Clip all weights that learn to [-limit, limit]; 0: leave them.

    Source: Arjovsky et al. 2017, algorithm 1.
    """
    if limit:
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-limit, limit)


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Fused Adam walks both through memory in step; only backward() would see to that itself."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


@contextmanager
def capturable(optimizer: Optimizer) -> Iterator[None]:
    """Meanwhile a step of fused Adam may be recorded, which torch must be told; it warns of those
    that are told so and not recorded."""
    (group,) = optimizer.param_groups
    before, group["capturable"] = group["capturable"], True
    try:
        yield
    finally:
        group["capturable"] = before


def reset(optimizer: Optimizer) -> None:
    """Forget all moments, as if no step had been taken."""
    optimizer.state.clear()


def freeze(discriminator: Discriminator, count: int) -> None:
    """Let the layers of the `count` highest resolutions, on the side of the images, not learn.

    Their gradients are not computed at all.
    """
    last = discriminator.config.max_level
    for level in range(last - count + 1, last + 1):
        for layer in discriminator.looking(level):
            layer.requires_grad_(False)


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Meanwhile no gradients of the weights of a network are computed, not even on the way."""
    awake = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in awake:
            parameter.requires_grad_(True)
