"""Adam, and one update with it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from progan.config import Optim


def adam(parameters: Iterable[nn.Parameter], config: Optim) -> torch.optim.Adam:
    """Adam as in appendix A.1; its learning rate is set before each update."""
    return torch.optim.Adam(parameters, lr=0.0, betas=(config.beta1, config.beta2),
                            eps=config.epsilon, fused=True)


def update(optimizer: torch.optim.Adam, loss: Tensor, rate: float) -> Tensor:
    """Take one step down the loss; return the norm of the gradient, 0-d.

    Only gradients of the optimizer's own parameters are computed. Layers that are not in use
    get none and stay as they are (the official code gives them zeros, which do the same).
    """
    (group,) = optimizer.param_groups
    group["lr"] = rate
    gradients = torch.autograd.grad(loss, group["params"], allow_unused=True)
    for parameter, gradient in zip(group["params"], gradients, strict=True):
        parameter.grad = None if gradient is None else _laid_out_as(parameter, gradient)
    optimizer.step()
    return torch.nn.utils.get_total_norm([g for g in gradients if g is not None])


def _laid_out_as(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Fused Adam walks both through memory in step; only backward() would see to that itself."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def reset(optimizer: torch.optim.Adam) -> None:
    """Forget all moments, as if no step had been taken."""
    optimizer.state.clear()
