"""What generate.py refuses before it imports torch."""

from pathlib import Path

import click
from click.core import ParameterSource

from progan.door import PATH, Command, device_option
from progan.errors import UserError
from progan.invocation import typed
from progan.runtime.files import require_paths, require_writable_file, require_writable_folder
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.options import (
    FPS,
    SECONDS,
    VideoTiming,
    parse_grid,
    parse_seeds,
    require_video_format,
)

NETWORKS = "Name a network file or the directory of a run with --network."


def require_inputs(network: Path, seeds: str | None, latents: Path | None) -> None:
    """Raise UserError unless the network is there, and seeds or latents can be read."""
    if seeds is not None and latents is not None:
        raise UserError("Name either --seeds or --latents, not both.")
    if seeds is not None:
        parse_seeds(seeds)
    require_paths([network], NETWORKS)
    require_paths([latents], "Name a file with --latents.")


def require_image_output(
    seeds: str | None,
    latents: Path | None,
    outdir: Path | None,
    grid: str | None,
    *,
    sheet: bool,
    as_floats: bool,
) -> None:
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


def require_video_output(
    video: Path, timing: VideoTiming, outdir: Path | None, grid: str | None
) -> None:
    """Raise UserError unless a video can be written as asked for."""
    require_video_format(video, timing)
    if grid is not None:
        parse_grid(grid, 1)
    path = video if outdir is None else outdir / video
    if outdir is not None:
        require_writable_folder(outdir, "--outdir")
    require_writable_file(path, "--video", makes_folder=path.parent == outdir)


FITTING = (
    "--explore",
    "--port",
    "--network",
    "--seeds",
    "--class",
    "--resolution",
    "--outdir",
    "--device",
)
OUTDIR = Path("explored")


def require_explorable() -> None:
    """Raise UserError if an option was given that means nothing for a page."""
    context = click.get_current_context()
    for param in context.command.params:
        was_given = context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if was_given and param.opts[0] not in FITTING:
            raise UserError(
                f"{param.opts[0]} is for files, and --explore shows a page. Leave one of them away."
            )


def explore_page(
    network: Path,
    command: str,
    *,
    seeds: str | None,
    class_name: str | None,
    resolution: int | None,
    outdir: Path | None,
    port: int | None,
    device: str,
) -> None:
    """Serve the page until Ctrl-C."""
    if seeds is not None and len(parse_seeds(seeds)) > 1:
        raise UserError(f"--seeds {seeds}: --explore begins at one seed. Name one.")
    require_paths([network], NETWORKS)
    require_writable_folder(outdir or OUTDIR, "--outdir")
    from progan.explorer.server import require_gradio

    require_gradio()
    set_omp_passive()
    from progan.explorer.app import ExploreRequest, explore
    from progan.sampling.find_network import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {path}", err=True)
    explore(
        ExploreRequest(
            network=path,
            command=command,
            device=device,
            seeds=seeds,
            class_name=class_name,
            resolution=resolution,
            outdir=outdir or OUTDIR,
            port=port,
        )
    )


OF_PICTURES = ("--sheet", "--format", "--float", "--batch")
OF_FILMS = ("--walk", "--smoothing", "--growth", "--seconds", "--fps")


