"""Open the explorer: check that Gradio is there, load the network, serve the page."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from progan.errors import UserError
from progan.explorer.renderer import Renderer
from progan.explorer.server import bind_port, require_gradio, serve, server_url
from progan.explorer.view_state import NamedLatent, ViewState, start_at_seed
from progan.interop.load import load_snapshot
from progan.runtime.devices import choose_device, set_deterministic
from progan.runtime.files import require_folder_or_nothing
from progan.sampling.image_files import provenance
from progan.sampling.latents import at_resolution, class_index
from progan.sampling.network_file import Snapshot, fingerprint
from progan.sampling.options import parse_seeds


@dataclass(frozen=True, kw_only=True, slots=True)
class ExploreRequest:
    """A page as people ask for it.

    Attributes:
        network: The file that draws.
        command: What was typed, to be written into the files.
        seeds: The one to begin with; None: seed 0.
        class_name, resolution: Shown at first; None: that of the seed, and the highest.
        outdir: Where to save.
        port: None: a usual one that is free.
    """

    network: Path
    command: str
    device: str
    seeds: str | None
    class_name: str | None
    resolution: int | None
    outdir: Path
    port: int | None


def explore(request: ExploreRequest) -> None:
    """Show the page until Ctrl-C."""
    require_gradio()
    require_folder_or_nothing(request.outdir)
    with bind_port(request.port) as listening:
        device = choose_device(request.device)
        set_deterministic()
        snapshot = load_snapshot(request.network, device)
        first = _initial_view(request, snapshot)
        from progan.explorer.page import asgi_app, build_page

        renderer = Renderer(
            snapshot=snapshot, file=request.network, fingerprint=fingerprint(request.network)
        )
        blocks = build_page(
            renderer, first, request.outdir, provenance(request.network, request.command)
        )
        click.echo(server_url(listening))
        click.echo("Open this address in a browser on this machine. Ctrl-C ends it.", err=True)
        serve(asgi_app(renderer, blocks), listening)
    with suppress(OSError):  # of a terminal that is gone
        click.echo("\nThe explorer is closed.", err=True)


def _initial_view(request: ExploreRequest, snapshot: Snapshot) -> ViewState:
    seed, *more = [0] if request.seeds is None else parse_seeds(request.seeds)
    if more:
        raise UserError(f"--seeds {request.seeds}: --explore begins at one seed. Name one.")
    kind = None if request.class_name is None else class_index(snapshot, request.class_name)
    level = at_resolution(snapshot, request.resolution).level
    return start_at_seed(
        ViewState(latent=NamedLatent(seed), target=seed, class_index=kind, level=level), seed
    )
