"""How unlike each other the generator's pictures are, beside reals."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from progan.config import Run
from progan.data.loader import preprocess_reals
from progan.data.reader import Dataset
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import batch_size
from progan.schedule import Stage
from progan.training.state import TrainState
from progan.training.step import LevelAlpha

MOST_IMAGES = 32  # enough to tell, and less than 1 % of a tick of 1000 images
COMPARED_LEVEL = 5  # images are compared at 32x32 at most


@torch.no_grad()
def diversity(
    state: TrainState, run: Run, dataset: Dataset, stage: Stage, device: torch.device
) -> dict[str, float]:
    """Distances among the generator's pictures of seeds 0, 1, 2 … by those among as many reals.

    'diversity/distance' compares mean distances of pairs, 'diversity/nearest' mean distances to
    the nearest neighbour: a generator that knows a few pictures, however different, repeats
    them, as two of its pictures share a mode before long (the birthday paradox; Arora and Zhang
    2017). Both are about 1 where all is well, and 0 if all pictures are the same. The generator
    is the one that is trained, since its average moves slowly. Empty with fewer than 3 images.
    """
    count = min(MOST_IMAGES, len(dataset.training_rows))
    if count < 3:
        return {}
    position = LevelAlpha.of(stage, device)
    shrunk = max(stage.level - COMPARED_LEVEL, 0)
    latents = seed_latents(range(count), run.network.latent_size).to(device)
    labels = seed_labels(range(count), run.network.label_size, dataset.untrained_classes).to(device)
    size = batch_size(run.network, stage.level)
    state.generator.eval()  # statistics of batch normalisation stay what training makes of them
    fakes = torch.cat(
        [
            points(state.generator(z, c, position.level, position.alpha).clamp(-1, 1), shrunk)
            for z, c in zip(latents.split(size), labels.split(size), strict=True)
        ]
    )
    state.generator.train()
    reals = points(
        _reals(dataset, stage.level - shrunk, count, device, None if shrunk else position.alpha), 0
    )
    (fake_mean, fake_nearest), (real_mean, real_nearest) = distances(fakes), distances(reals)
    return {
        "diversity/distance": fake_mean / real_mean if real_mean else 0.0,
        "diversity/nearest": fake_nearest / real_nearest if real_nearest else 0.0,
    }


def points(images: Tensor, halvings: int) -> Tensor:
    """Images [N, C, H, W], each side halved so many times by averaging -> float32 [N, D]."""
    return F.avg_pool2d(images, 1 << halvings).flatten(1) if halvings else images.flatten(1)


def distances(places: Tensor) -> tuple[float, float]:
    """Mean Euclidean distance of pairs, and mean distance to the nearest other one, of [N, D]."""
    n = len(places)
    between = torch.cdist(places, places, compute_mode="donot_use_mm_for_euclid_dist")
    mean = between.sum() / (n * (n - 1))
    between.fill_diagonal_(torch.inf)
    nearest = between.min(dim=1).values.mean()
    return mean.item(), nearest.item()


def _reals(
    dataset: Dataset, level: int, count: int, device: torch.device, alpha: Tensor | None
) -> Tensor:
    """Training images from all over the dataset, always the same: [N, C, H, W] in [-1, 1]."""
    training = dataset.training_rows
    rows = training[np.linspace(0, len(training) - 1, count).astype(np.int64)]
    return preprocess_reals(torch.from_numpy(dataset.images(level, rows)).to(device), alpha=alpha)