@click.command(cls=Command)
@click.option(
    "--network",
    type=PATH,
    required=True,
    metavar="FILE|RUN",
    help="Network file or training state, or the directory of a run (or of runs): its "
    "newest network. Also a pickle of the official TensorFlow code, or a .pth of "
    "pytorch_GAN_zoo's PGAN.",
)
@click.option(
    "--seeds",
    metavar="LIST",
    help="Which pictures, e.g. 0-15,20. A seed names the same picture on every machine.",
)
@click.option(
    "--latents",
    type=PATH,
    metavar="FILE.npy",
    help="Draw these latents, float32 [N, latent_size], instead of seeds.",
)
@click.option(
    "--class",
    "class_name",
    metavar="NAME|INDEX",
    help="Class to draw, for networks "
    "that were trained with labels; without it, seed k draws class k mod classes, of "
    "those that had images to train on.",
)
@click.option(
    "--resolution",
    type=int,
    help="Draw at a lower resolution that was trained on the way; the highest one if not given.",
)
@click.option(
    "--grid",
    metavar="COLSxROWS",
    help="Write one sheet grid.png instead of single files; of films, the cells of the frames.",
)
@click.option(
    "--outdir",
    type=PATH,
    help="Folder to write the pictures to; films go to the present one if not given.",
)
@click.option(
    "--sheet",
    is_flag=True,
    help="Write a contact sheet, sheet.png: small pictures, "
    "each with its seed below. It lays itself out, or as --grid says.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["png", "jpeg", "webp"]),
    default="png",
    show_default=True,
    help="Kind of the files; WebP keeps every pixel, too. All say "
    "inside which seed, network and command made them.",
)
@click.option(
    "--float",
    "as_floats",
    is_flag=True,
    help="Write the network's own numbers, float32 "
    "[H, W, C] with -1…1 for black to white, as .npy files.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many pictures are in memory at a time, drawn or being written; two for "
    "each core if not given. Each is drawn by itself, so that no pixel depends on it.",
)
@click.option(
    "--video",
    type=PATH,
    metavar="FILE",
    help="Write a film: FILE.mp4 (pip install "
    '"progan[video]"), .gif or .webp. It is a walk through the latents; with --seeds '
    "or --latents, it goes through these pictures. It loops without a seam.",
)
@click.option(
    "--seconds", type=float, default=SECONDS, show_default=True, help="How long the film is."
)
@click.option("--fps", type=float, default=FPS, show_default=True, help="Its frames per second.")
@click.option(
    "--walk",
    type=click.IntRange(0, 2**32 - 1),
    metavar="SEED",
    help="Which walk; of a grid, that of its first cell, and the others count on. 0 if not given.",
)
@click.option(
    "--smoothing",
    type=float,
    metavar="SECONDS",
    help="How slow walks are: what "
    "blurs them in time. 0.75 if not given, as in the paper, or a sixth of a "
    "short film.",
)
@click.option(
    "--growth",
    is_flag=True,
    help="Film the growth of a run, from its first snapshot to "
    "the last one, with --seeds 0-5 if not given.",
)
@click.option(
    "--explore",
    is_flag=True,
    help="Show a page to explore what the network draws, in "
    'a browser on this machine (pip install "progan[web]"). It begins at --seeds 0 and '
    f"saves to --outdir {OUTDIR} if not given.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Where --explore shows its page; 0: "
    "any that is free. The first free one from 7860 on if not given.",
)
@device_option
def main(
    network: Path,
    seeds: str | None,
    latents: Path | None,
    class_name: str | None,
    resolution: int | None,
    grid: str | None,
    outdir: Path | None,
    sheet: bool,
    kind: str,
    as_floats: bool,
    batch: int | None,
    video: Path | None,
    seconds: float,
    fps: float,
    walk: int | None,
    smoothing: float | None,
    growth: bool,
    explore: bool,
    port: int | None,
    device: str,
) -> None:
    """Make pictures and films with a trained network; needs neither the dataset nor a GPU.

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
    command = typed("generate")
    if explore:
        require_explorable()
        explore_page(
            network,
            command,
            seeds=seeds,
            class_name=class_name,
            resolution=resolution,
            outdir=outdir,
            port=port,
            device=device,
        )
        return
    if port is not None:
        raise UserError("--port is for the page of --explore. Leave it away.")
    _require_fitting(film=video is not None)
    if as_floats and kind != "png":
        raise UserError("--float writes .npy files. Leave --format away.")
    timing = VideoTiming(seconds, fps)
    require_inputs(network, seeds, latents)
    if video is None:
        require_image_output(seeds, latents, outdir, grid, sheet=sheet, as_floats=as_floats)
    else:
        require_video_output(video, timing, outdir, grid)
    set_omp_passive()
    from tqdm import tqdm

    from progan.interop.load import load_snapshot
    from progan.sampling.find_network import find_network, find_networks
    from progan.sampling.generate import GenerateRequest, VideoRequest, run_request
    from progan.sampling.image_files import NPY

    paths = find_networks(network) if growth else [find_network(network)]
    if paths[-1] != network:
        click.echo(f"network: {click.format_filename(paths[-1])}", err=True)
    film = (
        None
        if video is None
        else VideoRequest(file=video, timing=timing, walk=walk, smoothing=smoothing, growth=growth)
    )
    request = GenerateRequest(
        networks=paths,
        load=load_snapshot,
        command=command,
        device=device,
        outdir=outdir,
        seeds=seeds,
        latents=latents,
        class_name=class_name,
        resolution=resolution,
        grid=grid,
        sheet=sheet,
        kind=NPY if as_floats else kind,
        batch=batch,
        video=film,
        warn=lambda line: click.echo(line, err=True),
    )
    for file in run_request(request):
        tqdm.write(click.format_filename(file))  # above the progress bar


def _require_fitting(*, film: bool) -> None:
    """Raise UserError if an option was given that means nothing for what is made."""
    strangers, why = (
        (OF_PICTURES, "is for pictures, and --video makes a film. Leave it away.")
        if (film)
        else (OF_FILMS, "is for films. Name a file for one with --video.")
    )
    context = click.get_current_context()
    for param in context.command.params:
        was_given = context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if was_given and param.opts[0] in strangers:
            raise UserError(f"{param.opts[0]} {why}")
