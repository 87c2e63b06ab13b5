"""Run a generate.py request: render images or a video, and write the files."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import make_folder
from progan.runtime.text import PrintLine
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
    choose_smoothing,
    random_walk_path,
    seed_tour_path,
)
from progan.sampling.latents import (
    LatentBatch,
    batch_from_file,
    batch_from_seeds,
    format_untrained_class_warning,
    labels_of_class,
    replace_class,
    select_resolution,
)
from progan.sampling.options import GenerateOptions, parse_grid
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.truncation import truncate_batch
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
class GenerateRequest:
    """Options of generate.py, checked by the command; images need an outdir and latents or seeds.

    Attributes:
        networks: Network files of a run, oldest first; the last one generates.
        load: Reads a network file of any program.
        command: The command line, to be written into the files.
        print_line: Receives warnings, one line each.
    """

    options: GenerateOptions
    networks: Sequence[Path]
    load: Callable[[Path, torch.device], Snapshot]
    command: str
    print_line: PrintLine = lambda line: None


class Frames(NamedTuple):
    """Frames of a video, uint8 [H, W, 3], and the grid of images in each."""

    columns: int
    rows: int
    frames: Iterator[Pixels]
    max_distinct: int | None = None  # most frames that can differ; None: all


def run_request(request: GenerateRequest) -> Iterator[Path]:
    """Generate images or a video, and yield the path of each file when it is written."""
    options, device = request.options, choose_device(request.options.device)
    set_deterministic()
    # Now, as a training may replace the file while images are made.
    text = provenance(request.networks[-1], request.command)
    snapshot = select_resolution(request.load(request.networks[-1], device), options.resolution)
    if warning := format_untrained_class_warning(snapshot, options.class_name):
        request.print_line(warning)
    if options.video is None:
        yield from _write_images(request, snapshot, text)
    else:
        yield _write_video(request, options.video, snapshot, text)


def _write_images(
    request: GenerateRequest, snapshot: Snapshot, text: Mapping[str, str]
) -> Iterator[Path]:
    options = request.options
    latent_batch = _read_latent_batch(options, snapshot)
    assert latent_batch is not None and options.outdir is not None
    output = ImageOutput(
        folder=options.outdir, kind=options.image_format, batch=options.batch, text=text
    )
    if options.sheet or options.grid is not None:
        write, name = (write_sheet, SHEET_NAME) if options.sheet else (write_grid, GRID_NAME)
        _require_not_overwritten(options.latents, [output.path(name)])
        layout = _choose_grid_layout(options, snapshot, len(latent_batch.names))
        yield write(snapshot, latent_batch, output, *layout)
    else:
        _require_not_overwritten(options.latents, map(output.path, latent_batch.names))
        yield from write_images(snapshot, latent_batch, output)


def _require_not_overwritten(latents: Path | None, outputs: Iterable[Path]) -> None:
    """Raise UserError if an output file is the file of --latents."""
    for path in outputs if latents is not None else ():
        if latents is not None and path.exists() and path.samefile(latents):
            raise UserError(
                f"{path} is the file of --latents and would be overwritten. Name another output."
            )


def _write_video(
    request: GenerateRequest, file: Path, snapshot: Snapshot, text: Mapping[str, str]
) -> Path:
    options, timing = request.options, request.options.timing
    path = file if options.outdir is None else options.outdir / file
    make_frames = _make_growth_frames if options.growth else _make_interpolation_frames
    columns, rows, frames, max_distinct = make_frames(request, snapshot)
    size = frame_size(snapshot.generator.config.size(snapshot.level), columns, rows)
    require_encodable(path, timing, size, max_distinct)
    _require_not_overwritten(options.latents, [path])
    if options.outdir is not None:
        make_folder(options.outdir)
    bar = tqdm(frames, total=timing.frames, unit="frame", desc=path.name, disable=None, leave=False)
    write_video(path, bar, timing, text)
    return path


def _make_interpolation_frames(request: GenerateRequest, snapshot: Snapshot) -> Frames:
    """Return the frames of a tour of seeds or latents, or of a random walk without any."""
    options, timing = request.options, request.options.timing
    columns, rows = parse_grid(options.grid, 1) if options.grid else (1, 1)
    latent_batch = _read_latent_batch(options, snapshot)
    if latent_batch is not None:
        if options.walk is not None or options.smoothing is not None:
            raise UserError(
                "--seeds and --latents cannot be combined with --walk or --smoothing, which are "
                "for random walks."
            )
        path = seed_tour_path(latent_batch, columns * rows, timing)
    else:
        smoothing = options.smoothing
        smoothing = choose_smoothing(timing.seconds) if smoothing is None else smoothing
        path = random_walk_path(snapshot, options.walk or 0, columns * rows, timing, smoothing)
        if options.class_name is not None:
            labels = labels_of_class(snapshot, path.labels, options.class_name)
            path = LatentPath(path.latents, labels)
        path = truncate_batch(snapshot, path, options.trunc)
    return Frames(columns, rows, interpolation_frames(snapshot, path, columns, rows))


def _make_growth_frames(request: GenerateRequest, snapshot: Snapshot) -> Frames:
    """Return frames that show the same latents in all snapshots of the run."""
    options = request.options
    if any(x is not None for x in (options.walk, options.smoothing, options.resolution)):
        raise UserError(
            "--growth shows the same latents at the resolution of each snapshot: it cannot be "
            "combined with --walk, --smoothing or --resolution."
        )
    require_several_snapshots(request.networks)
    latent_batch = _read_latent_batch(options, snapshot, default_seeds=GROWTH_SEEDS)
    assert latent_batch is not None
    columns, rows = _choose_grid_layout(options, snapshot, len(latent_batch.names))
    frames = growth_frames(request.networks, snapshot, latent_batch, columns, rows, options.timing)
    return Frames(columns, rows, frames, len(request.networks))


def _read_latent_batch(
    options: GenerateOptions, snapshot: Snapshot, default_seeds: str | None = None
) -> LatentBatch | None:
    """Return the latents of --latents or --seeds, with --class; None if neither is given."""
    seeds = options.seeds if options.seeds is not None else default_seeds
    if options.latents is not None:
        latent_batch = batch_from_file(snapshot, options.latents)
    elif seeds is not None:
        latent_batch = batch_from_seeds(snapshot, seeds)
    else:
        return None
    if options.class_name is not None:
        latent_batch = replace_class(snapshot, latent_batch, options.class_name)
    return truncate_batch(snapshot, latent_batch, options.trunc)


def _choose_grid_layout(
    options: GenerateOptions, snapshot: Snapshot, count: int
) -> tuple[int, int]:
    """Return columns and rows, of --grid or chosen for `count` images."""
    size = snapshot.generator.config.size(snapshot.level)
    return parse_grid(options.grid, count) if options.grid else sheet_layout(count, size)
