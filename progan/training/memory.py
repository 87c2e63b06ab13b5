"""How much memory a training step needs, found out without running it."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from progan import networks
from progan.config import Run
from progan.networks import Judgement
from progan.objectives import OBJECTIVES, Chances, critic_loss, dials, generator_loss
from progan.schedule import Stage
from progan.training.freezing import freeze

FLOAT_BYTES = 4


def step_bytes(run: Run, stage: Stage) -> int:
    """Peak bytes of the tensors that are alive during an iteration at `stage`.

    Both losses and their gradients run on the meta device, which knows shapes but holds no
    data, while every tensor is counted from birth to death. To that come weights, average and
    Adam's moments. Workspaces of the libraries and the process itself are not in it.
    """
    device = torch.device("meta")
    with device:
        generator = networks.generator(run.network)
        discriminator = networks.discriminator(run.network)
        freeze(discriminator, run.optim.freeze_d)
        latents = torch.empty(stage.batch, run.network.latent_size)
        labels = torch.empty(stage.batch, run.network.label_size)
        reals = torch.empty(stage.batch, run.network.channels, *run.network.size(stage.level))
        alpha = torch.empty(()) if stage.fading else None
        chances = Chances(mix=torch.empty(stage.batch, 1, 1, 1), pixels=torch.empty_like(reals),
                          targets=torch.empty(2, stage.batch))
        noise = torch.empty(()) if run.objective.adaptive_noise else None
        turning = {name: torch.empty(()) for name in dials.initial(run.objective)}
    paired = OBJECTIVES[run.objective.objective].paired

    def critic(images: Tensor) -> Judgement:
        judgement: Judgement = discriminator(images, stage.level, alpha, noise)
        return judgement

    with LiveBytes() as live:
        with torch.no_grad():
            fakes = generator(latents, labels, stage.level, alpha)
        loss, _ = critic_loss(critic, run.objective, reals=reals, fakes=fakes, labels=labels,
                              chances=chances, dials=turning)
        learning = [weight for weight in discriminator.parameters() if weight.requires_grad]
        torch.autograd.grad(loss, learning, allow_unused=True)
        del loss, fakes
        fakes = generator(latents, labels, stage.level, alpha)
        loss, _ = generator_loss(critic, run.objective, fakes=fakes, labels=labels,
                                 reals=reals if paired else None)
        torch.autograd.grad(loss, list(generator.parameters()), allow_unused=True)
    g, d = count(generator), count(discriminator)
    moments = 2 * (g + sum(weight.numel() for weight in learning))
    resident: int = FLOAT_BYTES * (2 * g + d + moments)  # 2: weights and average
    peak: int = live.peak
    return resident + peak


def count(network: nn.Module) -> int:
    """Number of weights."""
    return sum(parameter.numel() for parameter in network.parameters())


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors made inside of it that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = 0
        self.peak = 0
        self._known = WeakIdKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (),
                           kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._born, out)
        return out

    def _born(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known[storage] = True
            self.live += storage.nbytes()
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._died, storage.nbytes())

    def _died(self, num_bytes: int) -> None:
        self.live -= num_bytes
