"""generate.py --explore: which options it takes, and the page."""

from pathlib import Path

import click
from click.core import ParameterSource

from progan.errors import UserError
from progan.runtime.threads import wait_politely

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
    wait_politely()
    from progan.explorer.opening import Exploration, explore
    from progan.sampling.network_choice import find_network

    path = find_network(network)
    if path != network:
        click.echo(f"network: {path}", err=True)
    explore(Exploration(network=path, command=command, device=device, seeds=seeds,
                        class_name=class_name, resolution=resolution, outdir=outdir or OUTDIR,
                        port=port))
