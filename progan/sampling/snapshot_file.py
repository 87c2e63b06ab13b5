"""Network files of snapshots: safetensors with a header that describes how to use the weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from progan import __version__, networks
from progan.config import Network
from progan.errors import UserError
from progan.networks import Generator
from progan.option_fields import section_from_dict
from progan.run_directory import (
    STATE_PREFIX,
    STATE_SUFFIX,
    add_images_to_file_name,
    format_kimg_file_name,
    sort_by_kimg,
)
from progan.runtime.devices import is_out_of_memory
from progan.runtime.files import hash_file_sha256
from progan.runtime.weights_file import DamagedFile, load_weights, read_header, save_weights
from progan.sizes import MIN_LEVEL

SOFTWARE = f"progan {__version__}"
FORMAT = "progan network"
FORMAT_VERSION = 1
NETWORK_SUFFIX = ".safetensors"
SNAPSHOT_PREFIX = "network-snapshot-"
_INTERIM = "-interim"  # suffix of networks that are deleted when the next one is saved
EXPORTS = (".onnx", ".pt2", ".ts", ".torchscript")
_REMEDY = "Copy it again, or take another snapshot of the run."


def describe_inputs_and_outputs(
    network: Network, level: int, label_names: Sequence[str], untrained: Sequence[int] = ()
) -> dict[str, str]:
    """Describe shapes and ranges of inputs and outputs at `level`, and the meaning of seeds."""
    size = network.size(level)
    words = {
        "latents": f"float32 [N, {network.latent_size}] from a standard normal distribution; seed "
        f"k is numpy.random.RandomState(k).randn(1, {network.latent_size})",
        "images": f"float32 [N, {network.channels}, {size.height}, {size.width}], -1 is black and "
        "1 is white; as uint8: 127.5 x + 127.5, rounded, limited to 0...255",
    }
    if network.label_size:
        default = f"the default class of seed k is k mod {network.label_size}"
        if untrained:
            default = (
                f"no training image had the classes {', '.join(map(str, untrained))}; the default "
                "class of seed k is, of the others, number k mod "
                f"{network.label_size - len(untrained)}, counted from 0"
            )
        words["labels"] = f"float32 [N, {network.label_size}], one-hot; {default}"
        words["classes"] = json.dumps(list(label_names))
    return words


class NotANetwork(UserError):
    """A file without the header of a network file of progan."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """A generator, and the state of its training when it was saved."""

    generator: Generator
    level: int  # log2 of the resolution that was being trained
    alpha: float  # weight of that level; below 1 if it was being faded in
    images_seen: int
    label_names: tuple[str, ...] = ()
    untrained_classes: tuple[int, ...] = ()  # indices of classes that had no training image
    # Where the training of a growing network began; the outputs below are as initialised.
    first_level: int = MIN_LEVEL


def save_network(
    path: Path,
    snapshot: Snapshot,
    weights: Mapping[str, torch.Tensor] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write the weights of the generator with their header.

    Args:
        weights: A copy of the generator's, if training continues meanwhile.
        dtype: Of the weights in the file; they are loaded as float32.
    """
    config = snapshot.generator.config
    header = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "network": asdict(config),
        "level": snapshot.level,
        "alpha": snapshot.alpha,
        "images_seen": snapshot.images_seen,
        "label_names": snapshot.label_names,
        "software": SOFTWARE,
        "untrained_classes": snapshot.untrained_classes,
        "first_level": snapshot.first_level,
        "conventions": describe_inputs_and_outputs(
            config, snapshot.level, snapshot.label_names, snapshot.untrained_classes
        ),
    }
    weights = snapshot.generator.state_dict() if weights is None else weights
    save_weights(path, header, weights, dtype)


