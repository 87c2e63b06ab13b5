"""Optimizers and their reset at a fade, frozen layers (FreezeD), and one update of the weights."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from progan.config import LossConfig, Optim, Run
from progan.losses.adversarial import get_penalty_interval
from progan.networks import Discriminator
from progan.schedule import Stage

if TYPE_CHECKING:
    from progan.training.state import TrainState

Rate = float | Tensor  # a learning rate; 0-d on the device where steps are captured


def compute_lazy_correction(config: LossConfig) -> float:
    """Return c = k / (k + 1) for a penalty in every k-th step, 1 for one in every step or none.

    The rate of D is multiplied by c, and Adam's decay rates are raised to it, so that the moments
    cover the same number of penalties (Karras et al. 2020, appendix B).
    """
    k = get_penalty_interval(config)
    return 1.0 if k == 1 else k / (k + 1)


def compute_d_rate(config: LossConfig, stage: Stage) -> float:
    """Return the learning rate of the discriminator at a stage, corrected for a lazy penalty."""
    return stage.d_lr * compute_lazy_correction(config)


def build_optimizer(
    parameters: Iterable[nn.Parameter], config: Optim, correction: float = 1.0
) -> Optimizer:
    """Return Adam as in appendix A.1, or RMSProp; the learning rate is set before each update.

    Args:
        correction: Exponent of Adam's decay rates, of `compute_lazy_correction`.
    """
    if config.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=0.0, alpha=config.beta2, eps=config.epsilon)
    return torch.optim.Adam(
        parameters,
        lr=0.0,
        betas=(float(config.beta1) ** correction, float(config.beta2) ** correction),
        eps=config.epsilon,
        fused=True,
    )


def trainable_parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    """Return the parameters of an optimizer that are not frozen."""
    (group,) = optimizer.param_groups
    return [parameter for parameter in group["params"] if parameter.requires_grad]


def update_weights(
    optimizer: Optimizer,
    gradients: Sequence[Tensor | None],
    rate: Rate,
    clip: float = 0.0,
    *,
    skips: bool = False,
) -> Tensor:
    """Take one optimizer step; return the norm of the gradients before clipping, 0-d.

    Args:
        gradients: Of the `trainable_parameters`. Layers that are not in use get None and stay as
            they are (the official code gives them zeros, which has the same effect).
        clip: Clip each element of the gradients to [-clip, clip]; 0: do not.
        skips: Skip the step (weights, moments, step counts) if the norm is not finite.
    """
    (group,) = optimizer.param_groups
    group["lr"] = rate
    for parameter, gradient in zip(trainable_parameters(optimizer), gradients, strict=True):
        parameter.grad = None if gradient is None else _match_strides(parameter, gradient)
    norm = nn.utils.get_total_norm([g for g in gradients if g is not None])
    # Fused Adam reads it on the device, as with torch.amp.GradScaler.
    found_inf = (~norm.isfinite()).float() if skips else None
    optimizer.found_inf = found_inf  # type: ignore[attr-defined]
    if clip:
        nn.utils.clip_grad_value_(group["params"], clip)
    optimizer.step()
    return norm


@torch.no_grad()
def clip_weights(network: nn.Module, limit: float) -> None:
    """Clip trainable weights to [-limit, limit] (Arjovsky et al. 2017, algorithm 1); 0: do not."""
    if limit:
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.clamp_(-limit, limit)


def _match_strides(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Lay a gradient out in memory as its parameter, as fused Adam needs it.

    `backward()` would do so, `torch.autograd.grad` does not.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


@contextmanager
def capturable(optimizer: Optimizer) -> Iterator[None]:
    """Allow the capture of fused Adam's step inside the context; torch warns if it is left on."""
    (group,) = optimizer.param_groups
    before, group["capturable"] = group["capturable"], True
    try:
        yield
    finally:
        group["capturable"] = before


def reset_optimizer(optimizer: Optimizer) -> None:
    """Delete all moments and step counts."""
    optimizer.state.clear()


def enter_phase(state: "TrainState", stage: Stage, run: Run) -> None:
    """Reset the optimizers where a fade starts or ends."""
    if stage.phase != state.phase and run.optim.reset_optimizers:
        reset_optimizer(state.g_optimizer)
        reset_optimizer(state.d_optimizer)
    state.phase = stage.phase


def freeze_highest_levels(discriminator: Discriminator, count: int) -> None:
    """Freeze the image-side layers of the `count` highest resolutions (FreezeD).

    Their gradients are not computed at all.
    """
    last = discriminator.config.max_level
    for level in range(last - count + 1, last + 1):
        for layer in discriminator.image_layers(level):
            layer.requires_grad_(False)


@contextmanager
def gradients_disabled(network: nn.Module) -> Iterator[None]:
    """Compute no gradients of the parameters of a network inside the context."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
