"""Load networks of any supported file, identified by its content."""

import re
from pathlib import Path

import torch

from progan import networks
from progan.interop.describe_file import unreadable_error
from progan.interop.imported_model import ImportedModel
from progan.interop.official import OfficialNetwork, convert_from_official
from progan.interop.official_files import is_archive, is_pickle, read_archive, read_pickle
from progan.interop.zoo import is_zoo, read_zoo
from progan.runtime.safe_pickle import BrokenPickle, RefusedPickle
from progan.runtime.weights_file import is_weights_file
from progan.sampling.checkpoint_format import is_checkpoint, load_g_ema
from progan.sampling.snapshot_file import SNAPSHOT_PREFIX, NotANetwork, Snapshot, load_network


def import_foreign(path: Path) -> ImportedModel | None:
    """Import networks of another program; return None if the file is progan's.

    Raises UserError if it is neither, or unusable.
    """
    if is_weights_file(path) or is_checkpoint(path):
        return None
    if is_zoo(path):
        return read_zoo(path)
    if is_archive(path):
        return convert_from_official(read_archive(path), str(path), _parse_images_seen(path))
    if is_pickle(path):
        return convert_from_official(
            _read_official_pickle(path), str(path), _parse_images_seen(path)
        )
    raise unreadable_error(path)


def is_loadable_network(path: Path) -> bool:
    """Return True if a file has one of the formats that `load_snapshot` reads."""
    return path.is_file() and (
        is_weights_file(path)
        or is_checkpoint(path)
        or is_zoo(path)
        or is_archive(path)
        or is_pickle(path)
    )


def load_snapshot(path: Path, device: torch.device) -> Snapshot:
    """Load the generator (g_ema) of a network file, training state or file of another program.

    Raises UserError if the file is none of these.
    """
    model = import_foreign(path)
    if model is not None:
        return to_snapshot(model, device)
    return (
        load_g_ema(path, device) if is_checkpoint(path) else load_network_or_explain(path, device)
    )


def load_network_or_explain(path: Path, device: torch.device) -> Snapshot:
    """Load a network file of progan; raises UserError that describes the file if it is none."""
    try:
        return load_network(path, device)
    except NotANetwork:
        raise unreadable_error(path) from None


def _read_official_pickle(path: Path) -> dict[str, OfficialNetwork]:
    """Read a pickle; raises UserError that describes the file if it is none of these."""
    try:
        return read_pickle(path)
    except RefusedPickle as error:
        raise (error if error.hostile else unreadable_error(path)) from None
    except BrokenPickle:
        raise unreadable_error(path) from None


def to_snapshot(model: ImportedModel, device: torch.device) -> Snapshot:
    """Build the snapshot of g_ema, or of the generator without it."""
    generator = networks.build_generator(model.network).to(device)
    role = "average" if "average" in model.weights else "generator"
    generator.load_state_dict(dict(model.weights[role]))
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=model.level,
        alpha=model.alpha,
        images_seen=model.images_seen,
        label_names=model.label_names,
        untrained_classes=model.untrained_classes,
        first_level=model.first_level,
    )


def _parse_images_seen(path: Path) -> int:
    """Return the images seen by the name network-snapshot-<kimg>; 0 for other names."""
    match = re.match(rf"{SNAPSHOT_PREFIX}(\d{{6,}})", path.name)
    return int(match[1]) * 1000 if match else 0
