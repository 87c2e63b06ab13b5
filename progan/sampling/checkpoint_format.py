"""Read checkpoints (training states): metadata, weights, g_ema; migrate earlier versions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from progan import networks, schedule
from progan.config import Run, from_dict
from progan.data.reader import open_dataset
from progan.errors import UserError
from progan.run_directory import STATE_PREFIX, STATE_SUFFIX
from progan.runtime.devices import is_out_of_memory
from progan.runtime.weights_file import hash_content
from progan.runtime.zip_files import list_zip_members, read_uncompressed_zip_member
from progan.sampling.snapshot_file import Snapshot, list_snapshots, read_classes

Content = dict[str, Any]
FORMAT_VERSION = 2
FORMAT = "progan state"
NETWORKS = ("generator", "discriminator", "average")
NOT_WHOLE = "is not a complete training state"
READ_BYTES = 1 << 24
PICKLE_NAME = "/data.pkl"  # the end of the name of the pickle in files of PyTorch


def migrate(content: Content) -> Content:
    """Migrate the content of a state file to the current version; raises KeyError if impossible."""
    while content["version"] != FORMAT_VERSION:
        content = MIGRATIONS[content["version"]](content) | {"version": content["version"] + 1}
    return content


def migrate_v1_to_v2(content: Content) -> Content:
    """Add round position, rollbacks and sums of the tick; the oldest files lack dials, too."""
    return {
        "dials": {},
        **content,
        "round_images_seen": content["images_seen"],
        "rollbacks": 0,
        "tally": {"sums": {}, "counts": {}},
    }


MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: migrate_v1_to_v2}


class DamagedCheckpoint(UserError):
    """A state file whose content is not what was written; an earlier one may be intact."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)
        self.what = f"{path} {what}"

    def __str__(self) -> str:
        return f"{self.what}. Name another {STATE_PREFIX}*{STATE_SUFFIX} of the run."


def with_checksum(content: Content) -> Content:
    """Add the checksum of everything else."""
    return content | {"checksum": _checksum(content)}


def read_checkpoint(path: Path) -> Content:
    """Read a state file onto the CPU, migrated to the current version.

    Raises:
        DamagedCheckpoint: It is not a state, or its content changed.
        UserError: It does not exist, cannot be read, or was written by a newer progan.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"No such file: {path}.") from error
    except Exception as error:  # other files raise any exception
        if is_out_of_memory(error):
            raise
        _require_readable(path)
        raise DamagedCheckpoint(path, NOT_WHOLE) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DamagedCheckpoint(path, "is not a training state of progan")
    version, checksum = content.get("version"), content.pop("checksum", None)
    if checksum != (None if version == 1 else _checksum(content)):
        raise DamagedCheckpoint(path, "is damaged: its checksum differs from its content")
    if version != FORMAT_VERSION and version not in MIGRATIONS:
        raise UserError(
            f"{path} has state format version {version}; this progan reads up to "
            f"version {FORMAT_VERSION}. Use the progan that wrote it."
        )
    try:
        return migrate(content)
    except (KeyError, TypeError) as error:
        raise DamagedCheckpoint(path, NOT_WHOLE) from error


def _require_readable(path: Path) -> None:
    """Read a file to its end; raises UserError for an error of the file system.

    A file on a disk that fails for a moment is not damaged, but torch.load raises RuntimeError for
    both.
    """
    try:
        with path.open("rb") as file:
            while file.read(READ_BYTES):
                pass
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error


def is_intact(path: Path) -> bool:
    """Return True if a file is a readable state whose checksum fits."""
    try:
        read_checkpoint(path)
    except DamagedCheckpoint:
        return False
    return True


def read_metadata(path: Path) -> tuple[int, Run] | None:
    """Read images_seen and settings of a state without its tensors; None if it is unreadable.

    The checksum is not verified.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return int(content["images_seen"]), from_dict(json.loads(content["config"]))
    except Exception:  # other files raise any exception
        return None


def _checksum(content: Content) -> str:
    return hash_content({name: value for name, value in content.items() if name != "checksum"})


class TrainedWeights(NamedTuple):
    """The networks of a state, on the CPU.

    Attributes:
        stage: The stage of the last step before the state was saved.
        weights: The state_dict of each network, by name.
    """

    run: Run
    images_seen: int
    stage: schedule.Stage
    weights: dict[str, dict[str, Tensor]]


def load_network_weights(path: Path) -> TrainedWeights:
    """Read the networks of a state; raises UserError as `read_checkpoint` does."""
    content = read_checkpoint(path)
    try:
        run, images_seen = from_dict(json.loads(content["config"])), int(content["images_seen"])
        weights = {name: dict(content[name]) for name in NETWORKS}
        return TrainedWeights(run, images_seen, _last_stage(content, run), weights)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedCheckpoint(path, NOT_WHOLE) from error


def _last_stage(content: Content, run: Run) -> schedule.Stage:
    images_seen, round_images_seen, phase = (
        int(content[name]) for name in ("images_seen", "round_images_seen", "phase")
    )
    return schedule.last_stage(run.growth, run.network, images_seen, round_images_seen, phase)


def is_checkpoint(path: Path) -> bool:
    """Return True if a file contains the format name of training states."""
    index = next((name for name in list_zip_members(path) if name.endswith(PICKLE_NAME)), None)
    return index is not None and FORMAT.encode() in read_uncompressed_zip_member(path, index)


def load_g_ema(path: Path, device: torch.device) -> Snapshot:
    """Read the moving average of the generator from a training state.

    It generates the same images as the network file that was saved at the same time.
    """
    content = read_checkpoint(path)
    try:
        run = from_dict(json.loads(content["config"]))
        generator = networks.build_generator(run.network)
        generator.load_state_dict(dict(content["average"]))
        images_seen = int(content["images_seen"])
        stage = _last_stage(content, run)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise DamagedCheckpoint(path, NOT_WHOLE) from error
    generator.to(device)  # here, so that an error of the device is not one of the file
    label_names, untrained_classes = _classes(path, run)
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=stage.level,
        alpha=stage.alpha,
        images_seen=images_seen,
        label_names=label_names,
        untrained_classes=untrained_classes,
        first_level=schedule.get_first_trained_level(run),
    )


def _classes(path: Path, run: Run) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return label_names and untrained_classes from a network file of the run or its dataset.

    A state has neither. Without both, the names are the class indices.
    """
    count = run.network.label_size
    if not count:
        return (), ()
    for network in reversed(list_snapshots(path.parent)):
        if (found := read_classes(network)) and len(found[0]) == count:
            return found
    try:
        dataset = open_dataset(Path(run.data.data), run.data.subset)
        found = dataset.label_names, tuple(dataset.untrained_classes)
    except (UserError, OSError):
        found = (), ()
    return found if len(found[0]) == count else (tuple(map(str, range(count))), ())
