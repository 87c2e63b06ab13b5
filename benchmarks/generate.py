"""How much of the network's own speed is left when pictures are written.

    python benchmarks/generate.py --preset v2-1gpu --resolution 256 --images 64

Times the passes alone, in batches and picture by picture as generate.py has them, and all that it
does after the network is read: passes, transfer, PNG files. They take turns; medians are printed.
The weights are the initial ones, so pictures are noise, which no PNG compresses: the worst case.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import circumstances, require_place, save
from progan import networks, presets
from progan.command import Command, device_option
from progan.config import override
from progan.runtime import devices
from progan.runtime.torch_settings import set_omp_passive
from progan.sampling.image_files import ImageOutput, write_images
from progan.sampling.latents import batch_from_seeds
from progan.sampling.network_file import Snapshot
from progan.sampling.render import batch_size, render_single
from progan.training.state import initialize


@click.command(cls=Command)
@click.option("--preset", default="v2-1gpu", show_default=True)
@click.option("--resolution", default=256, show_default=True)
@click.option("--images", type=click.IntRange(1), default=64, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@device_option
@click.option(
    "--output", type=click.Path(path_type=Path), help="Where the result goes, without suffix."
)
def main(
    preset: str, resolution: int, images: int, runs: int, device: str, output: Path | None
) -> None:
    """Time the network alone, and with files."""
    require_place(output)
    set_omp_passive()
    chosen = devices.choose_device(device)
    devices.set_deterministic()
    network = override(presets.preset(preset), {"resolution": resolution}).network
    generator = networks.generator(network)
    initialize(generator, 0, "generator")
    generator.to(chosen).requires_grad_(False).eval()
    snapshot = Snapshot(generator=generator, level=network.max_level, alpha=1.0, images_seen=0)
    wish = batch_from_seeds(snapshot, f"0-{images - 1}")

    @torch.no_grad()
    def forward() -> None:
        size = batch_size(network, network.max_level)
        for z, c in zip(wish.latents.split(size), wish.labels.split(size), strict=True):
            generator(z.to(chosen), c.to(chosen), network.max_level)

    def singly() -> None:
        for _ in render_single(snapshot, wish.latents, wish.labels):
            pass

    def files() -> None:
        with tempfile.TemporaryDirectory() as folder:
            for _ in write_images(snapshot, wish, ImageOutput(folder=Path(folder))):
                pass

    def seconds(work: Callable[[], None]) -> float:
        start = time.perf_counter()
        work()
        devices.synchronize(chosen)
        return time.perf_counter() - start

    seconds(files)
    turns = [(seconds(forward), seconds(singly), seconds(files)) for _ in range(runs)]
    batches, one, whole = (images / statistics.median(each) for each in zip(*turns, strict=True))
    ratio = statistics.median(turn[1] / turn[2] for turn in turns)
    told = (
        f"{devices.describe(chosen)}, torch {torch.__version__}; {preset}, "
        f"{resolution}x{resolution}, {images} images, {runs} turns: the network alone "
        f"{one:.3g} img/s ({batches:.3g} in batches), with PNG files {whole:.3g} img/s: "
        f"{100 * ratio:.0f} %"
    )
    click.echo(told)
    if output:
        save(
            "generate",
            circumstances("generate", devices.describe_device(chosen), preset)
            | {
                "resolution": resolution,
                "images": images,
                "turns": turns,
                "share": ratio,
                "images_per_second": {"batches": batches, "network": one, "files": whole},
            },
            f"{told}\n",
            output,
        )


if __name__ == "__main__":
    main()
