"""Training states: read their metadata and weights, and migrate earlier versions."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from progan import networks, schedule
from progan.config import Run, from_dict
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.run_directory import STATE_PREFIX, STATE_SUFFIX
from progan.runtime.files import read_stored_member, zip_member_names
from progan.runtime.weights_file import content_hash
from progan.sampling.network_file import PREFIX, SUFFIX, Snapshot, classes_of

Content = dict[str, Any]
FORMAT_VERSION = 2
FORMAT = "progan state"
NETWORKS = ("generator", "discriminator", "average")
NOT_WHOLE = "is not a whole training state"
INDEX = "/data.pkl"  # in files of PyTorch, all but the numbers


def migrated(content: Content) -> Content:
    """Bring what a state file holds to the present version; raises KeyError if there is no way."""
    while content["version"] != FORMAT_VERSION:
        content = MIGRATIONS[content["version"]](content) | {"version": content["version"] + 1}
    return content


def with_the_place_in_round_and_tick(content: Content) -> Content:
    """1 -> 2: states were saved between rounds only, and forgot the sums of an unfinished tick.

    The oldest of them are older than dials.
    """
    return {
        "dials": {},
        **content,
        "round_images_seen": content["images_seen"],
        "rollbacks": 0,
        "tally": {"sums": {}, "counts": {}},
    }


MIGRATIONS: dict[int, Callable[[Content], Content]] = {1: with_the_place_in_round_and_tick}


class DamagedState(UserError):
    """A state file that does not hold what was written; the one before it may."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(path, what)
        self.what = f"{path} {what}"

    def __str__(self) -> str:
        return f"{self.what}. Name another {STATE_PREFIX}*{STATE_SUFFIX} of the run."


def sealed(content: Content) -> Content:
    """The same with the checksum of everything else."""
    return content | {"checksum": _checksum(content)}


def read_state(path: Path) -> Content:
    """Return what a file holds, as the present version has it, in the memory of the host.

    Raises:
        DamagedState: It is no state, or not as it was written.
        UserError: There is none, or a younger progan wrote it.
    """
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"There is no {path}.") from error
    except Exception as error:  # a file of another kind fails in any way it likes
        raise DamagedState(path, NOT_WHOLE) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DamagedState(path, "is not a training state of progan")
    version, checksum = content.get("version"), content.pop("checksum", None)
    if checksum != (None if version == 1 else _checksum(content)):
        raise DamagedState(path, "is damaged: its checksum differs from its content")
    if version != FORMAT_VERSION and version not in MIGRATIONS:
        raise UserError(
            f"{path} has state format version {version}; this progan reads up to "
            f"version {FORMAT_VERSION}. Use the progan that wrote it."
        )
    try:
        return migrated(content)
    except (KeyError, TypeError) as error:
        raise DamagedState(path, NOT_WHOLE) from error


def is_whole(path: Path) -> bool:
    """Whether a file is a state that can be read, and is as it was written."""
    try:
        read_state(path)
    except DamagedState:
        return False
    return True


def peek(path: Path) -> tuple[int, Run] | None:
    """How many images a state has seen and with which settings, if its file tells.

    Tensors are not read, and so the checksum is not looked at.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return int(content["images_seen"]), from_dict(json.loads(content["config"]))
    except Exception:  # a file of another kind fails in any way it likes
        return None


def _checksum(content: Content) -> str:
    return content_hash({name: value for name, value in content.items() if name != "checksum"})


def load_networks(path: Path) -> tuple[Run, int, dict[str, dict[str, Tensor]]]:
    """Return what a state tells of its networks, for whatever run, on the CPU.

    Returns:
        The run that it is of, its images_seen, and the state dictionary of each network by name.
    """
    content = read_state(path)
    try:
        run = from_dict(json.loads(content["config"]))
        return run, int(content["images_seen"]), {name: dict(content[name]) for name in NETWORKS}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedState(path, NOT_WHOLE) from error


def is_state(path: Path) -> bool:
    """Whether a file is a training state of progan, by what it says of itself."""
    index = next((name for name in zip_member_names(path) if name.endswith(INDEX)), None)
    return index is not None and FORMAT.encode() in read_stored_member(path, index)


def load_g_ema(path: Path, device: torch.device) -> Snapshot:
    """Read the moving average of the generator from a training state.

    It generates the same images as the network file that was saved at the same time.
    """
    content = read_state(path)
    try:
        run = from_dict(json.loads(content["config"]))
        generator = networks.generator(run.network).to(device)
        generator.load_state_dict(dict(content["average"]))
        images_seen = int(content["images_seen"])
        stage = _last_stage(run, images_seen, int(content["round_images_seen"]))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise DamagedState(path, NOT_WHOLE) from error
    label_names, untrained_classes = _classes(path, run)
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=stage.level,
        alpha=stage.alpha,
        images_seen=images_seen,
        label_names=label_names,
        untrained_classes=untrained_classes,
    )


def _last_stage(run: Run, images_seen: int, round_images_seen: int) -> schedule.Stage:
    """The stage of the last step before a state was saved.

    At the end of a round, this is not the stage of the next one, which begins there.
    """
    growth, network = run.growth, run.network
    stage = schedule.at(growth, network, round_images_seen)
    if round_images_seen < images_seen or not images_seen:
        return stage
    for _ in range(2):  # batches may have another size in the round before
        start = max(images_seen - schedule.round_images(growth, stage), 0)
        stage = schedule.at(growth, network, start)
        if start + schedule.round_images(growth, stage) == images_seen:
            return stage
    return schedule.at(growth, network, images_seen)


def _classes(path: Path, run: Run) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """The label_names and untrained_classes of a state's network.

    A state holds neither. They are those of a network file of the run or of its dataset, if one is
    there; else the names are the numbers of the classes.
    """
    count = run.network.label_size
    if not count:
        return (), ()
    for network in sorted(path.parent.glob(f"{PREFIX}*{SUFFIX}"), reverse=True):
        if (found := classes_of(network)) and len(found[0]) == count:
            return found
    try:
        dataset = Dataset.open(Path(run.data.data))
        found = dataset.label_names, tuple(dataset.untrained_classes)
    except (UserError, OSError):
        found = (), ()
    return found if len(found[0]) == count else (tuple(map(str, range(count))), ())
