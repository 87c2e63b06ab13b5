"""Match the layers of two networks by name and shape, and copy weights between them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

MatchStatus = Literal["copied", "in part", "skipped", "new", "left"]
Region = tuple[slice, ...]  # region of a tensor; (): all of it
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Tensors with these lengths of dimension `dim`, else of one shape, share the first `kept`."""

    dim: int
    source: int
    target: int
    kept: int

    def region(self, source: Shape, target: Shape) -> Region | None:
        """Return the region that tensors of these shapes share; None: nothing."""
        if len(target) <= self.dim or len(source) != len(target):
            return None
        if (source[self.dim], target[self.dim]) != (self.source, self.target):
            return None
        before, after = slice(self.dim), slice(self.dim + 1, None)
        if source[before] != target[before] or source[after] != target[after]:
            return None
        return (*[slice(None)] * self.dim, slice(self.kept))


@dataclass(frozen=True, slots=True)
class LayerMatch:
    """Initialisation of a layer from another network.

    It is "copied", or copied "in part", or "skipped" because the shapes differ; it is "new" if the
    source has none of its name, and "left" if the target has none.
    """

    layer: str
    status: MatchStatus
    source: Shape | None  # shape of the weight
    target: Shape | None
    regions: Mapping[str, Region]  # copied regions, by the name of the tensor


def match_layers(
    source: Mapping[str, Tensor], target: Mapping[str, Tensor], overlap: Overlap | None = None
) -> list[LayerMatch]:
    """Match each layer of two state dictionaries, in the order of the target.

    Layers are copied as a whole: a bias is useless with another weight.

    Args:
        source, target: State dictionaries; only their names and shapes are used.
        overlap: Tensors that share a part though their shapes differ.
    """
    source_layers, target_layers = _shapes_by_layer(source), _shapes_by_layer(target)
    return [
        _match_layer(layer, source_layers.get(layer, {}), target_layers.get(layer, {}), overlap)
        for layer in {**target_layers, **source_layers}
    ]


def merge_weights(
    source: Mapping[str, Tensor], target: Mapping[str, Tensor], matches: list[LayerMatch]
) -> dict[str, Tensor]:
    """Return the target's state dictionary with the matching regions of the source."""
    result = {name: tensor.clone() for name, tensor in target.items()}
    for match in matches:
        for name, region in match.regions.items():
            result[name][region] = source[name][region].to(result[name])
    return result


def _match_layer(
    layer: str, source: Mapping[str, Shape], target: Mapping[str, Shape], overlap: Overlap | None
) -> LayerMatch:
    common = {
        f"{layer}.{name}": _common_region(source[name], shape, overlap)
        for name, shape in target.items()
        if name in source
    }
    regions = {name: region for name, region in common.items() if region is not None}
    if not len(regions) == len(target) == len(source):
        regions = {}
    status: MatchStatus
    if not source:
        status = "new"
    elif not target:
        status = "left"
    elif not regions:
        status = "skipped"
    else:
        status = "in part" if any(regions.values()) else "copied"
    return LayerMatch(layer, status, source.get("weight"), target.get("weight"), regions)


def _common_region(source: Shape, target: Shape, overlap: Overlap | None) -> Region | None:
    if source == target:
        return ()
    return overlap.region(source, target) if overlap else None


def _shapes_by_layer(weights: Mapping[str, Tensor]) -> dict[str, dict[str, Shape]]:
    """Return the shapes of the tensors of each layer."""
    layers: dict[str, dict[str, Shape]] = {}
    for name, tensor in weights.items():
        layer, _, own = name.rpartition(".")
        layers.setdefault(layer, {})[own] = tuple(tensor.shape)
    return layers
