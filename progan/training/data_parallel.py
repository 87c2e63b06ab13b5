"""Processes that train together hold the same state (`gradients` averages what moves it)."""

import json
from typing import Any

import torch
from torch import Tensor

from progan.errors import UserError
from progan.runtime.distributed import Group
from progan.sampling.state_file import NETWORKS
from progan.training.checkpoint import COUNTERS, OPTIMIZERS
from progan.training.state import TrainState


def broadcast_state(state: TrainState, group: Group) -> None:
    """Make the state of each process that of the leader, bit for bit."""
    if group.size == 1:
        return
    clocks: dict[str, Any] = json.loads(
        group.broadcast_text(json.dumps({name: getattr(state, name) for name in COUNTERS}))
    )
    for name, value in clocks.items():
        setattr(state, name, value)
    for name in NETWORKS:
        for tensor in getattr(state, name).state_dict().values():
            group.broadcast(tensor)
    for name in OPTIMIZERS:
        _share_moments(getattr(state, name), group)
    for name in sorted(state.controllers):
        group.broadcast(state.controllers[name])
    _share_tally(state, group)


def _share_tally(state: TrainState, group: Group) -> None:
    """Sums of statistics that the leader's state was saved with."""
    tally = state.tally
    tally.counts = json.loads(group.broadcast_text(json.dumps(tally.counts)))
    zero = torch.zeros((), device=next(state.generator.parameters()).device)
    tally.sums = {name: tally.sums.get(name, zero.clone()) for name in tally.counts}
    for value in tally.sums.values():
        group.broadcast(value)


def _share_moments(optimizer: torch.optim.Optimizer, group: Group) -> None:
    """Optimizers have moments only of weights that were moved before."""
    content = optimizer.state_dict()
    shapes = json.loads(
        group.broadcast_text(
            json.dumps(
                [
                    (index, name, list(moment.shape), moment.device.type == "cpu")
                    for index, moments in content["state"].items()
                    for name, moment in moments.items()
                ]
            )
        )
    )
    weights = optimizer.param_groups[0]["params"]
    received: dict[int, dict[str, Tensor]] = {}
    for index, name, shape, on_cpu in shapes:
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
    """Raise UserError unless all processes hold the same weights, as equal steps leave them."""
    if group.size == 1:
        return
    own = torch.stack(
        [weight.double().sum() for name in NETWORKS for weight in getattr(state, name).parameters()]
    )
    leaders = own.clone()
    group.broadcast(leaders)
    if group.any(not torch.equal(own.nan_to_num(), leaders.nan_to_num())):
        raise UserError(
            f"The weights of the {group.size} processes have come apart at kimg {state.kimg:g}. "
            "All machines must be of one kind, with the same torch and the same progan. Go on "
            "with --resume from the last state."
        )