def read_images_seen(path: Path) -> int | None:
    """Read the images seen from the header of a network file; None if it is unreadable."""
    try:
        return int(read_header(path, FORMAT)["images_seen"])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]] | None:
    """Read label_names and untrained_classes from the header; None if it is unreadable."""
    try:
        header = read_header(path, FORMAT)
        return (
            tuple(map(str, header["label_names"])),
            tuple(map(int, header.get("untrained_classes", []))),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def load_network(path: Path, device: torch.device) -> Snapshot:
    """Read a network file; raises UserError if it is not one of ours."""
    header, weights = _read_weights_or_explain(path, device)
    version = header.get("version")
    if type(version) is not int:
        raise UserError(f"{path} is damaged: the version of its format is missing. {_REMEDY}")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has network format version {version}; this progan "
            f"reads version {FORMAT_VERSION}. Use the progan that wrote it."
        )
    try:
        snapshot = _build_snapshot(header, weights, device)
    except UserError as error:
        raise UserError(
            f"{path} cannot be used: the settings in its header are damaged, or of "
            f"another version of progan. {error}"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise UserError(
            f"{path} is damaged: its header does not describe its weights. {_REMEDY}"
        ) from error
    for name, weight in weights.items():
        if not torch.isfinite(weight).all():
            raise UserError(
                f"{path} is damaged: {name} contains values that are not finite (NaN or infinity). "
                "Take another snapshot of the run."
            )
    return snapshot


def _build_snapshot(
    header: Mapping[str, Any], weights: Mapping[str, torch.Tensor], device: torch.device
) -> Snapshot:
    """Build the snapshot of a header and weights; raises various errors for invalid ones."""
    generator = networks.build_generator(section_from_dict(Network, header["network"])).to(device)
    generator.load_state_dict(dict(weights))
    level, alpha = int(header["level"]), float(header["alpha"])
    fades = 0 < alpha < 1 and level > MIN_LEVEL
    if not MIN_LEVEL <= level <= generator.config.max_level or not (fades or alpha == 1):
        raise ValueError(f"level {level}, alpha {alpha}")
    first_level = int(header.get("first_level", MIN_LEVEL))  # earlier files have none
    if not MIN_LEVEL <= first_level <= level:
        raise ValueError(f"level {level}, first level {first_level}")
    names = header["label_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("names of classes are not strings")
    untrained = header.get("untrained_classes", [])  # earlier files have none
    label_size = generator.config.label_size
    if label_size and len(names) not in (0, label_size):
        raise ValueError(f"{len(names)} names of {label_size} classes")
    if not set(untrained) <= set(range(label_size)) or len(untrained) >= max(label_size, 1):
        raise ValueError(f"classes without training images {untrained!r:.50}")
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=level,
        alpha=alpha,
        images_seen=int(header["images_seen"]),
        # Files of earlier versions name the classes of the images even without labels.
        label_names=tuple(names) if label_size else (),
        untrained_classes=tuple(sorted(map(int, untrained))),
        first_level=first_level,
    )


def interim_path(directory: Path, images_seen: int) -> Path:
    """Return the path of a network that is saved between two snapshots."""
    path = add_images_to_file_name(
        directory / format_kimg_file_name(SNAPSHOT_PREFIX, images_seen, NETWORK_SUFFIX), images_seen
    )
    return path.with_stem(path.stem + _INTERIM)


def list_snapshots(directory: Path) -> list[Path]:
    """List the network files of a run, oldest first, with those saved between two snapshots."""
    return sort_by_kimg(directory.glob(f"{SNAPSHOT_PREFIX}*{NETWORK_SUFFIX}"))


def find_interim_networks(directory: Path) -> list[Path]:
    """Return the networks of a run that were saved between two snapshots, usually one."""
    return [path for path in list_snapshots(directory) if is_interim(path)]


def is_interim(path: Path) -> bool:
    return path.stem.startswith(SNAPSHOT_PREFIX) and path.stem.endswith(_INTERIM)


def compute_fingerprint(path: Path) -> str:
    """Return the first twelve hexadecimal digits of the SHA-256 of a file."""
    return hash_file_sha256(path)[:12]


def _read_weights_or_explain(
    path: Path, device: torch.device
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    try:
        str(path).encode("utf-8")  # safetensors opens only such names
        return load_weights(path, FORMAT, str(device))
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path} cannot be read: its name, or that of a folder, is not UTF-8. Rename it."
        ) from error
    except DamagedFile as error:
        raise UserError(f"{path} is damaged or cut short. {_REMEDY}") from error
    except ValueError as error:
        raise NotANetwork(f"{path} is not a network file of progan{_hint_by_name(path)}") from error


def _hint_by_name(path: Path) -> str:
    """Say what else a file is by its name, and what to do."""
    if path.suffix.lower() in EXPORTS:
        return (
            ": by its name it is an export, for other programs. Name the network file that it "
            "was made of."
        )
    if path.name.startswith(STATE_PREFIX) and path.suffix == STATE_SUFFIX:
        return (
            ": by its name it is a training state. Name the directory of its run, "
            f"{path.parent}, or a network file there."
        )
    return (
        f", or it is badly damaged. Network files are called {SNAPSHOT_PREFIX}<kimg>"
        f"{NETWORK_SUFFIX} and are in the directory of a run."
    )
