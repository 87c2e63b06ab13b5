"""Run a generate.py request: render images or a video, and write the files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import make_folder
from progan.sampling.image_files import (
    GRID_NAME,
    SHEET_NAME,
    ImageOutput,
    provenance,
    sheet_layout,
    write_grid,
    write_images,
    write_sheet,
)
from progan.sampling.interpolation import (
    LatentPath,
    default_smoothing,
    random_walk_path,
    seed_tour_path,
)
from progan.sampling.latents import (
    LatentBatch,
    batch_from_file,
    batch_from_seeds,
    labels_of_class,
    select_resolution,
    untrained_class_warning,
    with_class,
)
from progan.sampling.options import VideoTiming, parse_grid
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.video import (
    GROWTH_SEEDS,
    frame_size,
    growth_frames,
    interpolation_frames,
    require_encodable,
    require_several_snapshots,
    write_video,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoRequest:
    """Options of a video.

    Attributes:
        file: Its suffix selects the format.
        walk: Seed of the random walk of the first cell; None: 0.
        smoothing: Of random walks, in seconds; None: as long as the video allows.
        growth: Show all networks of the run instead of moving through the latents of one.
    """

    file: Path
    timing: VideoTiming
    walk: int | None
    smoothing: float | None
    growth: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """Options of generate.py, checked by the command; images need an outdir and latents or seeds.

    Attributes:
        networks: Network files of a run, oldest first; the last one generates.
        load: Reads a network file of any program.
        command: The command line, to be written into the files.
        grid: 'COLSxROWS'.
        sheet: Write a contact sheet instead of single files.
        kind, batch: As in ImageOutput.
        warn: Receives warnings, one line each.
    """

    networks: Sequence[Path]
    load: Callable[[Path, torch.device], Snapshot]
    command: str
    device: str
    outdir: Path | None
    seeds: str | None
    latents: Path | None
    class_name: str | None
    resolution: int | None
    grid: str | None
    sheet: bool
    kind: str
    batch: int | None
    video: VideoRequest | None
    warn: Callable[[str], None] = lambda line: None


class Frames(NamedTuple):
    """Frames of a video, uint8 [H, W, 3], and the grid of images in each."""

    columns: int
    rows: int
    frames: Iterator[Pixels]


def run_request(request: GenerateRequest) -> Iterator[Path]:
    """Generate images or a video, and yield the path of each file when it is written."""
    device = choose_device(request.device)
    set_deterministic()
    snapshot = select_resolution(request.load(request.networks[-1], device), request.resolution)
    if warning := untrained_class_warning(snapshot, request.class_name):
        request.warn(warning)
    if request.video is None:
        yield from _write_images(request, snapshot)
    else:
        yield _write_video(request, request.video, snapshot)


def _write_images(request: GenerateRequest, snapshot: Snapshot) -> Iterator[Path]:
    latent_batch = _latent_batch(request, snapshot)
    assert latent_batch is not None and request.outdir is not None
    output = ImageOutput(
        folder=request.outdir,
        kind=request.kind,
        batch=request.batch,
        text=provenance(request.networks[-1], request.command),
    )
    if request.sheet or request.grid is not None:
        write, name = (write_sheet, SHEET_NAME) if request.sheet else (write_grid, GRID_NAME)
        _require_not_overwritten(request.latents, [output.path(name)])
        layout = _grid_layout(request, snapshot, len(latent_batch.names))
        yield write(snapshot, latent_batch, output, *layout)
    else:
        _require_not_overwritten(request.latents, map(output.path, latent_batch.names))
        yield from write_images(snapshot, latent_batch, output)


def _require_not_overwritten(latents: Path | None, outputs: Iterable[Path]) -> None:
    """Raise UserError if an output file is the file of --latents."""
    for path in outputs if latents is not None else ():
        if latents is not None and path.exists() and path.samefile(latents):
            raise UserError(
                f"{path} is the file of --latents and would be overwritten. Name another output."
            )


def _write_video(request: GenerateRequest, video: VideoRequest, snapshot: Snapshot) -> Path:
    path = video.file if request.outdir is None else request.outdir / video.file
    make_frames = _growth if video.growth else _interpolation
    columns, rows, frames = make_frames(request, video, snapshot)
    size = frame_size(snapshot.generator.config.size(snapshot.level), columns, rows)
    require_encodable(path, video.timing, size)
    _require_not_overwritten(request.latents, [path])
    if request.outdir is not None:
        make_folder(request.outdir)
    bar = tqdm(
        frames, total=video.timing.frames, unit="frame", desc=path.name, disable=None, leave=False
    )
    write_video(path, bar, video.timing, provenance(request.networks[-1], request.command))
    return path


def _interpolation(request: GenerateRequest, video: VideoRequest, snapshot: Snapshot) -> Frames:
    """Frames of a tour of the seeds or latents, or of a random walk if none are given."""
    columns, rows = parse_grid(request.grid, 1) if request.grid else (1, 1)
    latent_batch = _latent_batch(request, snapshot)
    if latent_batch is not None:
        if video.walk is not None or video.smoothing is not None:
            raise UserError(
                "--seeds and --latents cannot be combined with --walk or --smoothing, which are "
                "for random walks."
            )
        path = seed_tour_path(latent_batch, columns * rows, video.timing)
    else:
        smoothing = video.smoothing
        smoothing = default_smoothing(video.timing.seconds) if smoothing is None else smoothing
        path = random_walk_path(snapshot, video.walk or 0, columns * rows, video.timing, smoothing)
        if request.class_name is not None:
            labels = labels_of_class(snapshot, path.labels, request.class_name)
            path = LatentPath(path.latents, labels)
    return Frames(columns, rows, interpolation_frames(snapshot, path, columns, rows))


def _growth(request: GenerateRequest, video: VideoRequest, snapshot: Snapshot) -> Frames:
    """Frames that show the same latents in all snapshots of the run."""
    if video.walk is not None or video.smoothing is not None or request.resolution is not None:
        raise UserError(
            "--growth shows the same latents at the resolution of each snapshot: it cannot be "
            "combined with --walk, --smoothing or --resolution."
        )
    require_several_snapshots(request.networks)
    latent_batch = _latent_batch(request, snapshot, default_seeds=GROWTH_SEEDS)
    assert latent_batch is not None
    columns, rows = _grid_layout(request, snapshot, len(latent_batch.names))
    device = next(snapshot.generator.parameters()).device
    frames = growth_frames(request.networks, latent_batch, columns, rows, video.timing, device)
    return Frames(columns, rows, frames)


def _latent_batch(
    request: GenerateRequest, snapshot: Snapshot, default_seeds: str | None = None
) -> LatentBatch | None:
    """Return the latents of --latents or --seeds, with --class; None if neither is given."""
    seeds = request.seeds if request.seeds is not None else default_seeds
    if request.latents is not None:
        latent_batch = batch_from_file(snapshot, request.latents)
    elif seeds is not None:
        latent_batch = batch_from_seeds(snapshot, seeds)
    else:
        return None
    if request.class_name is None:
        return latent_batch
    return with_class(snapshot, latent_batch, request.class_name)


def _grid_layout(request: GenerateRequest, snapshot: Snapshot, count: int) -> tuple[int, int]:
    """Return columns and rows, of --grid or chosen for `count` images."""
    size = snapshot.generator.config.size(snapshot.level)
    return parse_grid(request.grid, count) if request.grid else sheet_layout(count, size)
