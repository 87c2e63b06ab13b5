"""What generate.py refuses before it imports torch."""

from pathlib import Path

from progan.errors import UserError
from progan.runtime.files import require_paths, require_writable_file, require_writable_folder
from progan.sampling.options import VideoTiming, parse_grid, parse_seeds, require_video_format

NETWORKS = "Name a network file or the directory of a run with --network."


def require_inputs(network: Path, seeds: str | None, latents: Path | None) -> None:
    """Raise UserError unless the network is there, and seeds or latents can be read."""
    if seeds is not None and latents is not None:
        raise UserError("Name either --seeds or --latents, not both.")
    if seeds is not None:
        parse_seeds(seeds)
    require_paths([network], NETWORKS)
    require_paths([latents], "Name a file with --latents.")


def require_image_output(seeds: str | None, latents: Path | None, outdir: Path | None,
                         grid: str | None, *, sheet: bool, as_floats: bool) -> None:
    """Raise UserError unless images can be written as asked for."""
    if seeds is None and latents is None:
        raise UserError("Which pictures? Name either --seeds, e.g. 0-15, or a file of --latents.")
    if outdir is None:
        raise UserError("Where to? Name a folder for the pictures with --outdir.")
    if as_floats and (sheet or grid is not None):
        raise UserError("--float writes one file for each picture: leave --grid and --sheet away.")
    if grid is not None:
        parse_grid(grid, len(parse_seeds(seeds)) if seeds is not None else 1)
    require_writable_folder(outdir, "--outdir")


def require_video_output(video: Path, timing: VideoTiming, outdir: Path | None, grid: str | None
                         ) -> None:
    """Raise UserError unless a video can be written as asked for."""
    require_video_format(video, timing)
    if grid is not None:
        parse_grid(grid, 1)
    path = video if outdir is None else outdir / video
    if outdir is not None:
        require_writable_folder(outdir, "--outdir")
    require_writable_file(path, "--video", makes_folder=path.parent == outdir)
