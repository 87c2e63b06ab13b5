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
    count_compared_seeds,
    discriminator_features,
    find_discriminator,
    make_distance,
    search_latent,
    vgg16_features,
)
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import make_folder
from progan.runtime.text import (
    escape_controls,
    format_count,
    make_caseless_key,
    sanitize_and_truncate_line,
)
from progan.sampling.image_files import provenance, replace_undecodable, save_array
from progan.sampling.latents import class_index, select_resolution
from progan.sampling.options import MAX_SECONDS, VideoTiming
from progan.sampling.render import render_single, to_uint8_pixels
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.video import compose_frame, frame_size, require_encodable, write_video

LATENTS_FILE = "projected.npy"
HOLD_SECONDS = 1.0  # duration of the last frame of a video
PIXELS = Path("pixels")  # in place of a detector's file
NO_FEATURES = (
    "features: none, only pixels are compared. No usable discriminator was found: it is read from "
    "the newest intact state of the run, and one with batch normalisation compares whole batches. "
    "--detector names weights of VGG-16 instead."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionRequest:
    """Options of `python -m progan.projection`.

    Attributes:
        command: The command line, to be written into the files.
        starts, steps: As in SearchBudget.
        detector: Weights of VGG-16, or PIXELS; None: the discriminator.
        video: File in `outdir` for a video of the search, with `fps` steps per second.
    """

    images: Sequence[Path]
    network: Path
    command: str
    device: str
    outdir: Path
    class_name: str | None
    resolution: int | None
    starts: int
    steps: int
    detector: Path | None
    video: Path | None
    fps: float


@dataclass(frozen=True, slots=True)
class Target:
    """An image, cropped and resized to the size that the network generates."""

    name: str  # stem of its file
    pixels: Pixels  # [H, W, C]

    def image(self) -> Tensor:
        """Return the image as [1, C, H, W] in [-1, 1]."""
        return to_float(torch.from_numpy(self.pixels.transpose(2, 0, 1).copy()))[None]


@dataclass(frozen=True, slots=True)
class Projection:
    """A target and the result of its search."""

    target: Target
    found: SearchPath


def run_request(request: ProjectionRequest) -> Iterator[str]:
    """Find and write the latents; yield a line for each written result, with paths as they are.

    Results of one image are written before the search for the next one.
    """
    device = choose_device(request.device)
    set_deterministic()
    snapshot = select_resolution(load_snapshot(request.network, device), request.resolution)
    targets = read_targets(request.images, snapshot)
    _require_feasible(request, snapshot, targets)
    features = _open_features_or_report(request, snapshot, device)
    budget = SearchBudget(starts=request.starts, steps=request.steps)
    text = provenance(request.network, request.command)
    projected: list[Projection] = []
    compared = count_compared_seeds(snapshot, request.starts, request.class_name)
    for target in tqdm(targets, unit="image", disable=None, leave=False):
        tqdm.write(
            f"{escape_controls(target.name)}: the best of {format_count(compared, 'seed')}, and "
            f"from there {format_count(request.steps, 'step')}",
            sys.stderr,
        )
        distance = make_distance(target.image().to(device), features)
        found = search_latent(snapshot, distance, budget, request.class_name)
        projected.append(Projection(target, found))
        yield write_projection(request.outdir, snapshot, projected[-1], text)
    latents = request.outdir / LATENTS_FILE
    _save_latents(latents, projected)
    yield str(latents)
    if request.video is not None:
        video = request.outdir / request.video
        timing = video_timing(request.steps, request.fps)
        write_search_video(video, snapshot, projected, timing, text)
        yield str(video)


def read_targets(paths: Sequence[Path], snapshot: Snapshot) -> list[Target]:
    """Read images as `create-from-images` does: upright, center crop, resized by Lanczos.

    Raises UserError if one cannot be read, or if two have the same name.
    """
    stems: dict[str, list[str]] = {}
    for path in paths:
        stems.setdefault(make_caseless_key(path.stem), []).append(
            path.stem
        )  # one name on many disks
    for alike in stems.values():
        if len(alike) > 1:
            raise UserError(
                f"{len(alike)} images are called {' and '.join(sorted(set(alike)))}, and their "
                "results would have one name. Rename them, or name another --outdir for each."
            )
    return [Target(path.stem, _read_target(path, snapshot)) for path in paths]


def _read_target(path: Path, snapshot: Snapshot) -> Pixels:
    config = snapshot.generator.config
    if path.exists() and not path.is_file():  # reading a pipe would block
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'no file'}. Name images.")
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
            f"Cannot read {path}: {error.reason}. Name an image that can be opened."
        ) from error


