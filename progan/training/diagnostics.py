"""Per-tick diagnostics: overfitting of the discriminator and diversity of the generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from progan.config import Run
from progan.data.reader import Dataset
from progan.networks import Generator
from progan.runtime.devices import call_or_none_if_out_of_memory, release_memory
from progan.runtime.text import PrintLine
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import batch_size
from progan.schedule import Stage
from progan.training.state import TrainState
from progan.training.step_inputs import LevelAlpha, preprocess_reals

MAX_HELD_OUT, MAX_HELD_OUT_PIXELS = 256, 2**24
MAX_DIVERSITY_IMAGES = 32  # less than 1 % of a tick of 1000 images
COMPARED_LEVEL = 5  # diversity is measured at 32x32 at most


def measure_diagnostics(
    state: TrainState,
    run: Run,
    dataset: Dataset,
    stage: Stage,
    device: torch.device,
    print_line: PrintLine,
) -> dict[str, float]:
    """Return overfitting and diversity; what runs out of memory is left out, with a line.

    Both take batches that need not fit where training takes micro-batches.
    """
    found: dict[str, float] = {}
    for name, measure in (("overfitting", measure_overfitting), ("diversity", measure_diversity)):
        values = call_or_none_if_out_of_memory(partial(measure, state, run, dataset, stage, device))
        if values is not None:
            found |= values
            continue
        release_memory(device)
        print_line(
            f"Out of memory at resolution {stage.resolution}: {name} is not measured at this "
            "tick. Training continues."
        )
    return found


@torch.no_grad()
def measure_overfitting(
    state: TrainState, run: Run, dataset: Dataset, stage: Stage, device: torch.device
) -> dict[str, float]:
    """Return the mean scores of training, held-out and generated images, without augmentation.

    'overfitting/ratio' is r_v = (training - held out) / (training - generated): 0 without
    overfitting, 1 where held-out images score as low as generated ones (Karras et al. 2020,
    equation 1). Empty if the dataset has fewer than two held-out images.
    """
    most = max(min(MAX_HELD_OUT, MAX_HELD_OUT_PIXELS // run.network.size(stage.level).pixels), 1)
    count, position = min(most, len(dataset.held_out_rows)), LevelAlpha.of(stage, device)
    if count < 2:  # batch normalisation needs two
        return {}

    def mean_score(images: Tensor) -> float:
        # Not smaller than in training: the images of a batch may depend on each other.
        scores = [
            state.discriminator(part, position.level, position.alpha).scores
            for part in images.tensor_split(max(count // stage.batch, 1))
        ]
        return torch.cat(scores).mean().item()

    reals = [
        _load_reals(dataset, stage.level, rows, device, position.alpha)
        for rows in (
            spread_rows(dataset.training_rows, count),
            spread_rows(dataset.held_out_rows, count),
        )
    ]
    fakes = torch.cat(list(_generate_in_parts(state.g_ema, run, dataset, count, position, device)))
    with _evaluation_mode(state.discriminator):
        seen, unseen, fake = (mean_score(images) for images in (*reals, fakes))
    return {
        "overfitting/training": seen,
        "overfitting/held-out": unseen,
        "overfitting/fake": fake,
        "overfitting/ratio": (seen - unseen) / (seen - fake) if seen != fake else 0.0,
    }


@torch.no_grad()
def measure_diversity(
    state: TrainState, run: Run, dataset: Dataset, stage: Stage, device: torch.device
) -> dict[str, float]:
    """Return the distances among images of seeds 0, 1, 2 …, relative to those among reals.

    'diversity/distance' compares mean distances of pairs, 'diversity/nearest' mean distances to
    the nearest neighbour: a generator of a few modes, however different, repeats them, as two of
    its images share a mode before long (the birthday paradox; Arora and Zhang 2017). Both are
    about 1 without mode collapse, and 0 if all images are the same. The generator is the one that
    is trained, since its moving average lags behind. Without those that have no reference: all
    with fewer than 3 reals, 'diversity/nearest' if each real has a duplicate.
    """
    count = min(MAX_DIVERSITY_IMAGES, len(dataset.training_rows))
    if count < 3:
        return {}
    position = LevelAlpha.of(stage, device)
    halvings = max(stage.level - COMPARED_LEVEL, 0)
    generated = _generate_in_parts(state.generator, run, dataset, count, position, device)
    with _evaluation_mode(state.generator):  # leaves statistics of batch normalisation alone
        fakes = torch.cat(
            [flatten_downsampled(images.clamp(-1, 1), halvings) for images in generated]
        )
    rows, alpha = spread_rows(dataset.training_rows, count), None if halvings else position.alpha
    reals = _load_reals(dataset, stage.level - halvings, rows, device, alpha)
    fake, real = measure_mean_distances(fakes), measure_mean_distances(reals.flatten(1))
    return {
        name: images / reference
        for name, images, reference in (
            ("diversity/distance", fake.pairs, real.pairs),
            ("diversity/nearest", fake.nearest, real.nearest),
        )
        if reference
    }


def flatten_downsampled(images: Tensor, halvings: int) -> Tensor:
    """Halve each side by averaging, `halvings` times, and flatten: [N, C, H, W] -> [N, D]."""
    return F.avg_pool2d(images, 1 << halvings).flatten(1) if halvings else images.flatten(1)


class MeanDistances(NamedTuple):
    """Mean Euclidean distance of all pairs, and to the nearest neighbour."""

    pairs: float
    nearest: float


def measure_mean_distances(points: Tensor) -> MeanDistances:
    """Measure the distances among points [N, D]."""
    n = len(points)
    between = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    mean = between.sum() / (n * (n - 1))
    between.fill_diagonal_(torch.inf)
    return MeanDistances(mean.item(), between.min(dim=1).values.mean().item())


def spread_rows(rows: np.ndarray, count: int) -> np.ndarray:
    """Return `count` of some rows, evenly spaced, always the same.

    Datasets of folders are sorted by class, so that the first rows would be of one class.
    """
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


@contextmanager
def _evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode inside the context, and back into training mode."""
    network.eval()
    try:
        yield
    finally:
        network.train()


def _load_reals(
    dataset: Dataset, level: int, rows: np.ndarray, device: torch.device, alpha: Tensor | None
) -> Tensor:
    """Load images of the dataset: [N, C, H, W] in [-1, 1]."""
    return preprocess_reals(torch.from_numpy(dataset.images(level, rows)).to(device), alpha=alpha)


def _generate_in_parts(
    generator: Generator,
    run: Run,
    dataset: Dataset,
    count: int,
    position: LevelAlpha,
    device: torch.device,
) -> Iterator[Tensor]:
    """Yield the images of the seeds 0 … count - 1, as many at a time as need little memory."""
    latents = seed_latents(range(count), run.network.latent_size).to(device)
    labels = seed_labels(range(count), run.network.label_size, dataset.untrained_classes)
    size = batch_size(run.network, position.level)
    for z, c in zip(latents.split(size), labels.to(device).split(size), strict=True):
        yield generator(z, c, position.level, position.alpha)
