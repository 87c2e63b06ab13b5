"""What a command line asks to be found, and the answer: files."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.interop.reading import load_snapshot
from progan.projection import results
from progan.projection.features import (
    Features,
    discriminator_beside,
    of_discriminator,
    of_vgg16,
)
from progan.projection.results import Projected
from progan.projection.search import Effort, distance_to, search
from progan.projection.targets import Target, read_targets
from progan.runtime.devices import choose, set_repeatable
from progan.sampling import video
from progan.sampling.network_file import Snapshot
from progan.sampling.pictures import provenance
from progan.sampling.wishes import at_resolution, class_index

PIXELS = Path("pixels")  # in place of a detector's file
NO_FEATURES = ("No discriminator is known that goes with this network: only pixels are compared. "
               "Name its run, or the weights of VGG-16 with --detector.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Latents of pictures, as people ask for them.

    Attributes:
        command: What was typed, to be written into the files.
        detector: Weights of VGG-16, or PIXELS; None: the discriminator.
        film: A film of the search; its suffix says of which kind.
        fps: Frames of the film per second, and steps.
    """

    pictures: Sequence[Path]
    network: Path
    command: str
    device: str
    outdir: Path
    class_name: str | None
    resolution: int | None
    effort: Effort
    detector: Path | None
    film: Path | None
    fps: float


def answer(asked: Request) -> Iterator[str]:
    """Find the latents, and yield a line for what is written.

    What was found of one picture is on disk before the next one is searched for.
    """
    device = choose(asked.device)
    set_repeatable()
    snapshot = at_resolution(load_snapshot(asked.network, device), asked.resolution)
    targets = read_targets(asked.pictures, snapshot)
    _require(asked, snapshot)
    features = _features(asked, snapshot, device)
    text = provenance(asked.network, asked.command)
    projected: list[Projected] = []
    for target in tqdm(targets, unit="picture", disable=None, leave=False):
        projected.append(_projected(asked, snapshot, target, features))
        yield results.write_pictures(asked.outdir, snapshot, projected[-1], text)
        latents = results.write_latents(asked.outdir, projected)
    yield str(latents)
    if asked.film is not None:
        timing = results.film_timing(asked.effort.steps, asked.fps)
        results.write_film(asked.film, snapshot, projected, timing, text)
        yield str(asked.film)


def _require(asked: Request, snapshot: Snapshot) -> None:
    """Raise UserError for a class or a film that cannot be, before anything is searched."""
    if asked.class_name is not None:
        class_index(snapshot, asked.class_name)
    if asked.film is not None:
        cell = snapshot.generator.config.size(snapshot.level)
        video.require(asked.film, results.film_timing(asked.effort.steps, asked.fps),
                      results.film_size(cell, len(asked.pictures)))
    if asked.outdir.exists() and not asked.outdir.is_dir():
        raise UserError(f"--outdir {asked.outdir} is a file. Name a folder.")


def _features(asked: Request, snapshot: Snapshot, device: torch.device) -> Features | None:
    if asked.detector == PIXELS:
        return None
    if asked.detector is not None:
        return of_vgg16(asked.detector, device)
    discriminator = discriminator_beside(asked.network, snapshot.generator.config)
    if discriminator is None:
        tqdm.write(NO_FEATURES, sys.stderr)
        return None
    return of_discriminator(discriminator.to(device), snapshot)


def _projected(asked: Request, snapshot: Snapshot, target: Target,
               features: Features | None) -> Projected:
    image = target.image().to(next(snapshot.generator.parameters()).device)
    return Projected(target, search(snapshot, distance_to(image, features), asked.effort,
                                    asked.class_name))
