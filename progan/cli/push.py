"""progan push: upload a network to the Hugging Face Hub."""

import re
from pathlib import Path

import click

from progan.command import PATH, Command
from progan.runtime.files import require_existing

NUM_SAMPLES = 32


@click.command(cls=Command)
@click.argument("run", type=PATH)
@click.argument("repo", metavar="ORGANISATION/NAME")
@click.option("--private/--public", default=True, show_default=True,
    help="Who may see a new repository.")  # fmt: skip
@click.option("--yes", is_flag=True, help="Upload without asking.")
def main(run: Path, repo: str, private: bool, yes: bool) -> None:
    """Upload the newest network of RUN, or a network file, to the Hugging Face Hub.

    \b
    progan push runs/00000-mine-v2-1gpu me/mine
    python -c 'import progan; progan.load("hf://me/mine")'

    What is uploaded is listed first: the network, its model card and a sheet of samples. It needs
    the package huggingface_hub: pip install huggingface_hub.
    """
    require_existing([run], "Name a network file or the directory of a run.")
    from progan.errors import UserError
    from progan.hub import (
        CARD_FILE,
        NETWORK_FILE,
        SAMPLES_FILE,
        push_network,
        require_repository_name,
    )
    from progan.runtime.files import format_bytes
    from progan.runtime.weights_file import is_weights_file
    from progan.sampling.find_network import find_network

    require_repository_name(repo)
    network = find_network(run)
    if not is_weights_file(network):
        raise UserError(
            f"{network} is not a network file of progan (.safetensors). Convert it with progan "
            "interop --to FILE.safetensors, and push that file."
        )
    card = read_card(network, NETWORK_FILE)
    samples = render_samples(network)
    for name, what in (
        (NETWORK_FILE, f"{network}, {format_bytes(network.stat().st_size)}"),
        (CARD_FILE, "its model card; it names the dataset, not its folder"),
        (SAMPLES_FILE, f"images of the seeds 0 to {NUM_SAMPLES - 1}"),
    ):
        click.echo(f"  {name:20} {what}")
    kind = "private, if it is new" if private else "public, if it is new"
    if not yes:
        click.confirm(f"Upload these to {repo} ({kind})?", abort=True)
    page = push_network(network, repo, private=private, samples=samples, card=card)
    click.echo(f"{page}\nTo load it: progan.load('hf://{repo}')")


def render_samples(network: Path) -> bytes:
    """Return a sheet of images of a network, as a PNG."""
    import io

    from progan.api import load
    from progan.images import arrange_grid, to_pil

    buffer = io.BytesIO()
    to_pil(arrange_grid(load(network).render(range(NUM_SAMPLES)), 8)).save(buffer, "PNG")
    return buffer.getvalue()


def read_card(network: Path, name: str) -> str:
    """Return the model card beside a network file, for the file name `name`.

    Raises UserError without a card.
    """
    from progan.errors import UserError
    from progan.sampling.model_card import CARD_SUFFIX, remove_card_hash

    file = network.with_suffix(CARD_SUFFIX)
    if not file.is_file():
        raise UserError(
            f"{file} is missing, the model card. Name a network of a run, which has one."
        )
    text = remove_card_hash(file.read_text("utf-8"))  # the hash would not be that of the new text
    # File names only: the stem may be any word.
    names = rf"(?<![\w.-]){re.escape(network.stem)}(?=\.(?:safetensors|onnx|pt2|ts)\b)"
    return re.sub(names, Path(name).stem, text)
