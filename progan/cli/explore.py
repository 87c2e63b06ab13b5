"""generate.py --explore: which options it takes, and the page."""

from pathlib import Path

import click
from click.core import ParameterSource

from progan.cli.generate_checks import NETWORKS
from progan.errors import UserError
from progan.runtime.files import require_paths, require_writable_folder
from progan.runtime.torch_settings import wait_politely
from progan.sampling.options import parse_seeds

FITTING = ("--explore", "--port", "--network", "--seeds", "--class", "--resolution", "--outdir",
           "--device")
OUTDIR = Path("explored")


def require_explorable() -> None:
    """Raise UserError if an option was given that means nothing for a page."""
    context = click.get_current_context()
    for param in context.command.params:
        was_given = context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
        if was_given and param.opts[0] not in FITTING:
            raise UserError(f"{param.opts[0]} is for files, and --explore shows a page. Leave one "
                            "of them away.")


def explore_page(network: Path, command: str, *, seeds: str | None, class_name: str | None,
                 resolution: int | None, outdir: Path | None, port: int | None, device: str
                 ) -> None:
    """Serve the page until Ctrl-C."""
    if seeds is not None and len(parse_seeds(seeds)) > 1:
        raise UserError(f"--seeds {seeds}: --explore begins at one seed. Name one.")
    require_paths([network], NETWORKS)
    require_writable_folder(outdir or OUTDIR, "--outdir")
    from progan.explorer.server import require_gradio

    require_gradio()
    wait_politely()
    from progan.explorer.app import ExploreRequest, explore
    from progan.sampling.network_choice import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {path}", err=True)
    explore(ExploreRequest(network=path, command=command, device=device, seeds=seeds,
                           class_name=class_name, resolution=resolution, outdir=outdir or OUTDIR,
                           port=port))