def list_output_paths(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Return the files of one result: the target, the nearest image, and its latent."""
    return (
        folder / f"{name}-target.png",
        folder / f"{name}-projected.png",
        folder / f"{name}-projected.npy",
    )


def write_projection(
    folder: Path, snapshot: Snapshot, projected: Projection, text: Mapping[str, str]
) -> str:
    """Write the result of one image; return a line with its path and distance."""
    make_folder(folder)
    target, found = projected.target, projected.found
    (image,) = render_single(snapshot, found.latents[-1:], found.label[None])
    pixels = to_uint8_pixels(image)
    target_file, image_file, latent_file = list_output_paths(folder, target.name)
    save_png(target_file, target.pixels, {})
    save_png(image_file, pixels, {**text, "Target": replace_undecodable(target.name)})
    _save_latents(latent_file, [projected])
    names = snapshot.label_names
    class_text = (
        f", class {sanitize_and_truncate_line(names[int(found.label.argmax())])}" if names else ""
    )
    difference = rms_difference(pixels, target.pixels)
    return f"{image_file}  {difference:.1f} of 255 from the target{class_text}"


def _save_latents(path: Path, results: Sequence[Projection]) -> None:
    """Write latents for generate.py --latents: float32 [N, latent_size]."""
    latents = torch.stack([each.found.latents[-1] for each in results])
    save_array(path, latents.cpu().numpy())


def rms_difference(image: Pixels, other: Pixels) -> float:
    """Return the root mean square of the difference, in levels of 0…255."""
    return float(np.sqrt(np.mean((image.astype(float) - other) ** 2)))


def video_timing(steps: int, fps: float) -> VideoTiming:
    """Return a frame per step and a pause at the end as timing; raises UserError if too long."""
    seconds = (steps + 1) / fps + HOLD_SECONDS
    if not seconds <= MAX_SECONDS:
        raise UserError(
            f"--steps {steps} at --fps {fps:g} make a video of {seconds:.0f} s, and "
            f"{MAX_SECONDS} are the most. Ask for more --fps."
        )
    return VideoTiming(seconds, fps)


def write_search_video(
    path: Path,
    snapshot: Snapshot,
    results: Sequence[Projection],
    timing: VideoTiming,
    text: Mapping[str, str],
) -> None:
    """Write a video of the searches, a row for each: the target, and the image of each step."""
    frames = _render_video_frames(snapshot, results, timing)
    name = escape_controls(path.name)
    bar = tqdm(frames, total=timing.frames, unit="frame", desc=name, disable=None, leave=False)
    write_video(path, bar, timing, text)


def _render_video_frames(
    snapshot: Snapshot, results: Sequence[Projection], timing: VideoTiming
) -> Iterator[Pixels]:
    labels = torch.stack([each.found.label for each in results])
    steps = torch.stack([each.found.latents for each in results], dim=1)
    for latents in steps:
        images = map(to_uint8_pixels, render_single(snapshot, latents, labels))
        pairs = zip((each.target.pixels for each in results), images, strict=True)
        frame = compose_frame(np.stack([cell for pair in pairs for cell in pair]), 2, len(results))
        yield frame
    for _ in range(timing.frames - len(steps)):
        yield frame


def _require_feasible(
    request: ProjectionRequest, snapshot: Snapshot, targets: Sequence[Target]
) -> None:
    """Raise UserError for what cannot be generated or written, before any search."""
    if request.class_name is not None:
        class_index(snapshot, request.class_name)
    if request.video is not None:
        folder = (request.outdir / request.video).parent
        if folder != request.outdir and not folder.is_dir():
            raise UserError(
                f"No such folder for the video: {folder}. Make it first, or name the "
                "video alone: it goes to --outdir."
            )
        size = frame_size(snapshot.generator.config.size(snapshot.level), 2, len(request.images))
        require_encodable(request.video, video_timing(request.steps, request.fps), size)
    if request.outdir.exists() and not request.outdir.is_dir():
        raise UserError(f"--outdir {request.outdir} is a file. Name a folder.")
    inputs = {path.resolve() for path in (*request.images, request.network)}
    outputs = [path for each in targets for path in list_output_paths(request.outdir, each.name)]
    outputs.append(request.outdir / LATENTS_FILE)
    if request.video is not None:
        outputs.append(request.outdir / request.video)
    for path in outputs:
        if path.resolve() in inputs:
            raise UserError(
                f"{path} is an input and would be overwritten. Name another folder with --outdir."
            )
        if path.is_dir():
            raise UserError(
                f"{path} is a folder, and a file of that name is to be written. Name "
                "another folder with --outdir."
            )


def _open_features_or_report(
    request: ProjectionRequest, snapshot: Snapshot, device: torch.device
) -> Features | None:
    """Open the features to compare and report which; None: pixels, as chosen or for want of any.

    They are those of --detector, whose errors are raised, or else of the network's discriminator.
    """
    if request.detector == PIXELS:
        return None
    if request.detector is not None:
        return vgg16_features(request.detector, device)
    found = find_discriminator(request.network, snapshot.generator.config)
    if found is None:
        tqdm.write(NO_FEATURES, sys.stderr)
        return None
    tqdm.write(f"features: the discriminator of {escape_controls(str(found.path))}", sys.stderr)
    return discriminator_features(found.discriminator.to(device), snapshot)
