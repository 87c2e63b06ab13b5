"""python -m progan.interop: show and convert networks of any supported program."""

from importlib.util import find_spec
from pathlib import Path

import click

from progan.command import NETWORK, PATH, Command, format_path
from progan.errors import UserError
from progan.runtime.files import require_existing, require_writable_file

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")  # to write, convert and verify
TARGETS = (".safetensors", ".npz", ".onnx", ".pt2", ".ts", ".torchscript")


# fmt: off
@click.command(cls=Command)
@click.argument("network", type=NETWORK, metavar="FILE|RUN|NAME")
@click.option("--to", "target", type=PATH, metavar="FILE",
    help="Convert. The suffix selects the format: .safetensors, a network file of progan "
    "(g_ema); .onnx, .pt2 (torch.export), .ts or .torchscript, exports of it; .npz, arrays of all "
    "networks with the names and layouts of the official TensorFlow code.")
@click.option("--resolution", type=int,
    help="Convert the generator of a lower resolution that was trained on the way.")
@click.option("--half", is_flag=True,
    help="Store the weights of a .safetensors as float16: half the size.")
# fmt: on
def main(network: Path, target: Path | None, resolution: int | None, half: bool) -> None:
    """List the layers of a network here and in the program that it comes from, or convert it.

    FILE may be a pickle of the official TensorFlow code, an archive (.npz) with its names, a file
    (.pth) of pytorch_GAN_zoo's PGAN, or a network file or training state of progan; of a RUN it is
    the newest network; portraits is the network in the package.

    \b
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl
    python -m progan.interop karras2018iclr-celebahq-1024x1024.pkl --to celebahq.safetensors
    python -m progan.interop runs/00000-mine-v2-1gpu --to mine.npz
    python -m progan.interop runs/00000-mine-v2-1gpu --to mine-256.onnx --resolution 256
    """
    if target is None and resolution is not None:
        raise UserError("--resolution applies to conversions: name a file with --to as well.")
    if half and (target is None or target.suffix != ".safetensors"):
        raise UserError("--half applies to network files: name one, .safetensors, with --to.")
    if target is not None:
        _require_target(target)
        require_writable_file(target, "--to")
    require_existing([network], "Name a network file or the directory of a run.")
    from progan.interop.conversion import convert, format_layer_table, read_model
    from progan.sampling.find_network import find_network

    path = find_network(network)
    model = read_model(path)
    if target is None:
        click.echo(format_layer_table(model, str(path)))
    else:
        convert(model, path, target, resolution, half=half)
        click.echo(format_path(target))


def _require_target(path: Path) -> None:
    """Raise UserError unless a new file of that suffix can be written; imports no torch."""
    if path.suffix not in TARGETS:
        raise UserError(f"--to {path} must end in {', '.join(TARGETS)}.")
    if path.exists():
        raise UserError(f"--to {path} exists already. Name another file.")
    missing = [name for name in ONNX_PACKAGES if find_spec(name) is None]
    if path.suffix == ".onnx" and missing:
        raise UserError(
            f"ONNX needs {' and '.join(missing)}, of the extra onnx: "
            'pip install "progan[onnx]" (or ".[onnx]" in a checkout).'
        )
