"""Which pictures are asked for: latents and classes, and at which resolution."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from progan.errors import UserError
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.latents_file import read_latents
from progan.sampling.network_file import Snapshot
from progan.sampling.one_line import on_one_line
from progan.sampling.seeds import parse_seeds
from progan.sizes import MIN_LEVEL, level_name

MOST_NAMES = 20  # of classes in a message


@dataclass(frozen=True, slots=True)
class Wish:
    """Pictures to draw."""

    names: tuple[str, ...]  # 'seed0007': the files' names without suffix
    latents: Tensor  # [N, latent_size]
    labels: Tensor  # [N, label_size]


def from_seeds(snapshot: Snapshot, text: str) -> Wish:
    """The pictures of seeds such as '0-15,20'."""
    config = snapshot.generator.config
    seeds = parse_seeds(text)
    return Wish(tuple(f"seed{seed:04d}" for seed in seeds),
                seed_latents(seeds, config.latent_size),
                seed_labels(seeds, config.label_size, snapshot.untrained_classes))


def from_file(snapshot: Snapshot, path: Path) -> Wish:
    """The pictures of the rows of a .npy file; row k has the class of seed k."""
    config = snapshot.generator.config
    latents = read_latents(path, config.latent_size)
    rows = range(len(latents))
    return Wish(tuple(f"latent{row:04d}" for row in rows), latents,
                seed_labels(rows, config.label_size, snapshot.untrained_classes))


def of_class(snapshot: Snapshot, wish: Wish, name: str) -> Wish:
    """The same latents, all of one class, given by name or index."""
    return dataclasses.replace(wish, labels=labels_of_class(snapshot, wish.labels, name))


def labels_of_class(snapshot: Snapshot, labels: Tensor, name: str) -> Tensor:
    """As many labels [..., label_size] as there are, all of one class, given by name or index."""
    one = torch.zeros_like(labels)
    one[..., class_index(snapshot, name)] = 1
    return one


def class_index(snapshot: Snapshot, name: str) -> int:
    """Which class a name or an index means; raises UserError if there is none."""
    size = snapshot.generator.config.label_size
    if not size:
        raise UserError(f"--class {name}: this network was trained without labels and has no "
                        "classes.")
    names = list(snapshot.label_names)
    if name in names:
        return names.index(name)
    if name.isdecimal() and int(name) < size:
        return int(name)
    raise UserError(f"There is no class {on_one_line(name)!r}. Classes: {_listed(names)}.")


def untrained_note(snapshot: Snapshot, class_name: str | None) -> str:
    """Say that a class was asked for that no training image had, or that seeds leave some out.

    '' if neither is so.
    """
    untrained, size = snapshot.untrained_classes, snapshot.generator.config.label_size
    if not untrained:
        return ""
    if class_name is None:
        have = "class had" if len(untrained) == 1 else "classes had"
        names = snapshot.label_names or tuple(map(str, range(size)))
        listed = ", ".join(repr(on_one_line(names[index])) for index in untrained[:MOST_NAMES])
        more = f" and {len(untrained) - MOST_NAMES} more" if len(untrained) > MOST_NAMES else ""
        return (f"{len(untrained)} {have} no image to train on, so seeds do not show "
                f"{'it' if len(untrained) == 1 else 'them'}: {listed}{more}.")
    if class_index(snapshot, class_name) in untrained:
        return (f"--class {on_one_line(class_name)}: no training image had this class, so the "
                "network has not learned what it looks like.")
    return ""


def _listed(names: list[str]) -> str:
    """'0 cat, 1 dog': each as its index and its name, which a file may have made long and odd."""
    shown = [f"{index} {on_one_line(name)}" for index, name in enumerate(names[:MOST_NAMES])]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f", and {more} more, to {len(names) - 1}" if more else "")


def levels_of(snapshot: Snapshot) -> dict[int, int]:
    """The levels that a generator can draw at, by their resolution: {4: 2, 8: 3}."""
    lowest = MIN_LEVEL if snapshot.generator.config.grows else snapshot.level
    return {1 << level: level for level in range(lowest, snapshot.level + 1)}


def at_resolution(snapshot: Snapshot, resolution: int | None) -> Snapshot:
    """The network as it draws at a resolution, where levels below the trained one are faded in.

    None: as it was saved.
    """
    levels = levels_of(snapshot)
    if resolution is None or levels.get(resolution) == snapshot.level:
        return snapshot
    if resolution not in levels:
        names = [level_name(snapshot.generator.config.base, level) for level in levels.values()]
        raise UserError(f"--resolution {resolution}: this network was trained up to {names[-1]}; "
                        f"choose one of {', '.join(names)}.")
    return dataclasses.replace(snapshot, level=levels[resolution], alpha=1.0)
