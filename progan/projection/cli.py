"""python -m progan.projection: the latents of given pictures."""

import math
from pathlib import Path

import click

from progan.command import PATH, Command, device_option
from progan.errors import UserError
from progan.invocation import this_command_line
from progan.runtime.files import (
    require_detector,
    require_existing,
    require_writable_file,
    require_writable_folder,
)
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.options import VideoTiming, require_video_format

FPS = 30  # unless asked for otherwise


@click.command(cls=Command)
@click.argument("pictures", type=PATH, nargs=-1, required=True, metavar="PICTURE…")
@click.option(
    "--network",
    type=PATH,
    required=True,
    metavar="FILE|RUN",
    help="Network file or training state, or the directory of a run (or of runs): its "
    "newest network. Also a pickle of the official TensorFlow code, or a .pth of "
    "pytorch_GAN_zoo's PGAN.",
)
@click.option("--outdir", type=PATH, required=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--class",
    "class_name",
    metavar="NAME|INDEX",
    help="Class to draw, for networks "
    "that were trained with labels; without it, the one that comes nearest.",
)
@click.option(
    "--resolution",
    type=int,
    help="Draw at a lower resolution that was trained on the way; the highest one if not given.",
)
@click.option(
    "--starts",
    type=click.IntRange(1, 100_000),
    default=256,
    show_default=True,
    help="How many seeds to look at, to begin with the four best of them.",
)
@click.option(
    "--steps",
    type=click.IntRange(1, 10_000),
    default=200,
    show_default=True,
    help="How many steps to go from there.",
)
@click.option(
    "--detector",
    type=PATH,
    metavar="FILE|pixels",
    help="What compares pictures beside "
    "their pixels: torchvision's weights of VGG-16. The discriminator of the same "
    "training if not given; pixels: nothing more.",
)
@click.option(
    "--video",
    type=PATH,
    metavar="FILE",
    help="Film the search, too: FILE.mp4 (pip "
    'install "progan[video]"), .gif or .webp, in --outdir, a frame for each step.',
)
@click.option(
    "--fps", type=click.FloatRange(1, 240), help=f"Its frames per second.  [default: {FPS:g}]"
)
@device_option
def main(
    pictures: tuple[Path, ...],
    network: Path,
    outdir: Path,
    class_name: str | None,
    resolution: int | None,
    starts: int,
    steps: int,
    detector: Path | None,
    video: Path | None,
    fps: float | None,
    device: str,
) -> None:
    """Find the latents whose pictures are nearest to given ones.

    Pictures should show what the network has learned, cut as its dataset was. Written are, for
    each, NAME-projected.png and beside it NAME-target.png, which it came as near to as it could;
    the latent as NAME-projected.npy, and those of all in projected.npy, for generate.py --latents.

    \b
    python -m progan.projection me.jpg you.jpg --network runs --outdir found
    python -m progan.projection me.jpg --network runs --outdir found --video me.mp4
    generate.py --network runs --latents found/projected.npy --video from-me-to-you.mp4
    """
    if fps is not None and video is None:
        raise UserError("--fps is for films. Name a file for one with --video.")
    if fps is not None and not math.isfinite(fps):
        raise UserError(f"--fps {fps:g}: name a number from 1 to 240.")
    require_existing([network, *pictures], "Name the files that are to be read.")
    require_detector(None if str(detector) == "pixels" else detector)
    require_writable_folder(outdir, "--outdir")
    if video is not None:
        if fps is None or not math.isnan(fps):  # which is told with the length of the video
            require_video_format(video, VideoTiming(1, fps or FPS))
        path = outdir / video
        require_writable_file(path, "--video", makes_folder=path.parent == outdir)
    set_omp_passive()
    from tqdm import tqdm

    from progan.projection.project import ProjectionRequest, run_request
    from progan.projection.search import SearchBudget
    from progan.sampling.network_choice import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {click.format_filename(path)}", err=True)
    request = ProjectionRequest(
        pictures=pictures,
        network=path,
        outdir=outdir,
        class_name=class_name,
        resolution=resolution,
        effort=SearchBudget(starts=starts, steps=steps),
        detector=detector,
        video=video,
        fps=fps or FPS,
        device=device,
        command=this_command_line("projection"),
    )
    for line in run_request(request):
        tqdm.write(click.format_filename(line))  # above the progress bar
