"""Network files of whatever program, told apart by their content."""

import re
from pathlib import Path

import torch

from progan import networks
from progan.interop.official import from_official
from progan.interop.official_archive import is_archive, read_archive
from progan.interop.official_pickle import is_pickle, read_pickle
from progan.interop.trained import Trained
from progan.interop.zoo_file import is_zoo, read_zoo
from progan.runtime.weights_file import is_weights_file
from progan.sampling.network_file import PREFIX, Snapshot, load_network


def read_foreign(path: Path) -> Trained | None:
    """Networks in a file of another program; None if it is none that is known, as ours are.

    Raises UserError if it is one, and cannot be used.
    """
    if is_weights_file(path):
        return None
    if is_zoo(path):
        return read_zoo(path)
    if is_archive(path):
        return from_official(read_archive(path), str(path), _images_seen(path))
    if is_pickle(path):
        return from_official(read_pickle(path), str(path), _images_seen(path))
    return None


def load_snapshot(path: Path, device: torch.device) -> Snapshot:
    """The generator that draws the pictures, of a network file of ours or of another program.

    Raises UserError if the file is neither.
    """
    trained = read_foreign(path)
    return load_network(path, device) if trained is None else snapshot_of(trained, device)


def snapshot_of(trained: Trained, device: torch.device) -> Snapshot:
    """The averaged generator, as our network files have it."""
    generator = networks.generator(trained.network).to(device)
    role = "average" if "average" in trained.weights else "generator"
    generator.load_state_dict(dict(trained.weights[role]))
    return Snapshot(generator=generator.requires_grad_(False).eval(), level=trained.level,
                    alpha=trained.alpha, images_seen=trained.images_seen,
                    label_names=trained.label_names, untrained_classes=trained.untrained_classes)


def _images_seen(path: Path) -> int:
    """From the name that training gives a file, network-snapshot-<kimg>; 0 of other names."""
    match = re.match(rf"{PREFIX}(\d{{6,}})", path.name)
    return int(match[1]) * 1000 if match else 0
