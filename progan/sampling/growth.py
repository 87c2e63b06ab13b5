"""The growth of a run as a film: the same latents, drawn by its snapshots one after another."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
import torch

from progan.errors import UserError
from progan.images import Pixels, enlarge
from progan.run_directory import STATISTICS_FILE
from progan.runtime.files import json_objects
from progan.runtime.log import human_seconds
from progan.sampling.captions import in_corner
from progan.sampling.films import framed
from progan.sampling.network_file import Snapshot, load_network
from progan.sampling.pictures import as_pixels
from progan.sampling.render import one_by_one
from progan.sampling.timing import Timing
from progan.sampling.wishes import Wish
from progan.sizes import stage_name

SEEDS = "0-5"  # unless asked for others


def require_several(paths: Sequence[Path]) -> None:
    """Raise UserError if a run has too few network files to show how it grew."""
    if len(paths) < 2:
        raise UserError(f"--growth shows how a run grew from snapshot to snapshot, and {paths[0]} "
                        "is one alone. Name the directory of a run that has written several.")


def frames(paths: Sequence[Path], wish: Wish, columns: int, rows: int, timing: Timing,
           device: torch.device) -> Iterator[Pixels]:
    """Each snapshot for an equal part of the film, with its place in the run in the corner.

    Pictures of lower resolutions are enlarged to that of the last one: uint8 [H, W, 3].

    Args:
        paths: Network files of one run, oldest first.
    """
    hours = hours_of(paths[-1].parent / STATISTICS_FILE)
    last = load_network(paths[-1], device)
    side = min(last.generator.config.size(last.level))
    shown = (frame * len(paths) // timing.frames for frame in range(timing.frames))
    for index, times in groupby(shown):
        snapshot = load_network(paths[index], device)
        images = [as_pixels(image) for image in one_by_one(snapshot, wish.latents, wish.labels)]
        page = framed(enlarge(np.stack(images), side), columns, rows)
        page = in_corner(page, words(snapshot, hours.get(snapshot.images_seen)))
        yield from (page for _ in times)


def words(snapshot: Snapshot, hours: float | None) -> str:
    """'16→32 fade 43%   kimg 12.3   1h 02m'; without the time where it is unknown."""
    stage = stage_name(snapshot.generator.config.base, snapshot.level, snapshot.alpha)
    time = [] if hours is None else [human_seconds(3600 * hours)]
    return "   ".join([stage, f"kimg {snapshot.images_seen / 1000:.1f}", *time])


def hours_of(path: Path) -> dict[int, float]:
    """Hours of training by images seen, of a stats.jsonl; what cannot be read is left out."""
    hours = {}
    for row in json_objects(path):
        try:
            hours[int(row["images_seen"])] = float(row["progress/hours"])
        except (ValueError, TypeError, KeyError):
            continue
    return hours
