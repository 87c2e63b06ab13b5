"""Run a projection request: read target images, search their latents, write the results."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from progan.data.image_source import UnreadableImage
from progan.data.importers.pixels import convert_and_resize, decode_srgb
from progan.errors import UserError
from progan.images import Pixels, save_png, to_float
from progan.interop.load import load_snapshot
from progan.projection.search import (
    Features,
    SearchBudget,
    SearchPath,
    discriminator_features,
    find_discriminator,
    make_distance,
    search_latent,
    vgg16_features,
)
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import make_folder
from progan.runtime.text import caseless, format_count, sanitize_line
from progan.sampling.image_files import provenance, replace_undecodable, save_array
from progan.sampling.latents import class_index, select_resolution
from progan.sampling.options import MAX_SECONDS, VideoTiming
from progan.sampling.render import as_pixels, render_single
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.video import compose_frame, frame_size, require_encodable, write_video
from progan.sizes import Size

LATENTS_FILE = "projected.npy"
HOLD_SECONDS = 1.0  # how long a film rests on what was found
PIXELS = Path("pixels")  # in place of a detector's file
NO_FEATURES = (
    "features: none, only pixels are compared. A run has a discriminator in its newest "
    "whole state, if it judges single images; or name weights of VGG-16 with "
    "--detector."
)


@dataclass(frozen=True, slots=True)
class Target:
    """A picture, cut and resized to what a network draws."""

    name: str  # of its file, without suffix
    pixels: Pixels  # [H, W, C]

    def image(self) -> Tensor:
        """[1, C, H, W] in [-1, 1]."""
        return to_float(torch.from_numpy(self.pixels.transpose(2, 0, 1).copy()))[None]


def read_targets(paths: Sequence[Path], snapshot: Snapshot) -> list[Target]:
    """Read pictures, as `create-from-images` does: upright, the middle of them, by Lanczos.

    Raises UserError if one cannot be read, or if two have the same name.
    """
    stems: dict[str, list[str]] = {}
    for path in paths:
        stems.setdefault(caseless(path.stem), []).append(path.stem)  # one name on many disks
    for alike in stems.values():
        if len(alike) > 1:
            raise UserError(
                f"{len(alike)} pictures are called {' and '.join(sorted(set(alike)))}, "
                "and what is made of them would have one name. Rename them, or name "
                "another --outdir for each."
            )
    return [Target(path.stem, _read_target(path, snapshot)) for path in paths]


def _read_target(path: Path, snapshot: Snapshot) -> Pixels:
    config = snapshot.generator.config
    if path.exists() and not path.is_file():  # of a pipe there might come nothing, for ever
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'no file'}. Name pictures.")
    try:
        return convert_and_resize(
            decode_srgb(path.read_bytes(), str(path)),
            channels=config.channels,
            size=config.size(snapshot.level),
            crop="center",
            resize_filter="lanczos",
        )
    except UnreadableImage as error:
        raise UserError(
            f"Cannot read {path}: {error.reason}. Name a picture that can be opened."
        ) from error


@dataclass(frozen=True, slots=True)
class Projection:
    """A target, and where the search for it led."""

    target: Target
    found: SearchPath

    def picture(self, snapshot: Snapshot) -> Pixels:
        """[H, W, C], what `generate.py --latents` draws."""
        (image,) = render_single(snapshot, self.found.latents[-1:], self.found.label[None])
        return as_pixels(image)

    def class_name(self, snapshot: Snapshot) -> str:
        """What it was drawn as, of a network with classes."""
        return snapshot.label_names[int(self.found.label.argmax())]


def output_files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """What is written for a picture: its target, what was found, and the latent of that."""
    return (
        folder / f"{name}-target.png",
        folder / f"{name}-projected.png",
        folder / f"{name}-projected.npy",
    )


def write_projection(
    folder: Path, snapshot: Snapshot, projected: Projection, text: Mapping[str, str]
) -> str:
    """Write what was found of one picture; return a line on how near it is."""
    make_folder(folder)
    drawn, target = projected.picture(snapshot), projected.target
    aim, picture, latent = output_files(folder, target.name)
    save_png(aim, target.pixels, {})
    save_png(picture, drawn, {**text, "Target": replace_undecodable(target.name)})
    _save_latents(latent, [projected])
    named = (
        f", class {sanitize_line(projected.class_name(snapshot))}" if snapshot.label_names else ""
    )
    return f"{picture}  {rms_difference(drawn, target.pixels):.1f} of 255 off{named}"


def write_all_latents(folder: Path, all_of_it: Sequence[Projection]) -> Path:
    """Write the latents of all pictures in one file."""
    _save_latents(folder / LATENTS_FILE, all_of_it)
    return folder / LATENTS_FILE


def _save_latents(path: Path, some: Sequence[Projection]) -> None:
    """As generate.py takes them: float32 [N, latent_size]."""
    latents = torch.stack([each.found.latents[-1] for each in some])
    save_array(path, latents.cpu().numpy())


def rms_difference(image: Pixels, other: Pixels) -> float:
    """Root mean square of the difference, in levels of 0…255."""
    return float(np.sqrt(np.mean((image.astype(float) - other) ** 2)))


def video_timing(steps: int, fps: float) -> VideoTiming:
    """A frame for each step, and a rest at the end; raises UserError if that is too long."""
    seconds = (steps + 1) / fps + HOLD_SECONDS
    if not seconds <= MAX_SECONDS:
        raise UserError(
            f"--steps {steps} at --fps {fps:g} make a film of {seconds:.0f} s, and "
            f"{MAX_SECONDS} are the most. Ask for more --fps."
        )
    return VideoTiming(seconds, fps)


def video_size(cell: Size, count: int) -> Size:
    """Of the frames: for each picture a row of its target and what is drawn."""
    return frame_size(cell, 2, count)


def write_search_video(
    path: Path,
    snapshot: Snapshot,
    all_of_it: Sequence[Projection],
    timing: VideoTiming,
    text: Mapping[str, str],
) -> None:
    """The way of each picture, right of its target."""
    bar = tqdm(
        _video_frames(snapshot, all_of_it, timing),
        total=timing.frames,
        unit="frame",
        desc=path.name,
        disable=None,
        leave=False,
    )
    write_video(path, bar, timing, text)


def _video_frames(
    snapshot: Snapshot, all_of_it: Sequence[Projection], timing: VideoTiming
) -> Iterator[Pixels]:
    labels = torch.stack([each.found.label for each in all_of_it])
    ways = torch.stack([each.found.latents for each in all_of_it], dim=1)
    for latents in ways:
        drawn = map(as_pixels, render_single(snapshot, latents, labels))
        cells = [
            image
            for each, picture in zip(all_of_it, drawn, strict=True)
            for image in (each.target.pixels, picture)
        ]
        frame = compose_frame(np.stack(cells), 2, len(all_of_it))
        yield frame
    for _ in range(timing.frames - len(ways)):
        yield frame


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionRequest:
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
    effort: SearchBudget
    detector: Path | None
    video: Path | None
    fps: float


def run_request(request: ProjectionRequest) -> Iterator[str]:
    """Find the latents, and yield a line for what is written.

    What was found of one picture is on disk before the next one is searched for.
    """
    device = choose_device(request.device)
    set_deterministic()
    snapshot = select_resolution(load_snapshot(request.network, device), request.resolution)
    targets = read_targets(request.pictures, snapshot)
    _require_feasible(request, snapshot, targets)
    features = _open_features(request, snapshot, device)
    text = provenance(request.network, request.command)
    projected: list[Projection] = []
    for target in tqdm(targets, unit="picture", disable=None, leave=False):
        tqdm.write(
            f"{target.name}: the best of {format_count(request.effort.starts, 'seed')}, and "
            f"from there {format_count(request.effort.steps, 'step')}",
            sys.stderr,
        )
        projected.append(_project(request, snapshot, target, features))
        yield write_projection(request.outdir, snapshot, projected[-1], text)
    yield str(write_all_latents(request.outdir, projected))
    if request.video is not None:
        video = request.outdir / request.video
        timing = video_timing(request.effort.steps, request.fps)
        write_search_video(video, snapshot, projected, timing, text)
        yield str(video)


def _require_feasible(
    request: ProjectionRequest, snapshot: Snapshot, targets: Sequence[Target]
) -> None:
    """Raise UserError for what cannot be made or written, before anything is searched."""
    if request.class_name is not None:
        class_index(snapshot, request.class_name)
    if request.video is not None:
        cell = snapshot.generator.config.size(snapshot.level)
        folder = (request.outdir / request.video).parent
        if folder != request.outdir and not folder.is_dir():
            raise UserError(
                f"There is no folder {folder} for the film. Make it first, or name the "
                "film alone: it goes to --outdir."
            )
        require_encodable(
            request.video,
            video_timing(request.effort.steps, request.fps),
            video_size(cell, len(request.pictures)),
        )
    if request.outdir.exists() and not request.outdir.is_dir():
        raise UserError(f"--outdir {request.outdir} is a file. Name a folder.")
    inputs = {path.resolve() for path in (*request.pictures, request.network)}
    for path in _output_paths(request, targets):
        if path.resolve() in inputs:
            raise UserError(
                f"{path} would be written over, and it is what you start from. Name "
                "another folder with --outdir."
            )
        if path.is_dir():
            raise UserError(
                f"{path} is a folder, and a file of that name is to be written. Name "
                "another folder with --outdir."
            )


def _output_paths(request: ProjectionRequest, targets: Sequence[Target]) -> Iterator[Path]:
    """All files that are going to be written."""
    for target in targets:
        yield from output_files(request.outdir, target.name)
    yield request.outdir / LATENTS_FILE
    if request.video is not None:
        yield request.outdir / request.video


def _open_features(
    request: ProjectionRequest, snapshot: Snapshot, device: torch.device
) -> Features | None:
    if request.detector == PIXELS:
        return None
    if request.detector is not None:
        return vgg16_features(request.detector, device)
    found = find_discriminator(request.network, snapshot.generator.config)
    if found is None:
        tqdm.write(NO_FEATURES, sys.stderr)
        return None
    discriminator, path = found
    tqdm.write(f"features: the discriminator of {path}", sys.stderr)
    return discriminator_features(discriminator.to(device), snapshot)


def _project(
    request: ProjectionRequest, snapshot: Snapshot, target: Target, features: Features | None
) -> Projection:
    image = target.image().to(next(snapshot.generator.parameters()).device)
    return Projection(
        target,
        search_latent(snapshot, make_distance(image, features), request.effort, request.class_name),
    )
