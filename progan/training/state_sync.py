"""The same state in all processes of a data-parallel training; `gradients` are averaged."""

import json
from typing import Any

import torch
from torch import Tensor

from progan.errors import UserError
from progan.runtime.distributed import Group
from progan.training.checkpoint import COUNTERS
from progan.training.state import TrainState


def broadcast_state(state: TrainState, group: Group) -> None:
    """Copy the state of the main process to all others, bit for bit."""
    if group.size == 1:
        return
    counters: dict[str, Any] = json.loads(
        group.broadcast_text(json.dumps({name: getattr(state, name) for name in COUNTERS}))
    )
    for name, value in counters.items():
        setattr(state, name, value)
    for network in state.networks.values():
        for tensor in network.state_dict().values():
            group.broadcast(tensor)
    for optimizer in state.optimizers.values():
        _broadcast_moments(optimizer, group)
    for name in sorted(state.controllers):
        group.broadcast(state.controllers[name])
    _broadcast_stat_sums(state, group)


def _broadcast_stat_sums(state: TrainState, group: Group) -> None:
    stats = state.stat_sums
    stats.counts = json.loads(group.broadcast_text(json.dumps(stats.counts)))
    zero = torch.zeros((), device=next(state.generator.parameters()).device)
    stats.sums = {name: stats.sums.get(name, zero.clone()) for name in stats.counts}
    for value in stats.sums.values():
        group.broadcast(value)


def _broadcast_moments(optimizer: torch.optim.Optimizer, group: Group) -> None:
    """Copy the moments of the main process; only weights that were updated before have any."""
    content = optimizer.state_dict()
    shapes = [
        (index, name, list(moment.shape), moment.device.type == "cpu")
        for index, moments in content["state"].items()
        for name, moment in moments.items()
    ]
    weights = optimizer.param_groups[0]["params"]
    received: dict[int, dict[str, Tensor]] = {}
    for index, name, shape, on_cpu in json.loads(group.broadcast_text(json.dumps(shapes))):
        weight = weights[index]
        moment = content["state"].get(index, {}).get(name)
        if moment is None or list(moment.shape) != shape:
            like = (
                torch.empty_like(weight) if shape == list(weight.shape) else weight.new_empty(shape)
            )
            moment = like.cpu() if on_cpu else like
        group.broadcast(moment)
        received.setdefault(index, {})[name] = moment
    optimizer.load_state_dict(content | {"state": received})


def require_same_weights(state: TrainState, group: Group) -> None:
    """Raise UserError unless all processes hold the same weights."""
    if group.size == 1:
        return
    own = torch.stack(
        [
            weight.double().sum()
            for network in state.networks.values()
            for weight in network.parameters()
        ]
    )
    main = own.clone()
    group.broadcast(main)
    if group.any(not torch.equal(own.nan_to_num(), main.nan_to_num())):
        raise UserError(
            f"The weights of the {group.size} processes differ at kimg {state.kimg:g}. "
            "All machines must have the same kind of device, torch and progan. To continue "
            "from the last state: --resume."
        )
