"""--init-from: a new run begins with the networks of a state, a network file or another program.

`load_origin` reads them, `transfer` finds the layers that fit (`matching`), `begin` copies their
weights into the state of the new run, and `in_words` tells what was taken.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from progan import run_directory, schedule
from progan.config import Network, Run
from progan.errors import UserError
from progan.interop.imported_model import ImportedModel
from progan.interop.load import load_own, read_foreign
from progan.networks import Discriminator, Generator
from progan.networks.inspection import levels, meta_networks, names_by_level
from progan.option_fields import option_name, section_changes
from progan.sampling.network_choice import find_network, find_run
from progan.sampling.state_file import is_state, is_whole, load_networks
from progan.sizes import MIN_LEVEL
from progan.training.matching import Match, MatchStatus, Overlap, Shape, match, merged
from progan.training.optim import freeze
from progan.training.state import TrainState


@dataclass(frozen=True, kw_only=True, slots=True)
class InitSource:
    """Networks that were trained before, and how far."""

    path: Path
    network: Network
    weights: Mapping[str, Mapping[str, Tensor]]  # "generator", "discriminator", "average"
    level: int  # log2 of the resolution that was trained last
    alpha: float  # weight of that level; below 1 if it was being faded in
    images_seen: int
    run: Run | None = None  # its other settings, if they are known

    @property
    def settled_level(self) -> int:
        """The highest level that was wholly faded in."""
        return self.level if self.alpha == 1 else max(self.level - 1, MIN_LEVEL)


def find_init_source(path: Path) -> Path:
    """The file that `path` names: of a run its newest whole state, or else its newest network.

    A directory of runs stands for its newest run that has either. Raises UserError if there is
    none.
    """
    if path.is_dir():
        directory = find_run(path)
        states = reversed(run_directory.list_states(directory))
        return next(filter(is_whole, states), None) or find_network(directory)
    if not path.exists():
        raise UserError(
            f"There is no {path}. Name a network file or a training state, or the "
            "directory of a run, with --init-from."
        )
    return path


def load_init_source(path: Path) -> InitSource:
    """Read networks of ours or of another program, on the CPU; raises UserError for other files."""
    if is_state(path):
        return _of_state(path)
    trained = read_foreign(path)
    return _of_network_file(path) if trained is None else _of_another_program(path, trained)


def _of_network_file(path: Path) -> InitSource:
    snapshot = load_own(path, torch.device("cpu"))
    network = snapshot.generator.config
    home = path.parent / run_directory.CONFIG_FILE
    return InitSource(
        path=path,
        network=network,
        weights={"average": snapshot.generator.state_dict()},
        level=snapshot.level,
        alpha=snapshot.alpha,
        images_seen=snapshot.images_seen,
        run=run_directory.load_config(path.parent) if home.is_file() else None,
    )


def _of_another_program(path: Path, trained: ImportedModel) -> InitSource:
    return InitSource(
        path=path,
        network=trained.network,
        weights=trained.weights,
        level=trained.level,
        alpha=trained.alpha,
        images_seen=trained.images_seen,
    )


def _of_state(path: Path) -> InitSource:
    run, images_seen, weights = load_networks(path)
    for role, network in meta_networks(run.network).items():
        try:
            network.load_state_dict(weights[role], assign=True)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise UserError(
                f"{path} is damaged: its {role} is not the one that its settings "
                "describe. Name another state of the run."
            ) from error
    stage = schedule.at(run.growth, run.network, images_seen)
    return InitSource(
        path=path,
        network=run.network,
        weights=weights,
        level=stage.level,
        alpha=stage.alpha,
        images_seen=images_seen,
        run=run,
    )


OF_THE_IMAGES = {"base_height", "base_width", "channels", "label_size"}
NEEDED = {  # settings without which copied weights mean nothing
    "kind": "its layers are others",
    "equalized_lr": "its weights are scaled in another way",
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """What becomes of the layers of a run that begins with an origin."""

    origin: InitSource
    matches: Mapping[str, list[Match]]  # of "generator" and "discriminator"
    shares: Mapping[str, float]  # how much of the weights of each is copied, 0…1
    changed: list[str]  # settings of the networks that are others than the origin's


def inherited(origin: InitSource, resolution: int) -> dict[str, Any]:
    """Settings that a run of `resolution` takes from its origin, unless told otherwise.

    The networks are the same, and training begins where that of the origin had arrived.
    """
    return asdict(origin.network) | {
        "resolution": resolution,
        "init_from": str(origin.path.resolve()),
        "freeze_d": 0,
        "initial_resolution": min(1 << origin.settled_level, resolution),
        "fade_first": False,
    }


def fades_first(origin: InitSource, run: Run) -> bool:
    """Whether a run can begin with a fade, as the origin would have gone on.

    For that its discriminator must know the origin's generator, and images like those to come;
    and the origin must have trained its final resolution, not just reached one on its way.
    """
    alike = all(
        getattr(origin.network, name) == getattr(run.network, name) for name in OF_THE_IMAGES
    )
    arrived = origin.settled_level == origin.network.max_level
    begins_there = run.growth.initial_resolution == origin.network.resolution
    return "discriminator" in origin.weights and alike and arrived and begins_there and run.grows


def transfer(origin: InitSource, run: Run) -> Transfer:
    """Find out what a run can take from an origin; raises UserError if that is of no use."""
    _require_same(origin, run)
    matches, shares = {}, {}
    for role, shell in meta_networks(run.network).items():
        if role != "average":
            ours = _named(shell, shell.state_dict())
            matches[role] = match(_theirs(origin, role), ours, _overlap(role, origin, run))
            shares[role] = _share(ours, matches[role])
    found = Transfer(
        origin,
        matches,
        shares,
        [
            change
            for change in section_changes(origin.network, run.network)
            if change.split(":")[0] not in OF_THE_IMAGES | {"resolution"}
        ],
    )
    if not shares["generator"]:
        different = f" ({'; '.join(found.changed)})" if found.changed else ""
        raise UserError(
            f"Nothing of {origin.path} fits the generator of this run{different}. "
            "Leave options of the networks away, or start without --init-from."
        )
    _require_known_layers(found, run)
    return found


def apply_transfer(state: TrainState, found: Transfer) -> None:
    """Copy into the state what was found to fit; everything else of it stays as it is."""
    for role in ("generator", "discriminator", "average"):
        network: Generator | Discriminator = getattr(state, role)
        matches = found.matches["generator" if role == "average" else role]
        ours = network.state_dict()
        new = merged(_theirs(found.origin, role), _named(network, ours), matches)
        network.load_state_dict(
            {name: new[called] for name, called in names_by_level(network).items()}
        )


def _theirs(origin: InitSource, role: str) -> dict[str, Tensor]:
    """The origin's weights of the levels that were trained, {} if it has none of this role."""
    weights = origin.weights.get(
        "average" if role == "generator" and role not in origin.weights else role, {}
    )
    shell = meta_networks(origin.network)[role]
    at = levels(shell)
    return _named(
        shell, {name: tensor for name, tensor in weights.items() if at[name] <= origin.level}
    )


