"""--init-from: initialise a new run with networks of a state, a network file, another program.

`load_init_source` reads them, `plan_transfer` finds the layers that fit (`weight_matching`),
`apply_transfer` copies their weights into the state of the new run, and `describe_transfer` lists
them.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import torch
from torch import Tensor

from progan import run_directory
from progan.config import Network, Run
from progan.errors import UserError
from progan.interop.load import import_foreign, load_network_or_explain
from progan.networks import Discriminator, Generator
from progan.networks.inspection import meta_networks, names_by_level, tensor_levels
from progan.option_fields import Change, format_changes, format_option_name, list_section_changes
from progan.runtime.text import format_table
from progan.sampling.checkpoint_format import is_checkpoint, is_intact, load_network_weights
from progan.sampling.find_network import find_network, find_run
from progan.sizes import MIN_LEVEL
from progan.training.optim import freeze_highest_levels
from progan.training.state import TrainState
from progan.training.weight_matching import (
    LayerMatch,
    MatchStatus,
    Overlap,
    Shape,
    match_layers,
    merge_weights,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class InitSource:
    """Trained networks, and how far they were trained."""

    path: Path
    network: Network
    weights: Mapping[str, Mapping[str, Tensor]]  # "generator", "discriminator", "average"
    level: int  # log2 of the resolution that was trained last
    alpha: float  # weight of that level; below 1 during its fade
    images_seen: int
    run: Run | None = None  # all settings, if known

    @property
    def settled_level(self) -> int:
        """The highest level that was fully faded in."""
        return self.level if self.alpha == 1 else max(self.level - 1, MIN_LEVEL)


def find_init_source(path: Path) -> Path:
    """Return the file of a source: of a run its newest undamaged state, else its newest network.

    A directory of runs stands for its newest run that has either. Raises UserError if there is
    none.
    """
    if path.is_dir():
        directory = find_run(path)
        states = reversed(run_directory.list_states(directory))
        return next(filter(is_intact, states), None) or find_network(directory)
    if not path.exists():
        raise UserError(
            f"No such file or directory: {path}. Pass a network file, a training state, or the "
            "directory of a run to --init-from."
        )
    return path


def load_init_source(path: Path) -> InitSource:
    """Read networks of progan or another program, on the CPU; raises UserError for other files."""
    if is_checkpoint(path):
        return _load_from_state(path)
    if imported := import_foreign(path):
        return InitSource(
            path=path, network=imported.network, weights=imported.weights, level=imported.level,
            alpha=imported.alpha, images_seen=imported.images_seen,
        )  # fmt: skip
    snapshot = load_network_or_explain(path, torch.device("cpu"))
    directory = run_directory.find_run_of_file(path)
    return InitSource(
        path=path,
        network=snapshot.generator.config,
        weights={"average": snapshot.generator.state_dict()},
        level=snapshot.level,
        alpha=snapshot.alpha,
        images_seen=snapshot.images_seen,
        run=run_directory.load_config(directory) if directory else None,
    )


def _load_from_state(path: Path) -> InitSource:
    run, images_seen, stage, weights = load_network_weights(path)
    for role, network in meta_networks(run.network).items():
        try:
            network.load_state_dict(weights[role], assign=True)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise UserError(
                f"{path} is damaged: its {role} is not the one that its settings "
                "describe. Name another state of the run."
            ) from error
    return InitSource(
        path=path, network=run.network, weights=weights, level=stage.level, alpha=stage.alpha,
        images_seen=images_seen, run=run,
    )  # fmt: skip


DATASET_SETTINGS = {"base_height", "base_width", "channels", "label_size"}
REQUIRED_EQUAL = {  # settings that must agree for weights to be of use
    "kind": "its layers are others",
    "equalized_lr": "its weights are scaled in another way",
}


@dataclass(frozen=True, slots=True)
class Transfer:
    """The layers of a new run that are initialised from a source."""

    source: InitSource
    matches: Mapping[str, list[LayerMatch]]  # by "generator" and "discriminator"
    shares: Mapping[str, float]  # share of the weights of each that is copied, 0…1
    changed: list[Change]  # network settings that differ from the source's


def inherit_settings(source: InitSource, resolution: int) -> dict[str, Any]:
    """Return the default settings of a run of `resolution` that is initialised from a source.

    The networks are the same, and training begins where that of the source ended.
    """
    return asdict(source.network) | {
        "resolution": resolution,
        "init_from": str(source.path.resolve()),
        "freeze_d": 0,
        "initial_resolution": min(1 << source.settled_level, resolution),
        "fade_first": False,
    }


def can_fade_first(source: InitSource, run: Run) -> bool:
    """True if a run can begin with the fade that would have followed in the source's schedule.

    That needs its discriminator, images of the same kind, and a source whose final resolution was
    trained.
    """
    same_images = all(
        getattr(source.network, name) == getattr(run.network, name) for name in DATASET_SETTINGS
    )
    finished = source.settled_level == source.network.max_level
    begins_there = run.growth.initial_resolution == source.network.resolution
    has_discriminator = "discriminator" in source.weights
    return has_discriminator and same_images and finished and begins_there and run.grows


def plan_transfer(source: InitSource, run: Run) -> Transfer:
    """Find the layers that a run can copy from a source; raises UserError if that is useless."""
    for name, why in REQUIRED_EQUAL.items():
        before, now = getattr(source.network, name), getattr(run.network, name)
        if before != now:
            raise UserError(
                f"This run cannot begin with {source.path}: {why} "
                f"({name}: {before} -> {now}). Omit {format_option_name(name)}."
            )
    matches, shares = {}, {}
    for role, network in meta_networks(run.network).items():
        if role != "average":
            target = _rename_by_level(network, network.state_dict())
            overlap = _find_class_overlap(role, source.network, run.network)
            matches[role] = match_layers(_select_trained_weights(source, role), target, overlap)
            shares[role] = _compute_copied_share(target, matches[role])
    changed = [
        change
        for change in list_section_changes(source.network, run.network)
        if change.name not in DATASET_SETTINGS | {"resolution"}
    ]
    if not shares["generator"]:
        different = f" ({format_changes(changed)})" if changed else ""
        raise UserError(
            f"Nothing of {source.path} fits the generator of this run{different}. "
            "Omit options of the networks, or start without --init-from."
        )
    transfer = Transfer(source, matches, shares, changed)
    _require_frozen_layers_copied(transfer, run)
    return transfer


def apply_transfer(state: TrainState, transfer: Transfer) -> None:
    """Copy the matching weights into the state; everything else of it stays as it is."""
    for role, network in state.networks.items():
        matches = transfer.matches["generator" if role == "average" else role]
        target = _rename_by_level(network, network.state_dict())
        new = merge_weights(_select_trained_weights(transfer.source, role), target, matches)
        network.load_state_dict(
            {name: new[by_level] for name, by_level in names_by_level(network).items()}
        )


def _select_trained_weights(source: InitSource, role: str) -> dict[str, Tensor]:
    """Return the source's weights of the levels that were trained; {} if it has no such network."""
    stored = "average" if role == "generator" and role not in source.weights else role
    network = meta_networks(source.network)[role]
    levels = tensor_levels(network)
    trained = {
        name: tensor
        for name, tensor in source.weights.get(stored, {}).items()
        if levels[name] <= source.level
    }
    return _rename_by_level(network, trained)


