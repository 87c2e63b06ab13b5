"""Which layers of a network can begin with those of another one: by name and shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

MatchStatus = Literal["copied", "in part", "skipped", "new", "left"]
Region = tuple[slice, ...]  # of a tensor; (): all of it
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Tensors of these lengths in dimension `dim`, else of one shape, share the first `kept`."""

    dim: int
    theirs: int
    ours: int
    kept: int

    def region(self, theirs: Shape, ours: Shape) -> Region | None:
        """What tensors of these shapes share; None: nothing."""
        if len(ours) <= self.dim or len(theirs) != len(ours):
            return None
        if (theirs[self.dim], ours[self.dim]) != (self.theirs, self.ours):
            return None
        before, after = slice(self.dim), slice(self.dim + 1, None)
        if theirs[before] != ours[before] or theirs[after] != ours[after]:
            return None
        return (*[slice(None)] * self.dim, slice(self.kept))


@dataclass(frozen=True, slots=True)
class Match:
    """What becomes of a layer.

    A layer is "copied", or copied "in part", or "skipped" because the shapes differ; it is "new"
    if they have none of its name, and "left" if we have none.
    """

    layer: str
    fate: MatchStatus
    theirs: Shape | None  # of the weight
    ours: Shape | None
    regions: Mapping[str, Region]  # what is copied, by the name of the tensor


def match(
    theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], overlap: Overlap | None = None
) -> list[Match]:
    """What becomes of each layer if our network begins with their weights, ours in their order.

    Layers are taken as a whole: a bias is worth nothing beside another weight.

    Args:
        theirs, ours: State dictionaries; only their names and shapes count.
        overlap: Which tensors share a part though their shapes differ.
    """
    their_layers, our_layers = _layers(theirs), _layers(ours)
    return [
        _match(layer, their_layers.get(layer, {}), our_layers.get(layer, {}), overlap)
        for layer in {**our_layers, **their_layers}
    ]


def merged(
    theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor], matches: list[Match]
) -> dict[str, Tensor]:
    """Our state dictionary with all that is copied from theirs."""
    result = {name: tensor.clone() for name, tensor in ours.items()}
    for found in matches:
        for name, region in found.regions.items():
            result[name][region] = theirs[name][region].to(result[name])
    return result


def _match(
    layer: str, theirs: Mapping[str, Shape], ours: Mapping[str, Shape], overlap: Overlap | None
) -> Match:
    found = {
        f"{layer}.{name}": _common(theirs[name], shape, overlap)
        for name, shape in ours.items()
        if name in theirs
    }
    regions = {name: region for name, region in found.items() if region is not None}
    shared = regions if len(regions) == len(ours) == len(theirs) else {}
    fate: MatchStatus = (
        "new"
        if not theirs
        else "left"
        if not ours
        else "skipped"
        if not shared
        else "in part"
        if any(shared.values())
        else "copied"
    )
    return Match(layer, fate, theirs.get("weight"), ours.get("weight"), shared)


def _common(theirs: Shape, ours: Shape, overlap: Overlap | None) -> Region | None:
    if theirs == ours:
        return ()
    return overlap.region(theirs, ours) if overlap else None


def _layers(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Shape]]:
    """The shapes of the tensors of each layer."""
    layers: dict[str, dict[str, Shape]] = {}
    for name, tensor in weights.items():
        layer, _, own = name.rpartition(".")
        layers.setdefault(layer, {})[own] = tuple(tensor.shape)
    return layers
