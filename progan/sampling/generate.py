"""Run a generate.py request: render images or a video, and write the files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import make_folder
from progan.sampling.image_files import (
    GRID_NAME,
    NPY,
    SHEET_NAME,
    ImageOutput,
    provenance,
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
    at_resolution,
    batch_from_file,
    batch_from_seeds,
    labels_of_class,
    untrained_note,
    with_class,
)
from progan.sampling.network_file import Snapshot
from progan.sampling.options import VideoTiming, parse_grid
from progan.sampling.sheets import sheet_layout
from progan.sampling.video import (
    GROWTH_SEEDS,
    frame_size,
    growth_frames,
    interpolation_frames,
    require_several_snapshots,
    require_video,
    write_video,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class VideoRequest:
    """A film as people name it.

    Attributes:
        file: Its suffix says of which kind.
        walk: Seed of the walk of the first cell; None: 0.
        smoothing: Of walks, in seconds; None: as long as the film allows.
        growth: Show all networks instead of the last one.
    """

    file: Path
    timing: VideoTiming
    walk: int | None
    smoothing: float | None
    growth: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class GenerateRequest:
    """Pictures, or a film, as people name them.

    Attributes:
        networks: Of a run, oldest first; the last one draws.
        load: Reads a network file of whatever program.
        command: What was typed, to be written into the files.
        grid: 'COLSxROWS'.
        sheet: A contact sheet instead of single files.
        kind: As of Output.
        batch: As of Output.
        warn: Receives a line that people should know.
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


def run_request(request: GenerateRequest) -> Iterator[Path]:
    """Draw, and yield the path of each file when it is written."""
    if request.seeds is not None and request.latents is not None:
        raise UserError("Name either --seeds or --latents, not both.")
    device = choose_device(request.device)
    set_deterministic()
    snapshot = at_resolution(request.load(request.networks[-1], device), request.resolution)
    if note := untrained_note(snapshot, request.class_name):
        request.warn(note)
    if request.video is None:
        yield from _write_images(request, snapshot)
    else:
        yield _write_video(request, request.video, snapshot)


def _write_images(request: GenerateRequest, snapshot: Snapshot) -> Iterator[Path]:
    latent_batch = _latent_batch(request, snapshot)
    if latent_batch is None:
        raise UserError("Which pictures? Name either --seeds, e.g. 0-15, or a file of --latents.")
    if request.outdir is None:
        raise UserError("Where to? Name a folder for the pictures with --outdir.")
    output = ImageOutput(
        folder=request.outdir,
        kind=request.kind,
        batch=request.batch,
        text=provenance(request.networks[-1], request.command),
    )
    _require_not_overwritten(request.latents, _outputs(request, latent_batch, output))
    if not request.sheet and request.grid is None:
        yield from write_images(snapshot, latent_batch, output)
        return
    if request.kind == NPY:
        raise UserError("--float writes one file for each picture: leave --grid and --sheet away.")
    write = write_sheet if request.sheet else write_grid
    yield write(
        snapshot, latent_batch, output, *_grid_layout(request, snapshot, len(latent_batch.names))
    )


def _outputs(
    request: GenerateRequest, latent_batch: LatentBatch, output: ImageOutput
) -> Iterator[Path]:
    """The files that pictures will be written to."""
    sheet = SHEET_NAME if request.sheet else GRID_NAME
    single = not request.sheet and request.grid is None
    return map(output.path, latent_batch.names if single else [sheet])


def _require_not_overwritten(latents: Path | None, outputs: Iterable[Path]) -> None:
    """Raise UserError if the file that the latents come from would be written over."""
    for path in outputs if latents is not None else ():
        if latents is not None and path.exists() and path.samefile(latents):
            raise UserError(
                f"{path} is the file of --latents and would be written over. Name "
                "another place to write to."
            )


def _write_video(request: GenerateRequest, video: VideoRequest, snapshot: Snapshot) -> Path:
    path = video.file if request.outdir is None else request.outdir / video.file
    columns, rows, frames = (_growth if video.growth else _interpolation)(request, video, snapshot)
    size = frame_size(snapshot.generator.config.size(snapshot.level), columns, rows)
    require_video(path, video.timing, size)
    _require_not_overwritten(request.latents, [path])
    if request.outdir is not None:
        make_folder(request.outdir)
    text = provenance(request.networks[-1], request.command)
    bar = tqdm(
        frames, total=video.timing.frames, unit="frame", desc=path.name, disable=None, leave=False
    )
    write_video(path, bar, video.timing, text)
    return path


def _interpolation(
    request: GenerateRequest, video: VideoRequest, snapshot: Snapshot
) -> tuple[int, int, Iterator[Pixels]]:
    """Columns, rows and frames of a film in which the latents move."""
    columns, rows = parse_grid(request.grid, 1) if request.grid else (1, 1)
    latent_batch = _latent_batch(request, snapshot)
    if latent_batch is not None:
        if video.walk is not None or video.smoothing is not None:
            raise UserError(
                "--seeds and --latents name a way of their own: leave --walk and "
                "--smoothing away, or these."
            )
        script = seed_tour_path(latent_batch, columns * rows, video.timing)
    else:
        smoothing = video.smoothing
        smoothing = default_smoothing(video.timing.seconds) if smoothing is None else smoothing
        script = random_walk_path(
            snapshot, video.walk or 0, columns * rows, video.timing, smoothing
        )
        if request.class_name is not None:
            labels = labels_of_class(snapshot, script.labels, request.class_name)
            script = LatentPath(script.latents, labels)
    return columns, rows, interpolation_frames(snapshot, script, columns, rows)


def _growth(
    request: GenerateRequest, video: VideoRequest, snapshot: Snapshot
) -> tuple[int, int, Iterator[Pixels]]:
    """Columns, rows and frames of the film of a run's growth."""
    if video.walk is not None or video.smoothing is not None or request.resolution is not None:
        raise UserError(
            "--growth shows the same latents at the resolution of each time: leave "
            "--walk, --smoothing and --resolution away."
        )
    require_several_snapshots(request.networks)
    latent_batch = _latent_batch(request, snapshot) or _with_class(
        request, snapshot, batch_from_seeds(snapshot, GROWTH_SEEDS)
    )
    columns, rows = _grid_layout(request, snapshot, len(latent_batch.names))
    device = next(snapshot.generator.parameters()).device
    return (
        columns,
        rows,
        growth_frames(request.networks, latent_batch, columns, rows, video.timing, device),
    )


def _latent_batch(request: GenerateRequest, snapshot: Snapshot) -> LatentBatch | None:
    if request.seeds is not None:
        return _with_class(request, snapshot, batch_from_seeds(snapshot, request.seeds))
    if request.latents is not None:
        return _with_class(request, snapshot, batch_from_file(snapshot, request.latents))
    return None


def _with_class(
    request: GenerateRequest, snapshot: Snapshot, latent_batch: LatentBatch
) -> LatentBatch:
    return (
        latent_batch
        if request.class_name is None
        else with_class(snapshot, latent_batch, request.class_name)
    )


def _grid_layout(request: GenerateRequest, snapshot: Snapshot, count: int) -> tuple[int, int]:
    size = snapshot.generator.config.size(snapshot.level)
    return parse_grid(request.grid, count) if request.grid else sheet_layout(count, size)