def _rename_by_level(
    network: Generator | Discriminator, weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    names = names_by_level(network)
    return {names[name]: tensor for name, tensor in weights.items()}


def _find_class_overlap(role: str, source: Network, target: Network) -> Overlap | None:
    """Return what first and last layer share if only the number of classes differs.

    The generator takes latents and then labels; the discriminator returns a score and then logits.
    """
    if role == "discriminator":
        return Overlap(0, 1 + source.label_size, 1 + target.label_size, kept=1)
    latents = target.latent_size
    if source.latent_size != latents:
        return None
    return Overlap(1, latents + source.label_size, latents + target.label_size, kept=latents)


def _compute_copied_share(target: Mapping[str, Tensor], matches: list[LayerMatch]) -> float:
    copied = sum(
        target[name][region].numel() for match in matches for name, region in match.regions.items()
    )
    return copied / sum(tensor.numel() for tensor in target.values())


def _require_frozen_layers_copied(transfer: Transfer, run: Run) -> None:
    """Raise UserError if frozen layers would keep random weights."""
    network = meta_networks(run.network)["discriminator"]
    assert isinstance(network, Discriminator)
    freeze_highest_levels(network, run.optim.freeze_d)
    copied = {name for match in transfer.matches["discriminator"] for name in match.regions}
    names = names_by_level(network)
    random = {
        names[name].rpartition(".")[0]
        for name, weight in network.named_parameters()
        if not weight.requires_grad and names[name] not in copied
    }
    if random:
        raise UserError(
            f"--freeze-d {run.optim.freeze_d} would keep random weights: "
            f"{', '.join(sorted(random))} cannot be copied from {transfer.source.path}. Freeze "
            "fewer resolutions, or none."
        )


STATUS_LABELS: dict[MatchStatus, str] = {
    "copied": "copied",
    "in part": "copied in part",
    "skipped": "skipped: the shapes differ",
    "new": "new",
    "left": "left behind",
}


def describe_transfer(transfer: Transfer) -> list[str]:
    """Return the table of layers, and warnings."""
    warnings = [f"Warning: {text}" for text in list_transfer_warnings(transfer)]
    return [format_transfer_table(transfer), *warnings]


def format_transfer_table(transfer: Transfer) -> str:
    """List the layers of both networks: shape in the source, shape here, status."""
    source = transfer.source
    size = source.network.size(source.level)
    lines = [f"Begins with {source.path}, {size} at kimg {source.images_seen / 1000:g}."]
    for role, matches in transfer.matches.items():
        counts = Counter(match.status for match in matches)
        summary = ", ".join(f"{counts[each]} {each}" for each in STATUS_LABELS if counts[each])
        percent = f"{100 * transfer.shares[role]:.1f} %"
        lines += ["", f"{role}: {percent} of the weights copied; layers: {summary}"]
        lines.append(indent(_format_matches(matches), "  "))
    return "\n".join(lines)


def _format_matches(matches: list[LayerMatch]) -> str:
    rows = [("layer", "there", "here", "")]
    rows += [
        (
            each.layer,
            _format_shape_or_dash(each.source),
            _format_shape_or_dash(each.target),
            STATUS_LABELS[each.status],
        )
        for each in matches
    ]
    return format_table(rows, left=range(4))


def _format_shape_or_dash(shape: Shape | None) -> str:
    return "–" if shape is None else "x".join(map(str, shape)) or "1"


def list_transfer_warnings(transfer: Transfer) -> list[str]:
    """Return warnings about a source that is a poor start."""
    warnings = []
    if "discriminator" not in transfer.source.weights:
        path = transfer.source.path
        # Networks of the package, of the Hub and of other programs have no states beside them.
        advice = (
            " A training state (state-*.pt) of the same run holds both, and is the better start."
            if run_directory.find_run_of_file(path)
            else ""
        )
        warnings.append(
            f"{path} holds no discriminator: it begins with random weights, whose gradients can "
            f"make the generator worse at first.{advice}"
        )
    if transfer.changed:
        warnings.append(
            "The networks are not those of the source "
            f"({format_changes(transfer.changed)}): what is copied may do something else here."
        )
    warnings += [
        f"Less than half of the {role} is copied."
        for role, share in transfer.shares.items()
        if share < 0.5 and (role == "generator" or role in transfer.source.weights)
    ]
    return warnings
