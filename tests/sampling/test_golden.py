"""The golden network draws what it drew on the day it was made (golden/make.py), to the pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.images import read_png_text
from progan.sampling.image_files import ImageOutput, write_grid, write_images
from progan.sampling.latents import LatentBatch, batch_from_seeds
from progan.sampling.render import render_batches, render_single
from progan.sampling.snapshot_file import Snapshot, load_network
from tests.sampling.golden.make import COLUMNS, FOLDER, MARGIN, NETWORK, ROWS, distance

GOLDEN = FOLDER / "grid.png"


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture(scope="module")
def golden() -> Snapshot:
    return load_network(NETWORK, torch.device("cpu"))


@pytest.fixture(scope="module")
def latent_batch(golden: Snapshot) -> LatentBatch:
    seeds = [name.removeprefix("seed") for name in read_png_text(GOLDEN)["Latents"].split()]
    return batch_from_seeds(golden, ",".join(seeds))


def test_a_grid(golden: Snapshot, latent_batch: LatentBatch, tmp_path: Path) -> None:
    path = write_grid(golden, latent_batch, ImageOutput(folder=tmp_path), COLUMNS, ROWS)
    np.testing.assert_array_equal(pixels(path), pixels(GOLDEN))


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_single_images(
    golden: Snapshot, latent_batch: LatentBatch, tmp_path: Path, batch: int
) -> None:
    for number, path in enumerate(
        write_images(golden, latent_batch, ImageOutput(folder=tmp_path, batch=batch))
    ):
        row, column = divmod(number, COLUMNS)
        cell = pixels(GOLDEN)[16 * row : 16 * row + 16, 16 * column : 16 * column + 16]
        np.testing.assert_array_equal(pixels(path), cell)


def test_even_in_batches(golden: Snapshot, latent_batch: LatentBatch) -> None:
    """Whose last bits are others, which is what the margin is for."""
    (images,) = render_batches(
        golden.generator, latent_batch.latents, latent_batch.labels, 4, golden.alpha
    )
    sheet = images.reshape(ROWS, COLUMNS, 16, 16, 3).transpose(0, 2, 1, 3, 4)
    np.testing.assert_array_equal(sheet.reshape(16 * ROWS, 16 * COLUMNS, 3), pixels(GOLDEN))


def test_no_number_is_near_the_middle_between_two_bytes(
    golden: Snapshot, latent_batch: LatentBatch
) -> None:
    for image in render_single(golden, latent_batch.latents, latent_batch.labels):
        assert distance(image) > MARGIN / 2
