"""Time generate.py beside the network alone.

    python benchmarks/generate.py --preset v2-1gpu --resolution 256 --images 64

Times the forward passes alone, in batches and image by image as generate.py does them, and all that
it does after the network is loaded: passes, transfer, PNG files. They take turns; medians are
printed. The weights are the initial ones, so images are noise, which PNG cannot compress: the worst
case.
"""

import statistics
import sys
import tempfile
from pathlib import Path

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import describe_run, output_option, prepare, preset_option, save_results
from benchmarks.workload import end_at_resolution, measure_seconds
from progan import networks, presets
from progan.command import Command, device_option
from progan.config import Run
from progan.runtime import devices
from progan.sampling.image_files import ImageOutput, write_images
from progan.sampling.latents import batch_from_seeds
from progan.sampling.render import batch_size, render_single
from progan.sampling.snapshot_file import Snapshot
from progan.training.state import initialize


@click.command(cls=Command)
@preset_option
@click.option("--resolution", default=256, show_default=True)
@click.option("--images", type=click.IntRange(1), default=64, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@device_option
@output_option
def main(
    preset: str, resolution: int, images: int, runs: int, device: str, output: Path | None
) -> None:
    """Time the network alone, and with files."""
    chosen = prepare(device, output)
    snapshot = initial_snapshot(presets.preset(preset), resolution, chosen)
    latents = batch_from_seeds(snapshot, f"0-{images - 1}")
    generator, level = snapshot.generator, snapshot.level

    @torch.no_grad()
    def in_batches() -> None:
        size = batch_size(generator.config, level)
        for z, c in zip(latents.latents.split(size), latents.labels.split(size), strict=True):
            generator(z.to(chosen), c.to(chosen), level)

    def one_by_one() -> None:
        for _ in render_single(snapshot, latents.latents, latents.labels):
            pass

    def to_files() -> None:
        write_png_files(snapshot, images)

    measure_seconds(to_files, chosen)
    works = (in_batches, one_by_one, to_files)
    turns = [tuple(measure_seconds(work, chosen) for work in works) for _ in range(runs)]
    batches, one, whole = (images / statistics.median(each) for each in zip(*turns, strict=True))
    ratio = statistics.median(turn[1] / turn[2] for turn in turns)
    summary = (
        f"{devices.describe_device(chosen)}, torch {torch.__version__}; {preset}, "
        f"{resolution}x{resolution}, {images} images, {runs} turns: the network alone "
        f"{one:.3g} img/s ({batches:.3g} in batches), with PNG files {whole:.3g} img/s: "
        f"{100 * ratio:.0f} %"
    )
    click.echo(summary)
    if output:
        result = describe_run("generate", chosen, preset) | {
            "resolution": resolution,
            "images": images,
            "turns": turns,
            "share": ratio,
            "images_per_second": {"batches": batches, "network": one, "files": whole},
        }
        save_results("generate", result, f"{summary}\n", output)


def initial_snapshot(run: Run, resolution: int, device: torch.device) -> Snapshot:
    """Initialise the generator of a run that ends at a resolution, on a device, for inference."""
    devices.set_deterministic()
    network = end_at_resolution(run, resolution).network
    generator = networks.build_generator(network)
    initialize(generator, 0, "generator")
    generator.to(device).requires_grad_(False).eval()
    return Snapshot(generator=generator, level=network.max_level, alpha=1.0, images_seen=0)


def write_png_files(snapshot: Snapshot, images: int) -> None:
    """Generate the images of the first seeds as PNG files in a temporary folder."""
    latents = batch_from_seeds(snapshot, f"0-{images - 1}")
    with tempfile.TemporaryDirectory() as folder:
        for _ in write_images(snapshot, latents, ImageOutput(folder=Path(folder))):
            pass


if __name__ == "__main__":
    main()
