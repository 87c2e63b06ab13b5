"""Run a generate.py request: render images or a video, and write the files."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels
from progan.runtime.devices import choose, set_repeatable
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
    film: VideoRequest | None
    warn: Callable[[str], None] = lambda line: None


def run_request(asked: GenerateRequest) -> Iterator[Path]:
    """Draw, and yield the path of each file when it is written."""
    if asked.seeds is not None and asked.latents is not None:
        raise UserError("Name either --seeds or --latents, not both.")
    device = choose(asked.device)
    set_repeatable()
    snapshot = at_resolution(asked.load(asked.networks[-1], device), asked.resolution)
    if note := untrained_note(snapshot, asked.class_name):
        asked.warn(note)
    if asked.film is None:
        yield from _write_images(asked, snapshot)
    else:
        yield _write_video(asked, asked.film, snapshot)


def _write_images(asked: GenerateRequest, snapshot: Snapshot) -> Iterator[Path]:
    wish = _latent_batch(asked, snapshot)
    if wish is None:
        raise UserError("Which pictures? Name either --seeds, e.g. 0-15, or a file of --latents.")
    if asked.outdir is None:
        raise UserError("Where to? Name a folder for the pictures with --outdir.")
    output = ImageOutput(folder=asked.outdir, kind=asked.kind, batch=asked.batch,
                         text=provenance(asked.networks[-1], asked.command))
    _require_not_overwritten(asked.latents, _outputs(asked, wish, output))
    if not asked.sheet and asked.grid is None:
        yield from write_images(snapshot, wish, output)
        return
    if asked.kind == NPY:
        raise UserError("--float writes one file for each picture: leave --grid and --sheet away.")
    write = write_sheet if asked.sheet else write_grid
    yield write(snapshot, wish, output, *_grid_layout(asked, snapshot, len(wish.names)))


def _outputs(asked: GenerateRequest, wish: LatentBatch, output: ImageOutput) -> Iterator[Path]:
    """The files that pictures will be written to."""
    sheet = SHEET_NAME if asked.sheet else GRID_NAME
    single = not asked.sheet and asked.grid is None
    return map(output.path, wish.names if single else [sheet])


def _require_not_overwritten(latents: Path | None, outputs: Iterable[Path]) -> None:
    """Raise UserError if the file that the latents come from would be written over."""
    for path in outputs if latents is not None else ():
        if latents is not None and path.exists() and path.samefile(latents):
            raise UserError(f"{path} is the file of --latents and would be written over. Name "
                            "another place to write to.")


def _write_video(asked: GenerateRequest, film: VideoRequest, snapshot: Snapshot) -> Path:
    path = film.file if asked.outdir is None else asked.outdir / film.file
    columns, rows, frames = (_growth if film.growth else _interpolation)(asked, film, snapshot)
    size = frame_size(snapshot.generator.config.size(snapshot.level), columns, rows)
    require_video(path, film.timing, size)
    _require_not_overwritten(asked.latents, [path])
    if asked.outdir is not None:
        make_folder(asked.outdir)
    text = provenance(asked.networks[-1], asked.command)
    bar = tqdm(frames, total=film.timing.frames, unit="frame", desc=path.name, disable=None,
               leave=False)
    write_video(path, bar, film.timing, text)
    return path


def _interpolation(asked: GenerateRequest, film: VideoRequest,
                   snapshot: Snapshot) -> tuple[int, int, Iterator[Pixels]]:
    """Columns, rows and frames of a film in which the latents move."""
    columns, rows = parse_grid(asked.grid, 1) if asked.grid else (1, 1)
    wish = _latent_batch(asked, snapshot)
    if wish is not None:
        if film.walk is not None or film.smoothing is not None:
            raise UserError("--seeds and --latents name a way of their own: leave --walk and "
                            "--smoothing away, or these.")
        script = seed_tour_path(wish, columns * rows, film.timing)
    else:
        smoothing = film.smoothing
        smoothing = default_smoothing(film.timing.seconds) if smoothing is None else smoothing
        script = random_walk_path(snapshot, film.walk or 0, columns * rows, film.timing, smoothing)
        if asked.class_name is not None:
            labels = labels_of_class(snapshot, script.labels, asked.class_name)
            script = LatentPath(script.latents, labels)
    return columns, rows, interpolation_frames(snapshot, script, columns, rows)


def _growth(asked: GenerateRequest, film: VideoRequest,
            snapshot: Snapshot) -> tuple[int, int, Iterator[Pixels]]:
    """Columns, rows and frames of the film of a run's growth."""
    if film.walk is not None or film.smoothing is not None or asked.resolution is not None:
        raise UserError("--growth shows the same latents at the resolution of each time: leave "
                        "--walk, --smoothing and --resolution away.")
    require_several_snapshots(asked.networks)
    wish = _latent_batch(asked, snapshot) or _with_class(
        asked, snapshot, batch_from_seeds(snapshot, GROWTH_SEEDS))
    columns, rows = _grid_layout(asked, snapshot, len(wish.names))
    device = next(snapshot.generator.parameters()).device
    return columns, rows, growth_frames(asked.networks, wish, columns, rows, film.timing, device)


def _latent_batch(asked: GenerateRequest, snapshot: Snapshot) -> LatentBatch | None:
    if asked.seeds is not None:
        return _with_class(asked, snapshot, batch_from_seeds(snapshot, asked.seeds))
    if asked.latents is not None:
        return _with_class(asked, snapshot, batch_from_file(snapshot, asked.latents))
    return None


def _with_class(asked: GenerateRequest, snapshot: Snapshot, wish: LatentBatch) -> LatentBatch:
    return wish if asked.class_name is None else with_class(snapshot, wish, asked.class_name)


def _grid_layout(asked: GenerateRequest, snapshot: Snapshot, count: int) -> tuple[int, int]:
    size = snapshot.generator.config.size(snapshot.level)
    return parse_grid(asked.grid, count) if asked.grid else sheet_layout(count, size)
