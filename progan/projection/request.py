"""What a command line asks to be found, and the answer: files."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.interop.load import load_snapshot
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
from progan.runtime.text import format_count
from progan.sampling.image_files import provenance
from progan.sampling.latents import at_resolution, class_index
from progan.sampling.network_file import Snapshot
from progan.sampling.video import require_video

PIXELS = Path("pixels")  # in place of a detector's file
NO_FEATURES = ("features: none, only pixels are compared. A run has a discriminator in its newest "
               "whole state, if it judges single images; or name weights of VGG-16 with "
               "--detector.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Latents of pictures, as people ask for them.

    Attributes:
        command: What was typed, to be written into the files.
        detector: Weights of VGG-16, or PIXELS; None: the discriminator.
        film: A film of the search, in `outdir`; its suffix says of which kind.
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
    _require(asked, snapshot, targets)
    features = _features(asked, snapshot, device)
    text = provenance(asked.network, asked.command)
    projected: list[Projected] = []
    for target in tqdm(targets, unit="picture", disable=None, leave=False):
        tqdm.write(f"{target.name}: the best of {format_count(asked.effort.starts, 'seed')}, and "
                   f"from there {format_count(asked.effort.steps, 'step')}", sys.stderr)
        projected.append(_projected(asked, snapshot, target, features))
        yield results.write_one(asked.outdir, snapshot, projected[-1], text)
    yield str(results.write_all(asked.outdir, projected))
    if asked.film is not None:
        film = asked.outdir / asked.film
        timing = results.film_timing(asked.effort.steps, asked.fps)
        results.write_film(film, snapshot, projected, timing, text)
        yield str(film)


def _require(asked: Request, snapshot: Snapshot, targets: Sequence[Target]) -> None:
    """Raise UserError for what cannot be made or written, before anything is searched."""
    if asked.class_name is not None:
        class_index(snapshot, asked.class_name)
    if asked.film is not None:
        cell = snapshot.generator.config.size(snapshot.level)
        folder = (asked.outdir / asked.film).parent
        if folder != asked.outdir and not folder.is_dir():
            raise UserError(f"There is no folder {folder} for the film. Make it first, or name the "
                            "film alone: it goes to --outdir.")
        require_video(asked.film, results.film_timing(asked.effort.steps, asked.fps),
                      results.film_size(cell, len(asked.pictures)))
    if asked.outdir.exists() and not asked.outdir.is_dir():
        raise UserError(f"--outdir {asked.outdir} is a file. Name a folder.")
    inputs = {path.resolve() for path in (*asked.pictures, asked.network)}
    for path in _outputs(asked, targets):
        if path.resolve() in inputs:
            raise UserError(f"{path} would be written over, and it is what you start from. Name "
                            "another folder with --outdir.")
        if path.is_dir():
            raise UserError(f"{path} is a folder, and a file of that name is to be written. Name "
                            "another folder with --outdir.")


def _outputs(asked: Request, targets: Sequence[Target]) -> Iterator[Path]:
    """All files that are going to be written."""
    for target in targets:
        yield from results.files_of(asked.outdir, target.name)
    yield asked.outdir / results.LATENTS_FILE
    if asked.film is not None:
        yield asked.outdir / asked.film


def _features(asked: Request, snapshot: Snapshot, device: torch.device) -> Features | None:
    if asked.detector == PIXELS:
        return None
    if asked.detector is not None:
        return of_vgg16(asked.detector, device)
    found = discriminator_beside(asked.network, snapshot.generator.config)
    if found is None:
        tqdm.write(NO_FEATURES, sys.stderr)
        return None
    discriminator, path = found
    tqdm.write(f"features: the discriminator of {path}", sys.stderr)
    return of_discriminator(discriminator.to(device), snapshot)


def _projected(asked: Request, snapshot: Snapshot, target: Target,
               features: Features | None) -> Projected:
    image = target.image().to(next(snapshot.generator.parameters()).device)
    return Projected(target, search(snapshot, distance_to(image, features), asked.effort,
                                    asked.class_name))
