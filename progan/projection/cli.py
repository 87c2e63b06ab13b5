"""python -m progan.projection: find the latents of given images."""

import math
from pathlib import Path
from typing import Any

import click

from progan.command import NETWORK, PATH, Command, FiniteRange, device_option, format_path
from progan.errors import UserError
from progan.invocation import format_own_command_line
from progan.runtime.files import (
    require_detector,
    require_existing,
    require_writable_file,
    require_writable_folder,
)
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.options import VideoTiming, require_video_format

FPS = 30  # default


# fmt: off
@click.command(cls=Command)
@click.argument("images", type=PATH, nargs=-1, required=True, metavar="IMAGE…")
@click.option("--network", type=NETWORK, required=True, metavar="FILE|RUN|NAME",
    help="Network file or training state, or the directory of a run (or of runs): its newest "
    "network. Also a pickle of the official TensorFlow code, a .pth of pytorch_GAN_zoo's PGAN, or "
    "portraits, a network in the package.")
@click.option("--outdir", type=PATH, required=True, metavar="DIR", help="Folder to write to.")
@click.option("--class", "class_name", metavar="NAME|INDEX",
    help="Class to generate, for networks that were trained with labels; without it, the class "
    "that comes nearest.")
@click.option("--resolution", type=int,
    help="Generate at a lower resolution that was trained on the way; the highest if not given.")
@click.option("--starts", type=click.IntRange(1, 100_000), default=256, show_default=True,
    help="Number of seeds to compare; the four nearest are optimised.")
@click.option("--steps", type=click.IntRange(1, 10_000), default=200, show_default=True,
    help="Number of optimisation steps.")
@click.option("--detector", type=PATH, metavar="FILE|pixels",
    help="Features to compare besides the pixels: torchvision's weights of VGG-16. The "
    "discriminator of the same training if not given; pixels: no features.")
@click.option("--video", type=PATH, metavar="FILE",
    help="Write a video of the search, too: FILE.mp4 (pip install \"progan[video]\"), .gif or "
    ".webp, in --outdir, a frame for each step.")
@click.option("--fps", type=FiniteRange(1, 240),
    help=f"Frames per second of the video.  [default: {FPS}]")
@device_option
# fmt: on
def main(
    images: tuple[Path, ...],
    network: Path,
    outdir: Path,
    detector: Path | None,
    video: Path | None,
    fps: float | None,
    **values: Any,
) -> None:
    """Find the latents whose images are nearest to given images.

    Images should show what the network has learned, cropped as its dataset was. Written are, for
    each, NAME-target.png, the nearest image NAME-projected.png and its latent NAME-projected.npy,
    and the latents of all in projected.npy, for generate.py --latents.

    \b
    python -m progan.projection me.jpg you.jpg --network runs --outdir found
    python -m progan.projection me.jpg --network runs --outdir found --video me.mp4
    generate.py --network runs --latents found/projected.npy --video from-me-to-you.mp4
    """
    if fps is not None and video is None:
        raise UserError("--fps is for videos. Name a file for one with --video.")
    if fps is not None and not math.isfinite(fps):
        raise UserError(f"--fps {fps:g}: name a number from 1 to 240.")
    require_existing([network, *images], "Name the files that are to be read.")
    require_detector(None if str(detector) == "pixels" else detector)
    require_writable_folder(outdir, "--outdir")
    if video is not None:
        require_video_format(video, VideoTiming(1, fps or FPS))
        path = outdir / video
        require_writable_file(path, "--video", makes_folder=path.parent == outdir)
    set_omp_passive()
    from tqdm import tqdm

    from progan.projection.project import ProjectionRequest, run_request
    from progan.sampling.find_network import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {format_path(path)}", err=True)
    request = ProjectionRequest(
        images=images,
        network=path,
        outdir=outdir,
        detector=detector,
        video=video,
        fps=fps or FPS,
        command=format_own_command_line("projection"),
        **values,
    )
    for line in run_request(request):
        tqdm.write(format_path(line))  # above the progress bar
