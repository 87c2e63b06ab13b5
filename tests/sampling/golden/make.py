"""Write the golden network, and the pictures that it drew on the day it was made.

    python -m tests.sampling.golden.make

The seeds are those of the first pictures in which no number of the network comes near the middle
between two bytes: so every machine rounds it to the same byte, however it adds up its sums.
"""

from pathlib import Path

from torch import Tensor

from progan import networks
from progan.config import Network
from progan.sampling.image_files import ImageOutput, write_grid
from progan.sampling.latents import LatentBatch, batch_from_seeds
from progan.sampling.render import render_single
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.state import initialize

FOLDER = Path(__file__).parent
NETWORK = FOLDER / "network.safetensors"
COLUMNS, ROWS = 3, 2
MARGIN = 1e-3  # of a byte's step; float32 sums of this network differ by some 1e-5


def distance(image: Tensor) -> float:
    """How near the nearest number of an image, in [-1, 1], is to the middle of two bytes."""
    return float(((image * 127.5 + 127.5) % 1 - 0.5).abs().min())


def main() -> None:
    generator = networks.build_generator(
        Network(resolution=16, latent_size=4, fmap_base=64, fmap_max=4, label_size=2)
    )
    initialize(generator, 7, "golden")
    snapshot = Snapshot(
        generator=generator.requires_grad_(False),
        level=4,
        alpha=0.5,
        images_seen=1000,
        label_names=("one", "two"),
    )
    save_network(NETWORK, snapshot)
    wish = batch_from_seeds(snapshot, "0-999")
    kept = [
        row
        for row, image in enumerate(render_single(snapshot, wish.latents, wish.labels))
        if distance(image) > MARGIN
    ][: COLUMNS * ROWS]
    chosen = LatentBatch(
        tuple(wish.names[row] for row in kept), wish.latents[kept], wish.labels[kept]
    )
    write_grid(snapshot, chosen, ImageOutput(folder=FOLDER), COLUMNS, ROWS)


if __name__ == "__main__":
    main()
