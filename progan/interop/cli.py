"""python -m progan.interop: networks of other programs, and ours for them."""

from pathlib import Path

import click

from progan.command import PATH, Command
from progan.errors import UserError
from progan.interop.export_formats import require_target
from progan.runtime.files import require_existing, require_writable_file


@click.command(cls=Command)
@click.argument("network", type=PATH, metavar="FILE|RUN")
@click.option(
    "--to",
    "target",
    type=PATH,
    metavar="FILE",
    help="Convert. To the averaged generator alone: .safetensors, a network file of "
    "progan; .onnx, ONNX; .pt2, a program of torch.export; .ts or .torchscript, "
    "TorchScript. Or .npz: arrays with the names and layouts of the official TensorFlow "
    "code.",
)
@click.option(
    "--resolution",
    type=int,
    help="Convert the generator of a lower resolution that was trained on the way.",
)
def main(network: Path, target: Path | None, resolution: int | None) -> None:
    """List the layers of a network here and in the program that it comes from, or convert it.

    FILE may be a pickle of the official TensorFlow code, an archive (.npz) with its names, a file
    (.pth) of pytorch_GAN_zoo's PGAN, or a network file or training state of progan; of a RUN it is
    the newest network.

    \b
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl --to celebahq.safetensors
    python -m progan.interop runs/00000-mine-v2-1gpu --to mine.npz
    python -m progan.interop runs/00000-mine-v2-1gpu --to mine-256.onnx --resolution 256
    """
    if target is None and resolution is not None:
        raise UserError("--resolution says what to convert: name a file with --to as well.")
    if target is not None:
        require_target(target)
        require_writable_file(target, "--to")
    require_existing([network], "Name a network file or the directory of a run.")
    from progan.interop.conversion import convert, read
    from progan.interop.imported_model import table
    from progan.sampling.network_choice import find_network

    path = find_network(network)
    trained = read(path)
    if target is None:
        click.echo(table(trained, str(path)))
    else:
        convert(trained, path, target, resolution)
        click.echo(click.format_filename(target))
