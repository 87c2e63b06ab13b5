"""A new run begins with the networks of another one, where they fit."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from progan.config import Run
from progan.errors import UserError
from progan.networks import Discriminator, Generator
from progan.networks.levels import levels, names_by_level
from progan.networks.shells import shells
from progan.settings import changes, option_name
from progan.training.freezing import freeze
from progan.training.matching import Match, Overlap, match, merged
from progan.training.origin import Origin
from progan.training.state import TrainState

OF_THE_IMAGES = {"base_height", "base_width", "channels", "label_size"}
NEEDED = {  # settings without which copied weights mean nothing
    "kind": "its layers are others",
    "equalized_lr": "its weights are scaled in another way",
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """What becomes of the layers of a run that begins with an origin."""

    origin: Origin
    matches: Mapping[str, list[Match]]  # of "generator" and "discriminator"
    shares: Mapping[str, float]  # how much of the weights of each is copied, 0…1
    changed: list[str]  # settings of the networks that are others than the origin's


def inherited(origin: Origin, resolution: int) -> dict[str, Any]:
    """Settings that a run of `resolution` takes from its origin, unless told otherwise.

    The networks are the same, and training begins where that of the origin had arrived.
    """
    return asdict(origin.network) | {
        "resolution": resolution, "init_from": str(origin.path.resolve()), "freeze_d": 0,
        "initial_resolution": min(1 << origin.settled_level, resolution), "fade_first": False}


def fades_first(origin: Origin, run: Run) -> bool:
    """Whether a run can begin with a fade, as the origin would have gone on.

    For that its discriminator must know the origin's generator, and images like those to come;
    and the origin must have trained its final resolution, not just reached one on its way.
    """
    alike = all(getattr(origin.network, name) == getattr(run.network, name)
                for name in OF_THE_IMAGES)
    arrived = origin.settled_level == origin.network.max_level
    begins_there = run.growth.initial_resolution == origin.network.resolution
    return "discriminator" in origin.weights and alike and arrived and begins_there and run.grows


def transfer(origin: Origin, run: Run) -> Transfer:
    """Find out what a run can take from an origin; raises UserError if that is of no use."""
    _require_same(origin, run)
    matches, shares = {}, {}
    for role, shell in shells(run.network).items():
        if role != "average":
            ours = _named(shell, shell.state_dict())
            matches[role] = match(_theirs(origin, role), ours, _overlap(role, origin, run))
            shares[role] = _share(ours, matches[role])
    found = Transfer(origin, matches, shares, [
        change for change in changes(origin.network, run.network)
        if change.split(":")[0] not in OF_THE_IMAGES | {"resolution"}])
    if not shares["generator"]:
        different = f" ({'; '.join(found.changed)})" if found.changed else ""
        raise UserError(f"Nothing of {origin.path} fits the generator of this run{different}. "
                        "Leave options of the networks away, or start without --init-from.")
    _require_known_layers(found, run)
    return found


def begin(state: TrainState, found: Transfer) -> None:
    """Copy into the state what was found to fit; everything else of it stays as it is."""
    for role in ("generator", "discriminator", "average"):
        network: Generator | Discriminator = getattr(state, role)
        matches = found.matches["generator" if role == "average" else role]
        ours = network.state_dict()
        new = merged(_theirs(found.origin, role), _named(network, ours), matches)
        network.load_state_dict({name: new[called] for name, called in
                                 names_by_level(network).items()})


def _theirs(origin: Origin, role: str) -> dict[str, Tensor]:
    """The origin's weights of the levels that were trained, {} if it has none of this role."""
    weights = origin.weights.get("average" if role == "generator" and role not in origin.weights
                                 else role, {})
    shell = shells(origin.network)[role]
    at = levels(shell)
    return _named(shell, {name: tensor for name, tensor in weights.items()
                          if at[name] <= origin.level})


def _named(network: Generator | Discriminator, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    called = names_by_level(network)
    return {called[name]: tensor for name, tensor in weights.items()}


def _overlap(role: str, origin: Origin, run: Run) -> Overlap | None:
    """What first and last layer share if only the number of classes differs.

    The generator takes latents and then labels; the discriminator gives a score and then logits.
    """
    theirs, ours = origin.network, run.network
    if role == "discriminator":
        return Overlap(0, 1 + theirs.label_size, 1 + ours.label_size, kept=1)
    if theirs.latent_size != ours.latent_size:
        return None
    return Overlap(1, ours.latent_size + theirs.label_size, ours.latent_size + ours.label_size,
                   kept=ours.latent_size)


def _share(ours: Mapping[str, Tensor], matches: list[Match]) -> float:
    copied = sum(ours[name][region].numel() for found in matches
                 for name, region in found.regions.items())
    return copied / sum(tensor.numel() for tensor in ours.values())


def _require_same(origin: Origin, run: Run) -> None:
    for name, why in NEEDED.items():
        theirs, ours = getattr(origin.network, name), getattr(run.network, name)
        if theirs != ours:
            raise UserError(f"This run cannot begin with {origin.path}: {why} "
                            f"({name}: {theirs} -> {ours}). Leave {option_name(name)} away.")


def _require_known_layers(found: Transfer, run: Run) -> None:
    """Raise UserError if layers would keep the random weights of their birth."""
    shell = shells(run.network)["discriminator"]
    assert isinstance(shell, Discriminator)
    freeze(shell, run.optim.freeze_d)
    copied = {name for row in found.matches["discriminator"] for name in row.regions}
    called = names_by_level(shell)
    unknown = sorted({called[name].rpartition(".")[0] for name, weight in shell.named_parameters()
                      if not weight.requires_grad and called[name] not in copied})
    if unknown:
        raise UserError(f"--freeze-d {run.optim.freeze_d} would keep random weights: "
                        f"{', '.join(unknown)} cannot be copied from {found.origin.path}. Freeze "
                        "fewer resolutions, or none.")
