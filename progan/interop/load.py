"""Network files and training states, of progan and of other programs, told apart by content."""

import re
from pathlib import Path

import torch

from progan import networks
from progan.interop.describe_file import unreadable_error
from progan.interop.imported_model import ImportedModel
from progan.interop.official import OfficialNetwork, from_official
from progan.interop.official_files import is_archive, is_pickle, read_archive, read_pickle
from progan.interop.zoo import is_zoo, read_zoo
from progan.runtime.safe_pickle import BrokenPickle, RefusedPickle
from progan.runtime.weights_file import is_weights_file
from progan.sampling.checkpoint_file import is_checkpoint, load_g_ema
from progan.sampling.snapshot_file import PREFIX, NotANetwork, Snapshot, load_network


def import_foreign(path: Path) -> ImportedModel | None:
    """Networks in a file of another program; None if it is a file of progan.

    Raises UserError if it is neither, or cannot be used.
    """
    if is_weights_file(path) or is_checkpoint(path):
        return None
    if is_zoo(path):
        return read_zoo(path)
    if is_archive(path):
        return from_official(read_archive(path), str(path), _images_seen(path))
    if is_pickle(path):
        return from_official(_official(path), str(path), _images_seen(path))
    raise unreadable_error(path)


def is_network(path: Path) -> bool:
    """Whether a file begins as one that `load_snapshot` reads, or as one of the same format."""
    return path.is_file() and (
        is_weights_file(path)
        or is_checkpoint(path)
        or is_zoo(path)
        or is_archive(path)
        or is_pickle(path)
    )


def load_snapshot(path: Path, device: torch.device) -> Snapshot:
    """The generator that draws: of a network file, a training state or a file of another program.

    Raises UserError if the file is none of these.
    """
    trained = import_foreign(path)
    if trained is not None:
        return to_snapshot(trained, device)
    return (
        load_g_ema(path, device) if is_checkpoint(path) else load_network_or_explain(path, device)
    )


def load_network_or_explain(path: Path, device: torch.device) -> Snapshot:
    """The generator of a network file of progan; raises UserError that says what else it is."""
    try:
        return load_network(path, device)
    except NotANetwork:
        raise unreadable_error(path) from None


def _official(path: Path) -> dict[str, OfficialNetwork]:
    try:
        return read_pickle(path)
    except RefusedPickle as error:
        raise (error if error.hostile else unreadable_error(path)) from None
    except BrokenPickle:
        raise unreadable_error(path) from None


def to_snapshot(trained: ImportedModel, device: torch.device) -> Snapshot:
    """The averaged generator, as our network files have it."""
    generator = networks.generator(trained.network).to(device)
    role = "average" if "average" in trained.weights else "generator"
    generator.load_state_dict(dict(trained.weights[role]))
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=trained.level,
        alpha=trained.alpha,
        images_seen=trained.images_seen,
        label_names=trained.label_names,
        untrained_classes=trained.untrained_classes,
    )


def _images_seen(path: Path) -> int:
    """From the name that training gives a file, network-snapshot-<kimg>; 0 of other names."""
    match = re.match(rf"{PREFIX}(\d{{6,}})", path.name)
    return int(match[1]) * 1000 if match else 0
