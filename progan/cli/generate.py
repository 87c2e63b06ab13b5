"""generate.py: make pictures with a trained network."""

import shlex
import sys
from pathlib import Path

import click

from progan.door import PATH, Door, device_option
from progan.errors import UserError
from progan.runtime.threads import wait_politely


@click.command(cls=Door)
@click.option("--network", type=PATH, required=True, metavar="FILE|RUN",
              help="Network file, or the directory of a run (or of runs): its newest network. Also "
              "a pickle of the official TensorFlow code, or a .pth of pytorch_GAN_zoo's PGAN.")
@click.option("--seeds", metavar="LIST", help="Which pictures, e.g. 0-15,20. A seed names the same "
              "picture on every machine.")
@click.option("--latents", type=PATH, metavar="FILE.npy",
              help="Draw these latents, float32 [N, latent_size], instead of seeds.")
@click.option("--class", "class_name", metavar="NAME|INDEX", help="Class to draw, for networks "
              "that were trained with labels; without it, seed k draws class k mod classes.")
@click.option("--resolution", type=int, help="Draw at a lower resolution that was trained on the "
              "way; the highest one if not given.")
@click.option("--grid", "columns_rows", metavar="COLSxROWS",
              help="Write one sheet grid.png instead of single files.")
@click.option("--outdir", type=PATH, required=True, help="Folder to write the pictures to.")
@device_option
def main(network: Path, seeds: str | None, latents: Path | None, class_name: str | None,
         resolution: int | None, columns_rows: str | None, outdir: Path, device: str) -> None:
    """Make pictures with a trained network; needs neither the dataset nor a GPU.

    \b
    generate.py --network runs/00000-mine-v2-1gpu --seeds 0-15 --outdir out
    generate.py --network network-snapshot-012000.safetensors --seeds 0-31 --grid 8x4 --outdir out
    generate.py --network karras2018iclr-celebahq-1024x1024.pkl --seeds 0-15 --outdir out
    """
    wait_politely()
    from progan.interop.reading import load_snapshot
    from progan.runtime.devices import choose
    from progan.sampling import pictures
    from progan.sampling.network_file import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {path}", err=True)
    snapshot = load_snapshot(path, choose(device))
    if seeds is not None and latents is None:
        wish = pictures.from_seeds(snapshot, seeds)
    elif latents is not None and seeds is None:
        wish = pictures.from_file(snapshot, latents)
    else:
        raise UserError("Which pictures? Name either --seeds, e.g. 0-15, or a file of --latents.")
    if class_name is not None:
        wish = pictures.of_class(snapshot, wish, class_name)
    layout = pictures.parse_grid(columns_rows, len(wish.names)) if columns_rows else None
    level, alpha = pictures.place(snapshot, resolution)
    provenance = pictures.provenance(path, shlex.join(["generate.py", *sys.argv[1:]]))
    for file in pictures.write(snapshot, wish, level, alpha, outdir, provenance, layout):
        click.echo(file)
