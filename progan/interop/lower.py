"""A generator without the levels above the one that is wanted."""

import dataclasses

from progan import networks
from progan.sampling.network_file import Snapshot


def at_level(snapshot: Snapshot, level: int, alpha: float) -> Snapshot:
    """A copy that ends at `level`: the network of that resolution, with these weights.

    Args:
        level: One that the generator can draw at.
        alpha: Weight of that level.
    """
    config = dataclasses.replace(snapshot.generator.config, resolution=1 << level)
    generator = networks.generator(config)
    weights = snapshot.generator.state_dict()
    generator.load_state_dict({name: weights[name] for name in generator.state_dict()})
    return dataclasses.replace(snapshot, generator=generator.requires_grad_(False).eval(),
                               level=level, alpha=alpha)