def _named(network: Generator | Discriminator, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    called = names_by_level(network)
    return {called[name]: tensor for name, tensor in weights.items()}


def _overlap(role: str, origin: InitSource, run: Run) -> Overlap | None:
    """What first and last layer share if only the number of classes differs.

    The generator takes latents and then labels; the discriminator gives a score and then logits.
    """
    theirs, ours = origin.network, run.network
    if role == "discriminator":
        return Overlap(0, 1 + theirs.label_size, 1 + ours.label_size, kept=1)
    if theirs.latent_size != ours.latent_size:
        return None
    return Overlap(
        1,
        ours.latent_size + theirs.label_size,
        ours.latent_size + ours.label_size,
        kept=ours.latent_size,
    )


def _share(ours: Mapping[str, Tensor], matches: list[Match]) -> float:
    copied = sum(
        ours[name][region].numel() for found in matches for name, region in found.regions.items()
    )
    return copied / sum(tensor.numel() for tensor in ours.values())


def _require_same(origin: InitSource, run: Run) -> None:
    for name, why in NEEDED.items():
        theirs, ours = getattr(origin.network, name), getattr(run.network, name)
        if theirs != ours:
            raise UserError(
                f"This run cannot begin with {origin.path}: {why} "
                f"({name}: {theirs} -> {ours}). Leave {option_name(name)} away."
            )


def _require_known_layers(found: Transfer, run: Run) -> None:
    """Raise UserError if layers would keep the random weights of their birth."""
    shell = meta_networks(run.network)["discriminator"]
    assert isinstance(shell, Discriminator)
    freeze(shell, run.optim.freeze_d)
    copied = {name for row in found.matches["discriminator"] for name in row.regions}
    called = names_by_level(shell)
    unknown = sorted(
        {
            called[name].rpartition(".")[0]
            for name, weight in shell.named_parameters()
            if not weight.requires_grad and called[name] not in copied
        }
    )
    if unknown:
        raise UserError(
            f"--freeze-d {run.optim.freeze_d} would keep random weights: "
            f"{', '.join(unknown)} cannot be copied from {found.origin.path}. Freeze "
            "fewer resolutions, or none."
        )


FATES: dict[MatchStatus, str] = {
    "copied": "copied",
    "in part": "copied in part",
    "skipped": "skipped: the shapes differ",
    "new": "new",
    "left": "left behind",
}
HEADINGS = ("layer", "there", "here", "")


def describe_transfer(transfer: Transfer) -> list[str]:
    """The table, and the warnings below it."""
    return [transfer_table(transfer), *(f"Warning: {text}" for text in transfer_warnings(transfer))]


def transfer_table(transfer: Transfer) -> str:
    """List the layers of both networks: shape there, shape here, what becomes of them."""
    origin = transfer.origin
    size = origin.network.size(origin.level)
    return "\n".join(
        [
            f"Begins with {origin.path}, {size} at kimg {origin.images_seen / 1000:g}.",
            *(
                line
                for role in transfer.matches
                for line in (
                    "",
                    f"{role}: {_summary(transfer, role)}",
                    *_lines(transfer.matches[role]),
                )
            ),
        ]
    )


def transfer_warnings(transfer: Transfer) -> list[str]:
    """What a user should know before days are spent on it."""
    found = []
    if "discriminator" not in transfer.origin.weights:
        found.append(
            f"{transfer.origin.path} holds no discriminator: that begins with random weights, and "
            "teaches the generator little until it has learned. A training state (state-*.pt) of "
            "the same run holds both, and is the better beginning."
        )
    if transfer.changed:
        found.append(
            "The networks are not those of the source "
            f"({'; '.join(transfer.changed)}): what is copied may do something else here."
        )
    found += [
        f"Less than half of the {role} is copied."
        for role, share in transfer.shares.items()
        if share < 0.5 and (role == "generator" or role in transfer.origin.weights)
    ]
    return found


def _summary(transfer: Transfer, role: str) -> str:
    counts = Counter(row.fate for row in transfer.matches[role])
    words = ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate])
    return f"{100 * transfer.shares[role]:.1f} % of the weights copied; layers: {words}"


def _lines(matches: list[Match]) -> list[str]:
    rows = [
        HEADINGS,
        *((row.layer, _shape(row.theirs), _shape(row.ours), FATES[row.fate]) for row in matches),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _shape(shape: Shape | None) -> str:
    return "–" if shape is None else "x".join(map(str, shape)) or "1"
