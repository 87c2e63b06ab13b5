"""python -m progan.interop: networks of other programs, and ours for them."""

from pathlib import Path

import click

from progan.door import PATH, Door
from progan.errors import UserError


@click.command(cls=Door)
@click.argument("network", type=PATH, metavar="FILE|RUN")
@click.option("--to", "target", type=PATH, metavar="FILE.safetensors|FILE.npz",
              help="Convert: to a network file of progan, the averaged generator alone, or to an "
              "archive of arrays with the names and layouts of the official TensorFlow code.")
def main(network: Path, target: Path | None) -> None:
    """List the layers of a network here and in the program that it comes from, or convert it.

    FILE may be a pickle of the official TensorFlow code, an archive (.npz) with its names, a file
    (.pth) of pytorch_GAN_zoo's PGAN, or a network file of progan; of a RUN it is the newest.

    \b
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl --to celebahq.safetensors
    python -m progan.interop runs/00000-mine-v2-1gpu --to mine.npz
    """
    from progan.interop.conversion import KINDS, convert, read
    from progan.interop.layer_table import table
    from progan.sampling.network_file import find_network

    if target is not None and target.suffix not in KINDS:
        raise UserError(f"--to {target}: name a file that ends with {' or '.join(KINDS)}.")
    if target is not None and target.exists():
        raise UserError(f"--to {target}: there is one already. Name another file.")
    path = find_network(network)
    trained = read(path)
    if target is None:
        click.echo(table(trained, str(path)))
    else:
        convert(trained, path, target)
        click.echo(target)
