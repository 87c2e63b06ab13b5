"""generate.py: images and videos of a trained network. The checks here need no torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from progan.cli.aliases import GENERATE_ALIASES, GENERATE_DIFFERENCES, explain_differences
from progan.command import NETWORK, PATH, Command, FiniteRange, device_option, list_given_options
from progan.errors import UserError
from progan.invocation import format_own_command_line
from progan.runtime.files import require_existing, require_writable_file, require_writable_folder
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.options import (
    FPS,
    SECONDS,
    GenerateOptions,
    parse_grid,
    parse_seeds,
    require_video_format,
)

EXPLORED = Path("explored")  # --outdir of --explore if not given
IMAGE_OPTIONS = {"--sheet", "--format", "--float", "--batch"}
VIDEO_OPTIONS = {"--walk", "--smoothing", "--growth", "--seconds", "--fps"}
EXPLORE_OPTIONS = {"--explore", "--port", "--network", "--seeds", "--class", "--resolution",
                   "--trunc", "--outdir", "--device"}  # fmt: skip


# fmt: off
@click.command(cls=Command, aliases=GENERATE_ALIASES)
@click.option("--network", type=NETWORK, required=True, metavar="FILE|RUN|NAME",
    help="Network file or training state, or the directory of a run (or of runs): its newest "
    "network. Also a pickle of the official TensorFlow code, a .pth of pytorch_GAN_zoo's PGAN, "
    "hf://ORGANISATION/NAME, made by progan push, or portraits, a network in the package.")
@click.option("--seeds", metavar="LIST",
    help="Seeds of the images, e.g. 0-15,20. A seed gives the same image on every machine.")
@click.option("--latents", type=PATH, metavar="FILE.npy",
    help="Latents to use instead of seeds, float32 [N, latent_size].")
@click.option("--class", "class_name", metavar="NAME|INDEX",
    help="Class to generate, for networks that were trained with labels; without it, seed k gets "
    "class k mod classes, of those that had images to train on.")
@click.option("--trunc", type=FiniteRange(0, 2), default=1.0, show_default=True,
    metavar="PSI",
    help="Truncation: pull latents toward those of the most typical images. 1: as they are; 0.7: "
    "more typical and less varied; 0: the most typical image.")
@click.option("--resolution", type=int,
    help="Generate at a lower resolution that was trained on the way; the highest if not given.")
@click.option("--grid", metavar="COLSxROWS",
    help="Write one sheet grid.png instead of single files; of videos, the cells of the frames.")
@click.option("--outdir", type=PATH,
    help="Folder to write the images to; videos go to the current one if not given.")
@click.option("--sheet", is_flag=True,
    help="Write a contact sheet, sheet.png: small images, each with its seed below. Its layout is "
    "automatic, or as --grid says.")
@click.option("--format", "kind", type=click.Choice(["png", "jpeg", "webp"]), default="png",
    show_default=True,
    help="Format of the files; WebP is lossless, too. All name inside which seed, network and "
    "command made them.")
@click.option("--float", "as_floats", is_flag=True,
    help="Write the network's own numbers, float32 [H, W, C] with -1…1 for black to white, as "
    ".npy files.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N",
    help="Maximum images in memory at a time; two for each core if not given. Each is generated "
    "by itself, so that no pixel depends on it.")
@click.option("--video", type=PATH, metavar="FILE",
    help='Write a video: FILE.mp4 (pip install "progan[video]"), .gif or .webp. It is a random '
    "walk through the latents; with --seeds or --latents, it goes through these images. It loops "
    "without a seam.")
@click.option("--seconds", type=float, default=SECONDS, show_default=True,
    help="Length of the video.")
@click.option("--fps", type=float, default=FPS, show_default=True,
    help="Frames per second of the video.")
@click.option("--walk", type=click.IntRange(0, 2**32 - 1), metavar="SEED",
    help="Seed of the random walk; of a grid, that of its first cell, and the others count up "
    "from it. 0 if not given.")
@click.option("--smoothing", type=float, metavar="SECONDS",
    help="Standard deviation of the blur in time that slows random walks down. 0.75 if not given, "
    "as in the paper, or a sixth of a short video.")
@click.option("--growth", is_flag=True,
    help="Show the growth of a run, from its first snapshot to the last one, with --seeds 0-5 if "
    "not given.")
@click.option("--explore", is_flag=True,
    help="Show a page to explore what the network generates, in a browser on this machine (pip "
    f'install "progan[web]"). It begins at --seeds 0 and saves to --outdir {EXPLORED} if not '
    "given.")
@click.option("--port", type=click.IntRange(0, 65535),
    help="Port of the page of --explore; 0: any that is free. The first free one from 7860 on if "
    "not given.")
@explain_differences(GENERATE_DIFFERENCES)
@device_option
# fmt: on
def main(**values: Any) -> None:
    """Generate images and videos with a trained network; needs neither the dataset nor a GPU.

    \b
    generate.py --network runs/00000-mine-v2-1gpu --seeds 0-15 --outdir out
    generate.py --network network-snapshot-012000.safetensors --seeds 0-31 --grid 8x4 --outdir out
    generate.py --network karras2018iclr-celebahq-1024x1024.pkl --seeds 0-15 --outdir out
    generate.py --network runs --seeds 0-99 --sheet --outdir out
    generate.py --network runs --video walk.mp4 --grid 4x2 --seconds 20
    generate.py --network runs --video seeds.gif --seeds 3,14,15 --fps 20
    generate.py --network runs --video growth.mp4 --growth
    generate.py --network runs --explore
    """
    options = GenerateOptions(**values)
    _require_applicable(options)
    require_existing(
        [options.network], "Name a network file or the directory of a run with --network."
    )
    if options.explore:
        _serve_explorer(options)
    else:
        _require_inputs(options)
        _require_outputs(options)
        _generate_files(options)


def _require_applicable(options: GenerateOptions) -> None:
    """Raise UserError if an option was given that does not apply to images, video or page."""
    for name in list_given_options():
        if options.explore and name not in EXPLORE_OPTIONS:
            raise UserError(f"{name} is for files, and --explore shows a page. Omit one of them.")
        if not options.explore and name == "--port":
            raise UserError("--port is for the page of --explore. Omit it.")
        if not options.explore and options.video and name in IMAGE_OPTIONS:
            raise UserError(f"{name} is for images, and --video makes a video. Omit one of them.")
        if not options.explore and not options.video and name in VIDEO_OPTIONS:
            raise UserError(f"{name} is for videos. Name a file for one with --video.")


def _require_inputs(options: GenerateOptions) -> None:
    """Raise UserError unless seeds or latents can be read."""
    if options.as_floats and options.kind != "png":
        raise UserError("--float writes .npy files. Omit --format.")
    if options.seeds is not None and options.latents is not None:
        raise UserError("Name either --seeds or --latents, not both.")
    if options.seeds is not None:
        parse_seeds(options.seeds)
    require_existing([options.latents], "Name a file with --latents.")


def _require_outputs(options: GenerateOptions) -> None:
    """Raise UserError unless the images, or the video, can be written."""
    seeds, video, outdir, grid = options.seeds, options.video, options.outdir, options.grid
    if video is not None:
        require_video_format(video, options.timing)
    elif seeds is None and options.latents is None:
        raise UserError(
            "Missing option '--seeds'. Name either --seeds, e.g. 0-15, or a file with --latents."
        )
    elif outdir is None:
        raise UserError("Missing option '--outdir'. Name a folder for the images.")
    elif options.as_floats and (options.sheet or grid is not None):
        raise UserError("--float writes one file for each image: omit --grid and --sheet.")
    if grid is not None:
        parse_grid(grid, len(parse_seeds(seeds)) if seeds is not None and video is None else 1)
    if outdir is not None:
        require_writable_folder(outdir, "--outdir")
    if video is not None:
        path = video if outdir is None else outdir / video
        require_writable_file(path, "--video", makes_folder=path.parent == outdir)


def _generate_files(options: GenerateOptions) -> None:
    """Generate the images or the video, and print the path of each file."""
    set_omp_passive()
    from tqdm import tqdm

    from progan.interop.load import load_snapshot
    from progan.sampling.generate import GenerateRequest, run_request

    request = GenerateRequest(
        options=options,
        networks=_find_and_print_networks(options.network, growth=options.growth),
        load=load_snapshot,
        command=format_own_command_line("generate"),
        warn=lambda line: click.echo(line, err=True),
    )
    for file in run_request(request):
        tqdm.write(click.format_filename(file))  # above the progress bar


def _find_and_print_networks(network: Path, *, growth: bool = False) -> list[Path]:
    """Return the network that --network stands for; print it if that is another path.

    Args:
        growth: Return all snapshots of its run, the oldest first; the last one is printed.
    """
    from progan.sampling.find_network import find_network, find_networks

    paths = find_networks(network) if growth else [find_network(network)]
    if paths[-1] != network:
        click.echo(f"network: {click.format_filename(paths[-1])}", err=True)
    return paths


def _serve_explorer(options: GenerateOptions) -> None:
    """Serve the page of --explore until Ctrl-C."""
    if options.seeds is not None and len(parse_seeds(options.seeds)) > 1:
        raise UserError(f"--seeds {options.seeds}: --explore begins at one seed. Name one.")
    outdir = options.outdir or EXPLORED
    require_writable_folder(outdir, "--outdir")
    from progan.explorer import require_gradio

    require_gradio()
    set_omp_passive()
    from progan.explorer.server import explore

    network = _find_and_print_networks(options.network)[0]
    explore(network, replace(options, outdir=outdir), format_own_command_line("generate"))
