"""From any file of networks to ours, or to one with the official names."""

from collections.abc import Callable
from pathlib import Path

import torch

from progan.config import Network
from progan.errors import UserError
from progan.interop import official_archive
from progan.interop.official import official_layers, to_official_networks
from progan.interop.official_settings import require_official
from progan.interop.reading import read_foreign, snapshot_of
from progan.interop.trained import Shape, Trained
from progan.sampling import network_file
from progan.sampling.network_file import load_network, save_network

CPU = torch.device("cpu")


def read(path: Path) -> Trained:
    """Networks in a file of any kind that is known; raises UserError."""
    return read_foreign(path) or _of_ours(path)


def convert(trained: Trained, source: Path, target: Path) -> None:
    """Write networks as the suffix of the target says; raises UserError if they cannot be."""
    KINDS[target.suffix](trained, source, target)


def _of_ours(path: Path) -> Trained:
    snapshot = load_network(path, CPU)
    weights = snapshot.generator.state_dict()
    network = snapshot.generator.config
    return Trained(network=network, weights={"average": weights}, level=snapshot.level,
                   alpha=snapshot.alpha, images_seen=snapshot.images_seen,
                   theirs={"average": _official_layers(network, {
                       name: tuple(weight.shape) for name, weight in weights.items()})})


def _official_layers(network: Network, shapes: dict[str, Shape]
                     ) -> dict[str, tuple[str, Shape]]:
    """What the official code calls the layers of the generator; {} if it cannot have them."""
    try:
        require_official(network, "", judges=False)
    except UserError:
        return {}
    return official_layers("average", network, shapes)


def _to_network_file(trained: Trained, source: Path, target: Path) -> None:
    save_network(target, snapshot_of(trained, CPU))


def _to_archive(trained: Trained, source: Path, target: Path) -> None:
    official_archive.write_archive(target, to_official_networks(trained, str(source)))


KINDS: dict[str, Callable[[Trained, Path, Path], None]] = {
    network_file.SUFFIX: _to_network_file, official_archive.SUFFIX: _to_archive}
