"""How much higher the discriminator scores the images that it trains on than held-out ones."""

import numpy as np
import torch
from torch import Tensor

from progan.config import Run
from progan.data.loader import preprocess_reals
from progan.data.reader import Dataset
from progan.sampling.latents import seed_labels, seed_latents
from progan.schedule import Stage
from progan.training.state import TrainState
from progan.training.step import LevelAlpha

MOST_IMAGES, MOST_PIXELS = 256, 2**24


@torch.no_grad()
def overfitting(
    state: TrainState, run: Run, dataset: Dataset, stage: Stage, device: torch.device
) -> dict[str, float]:
    """Mean scores, without augmentation, of training images, held-out ones and pictures.

    'overfitting/ratio' is r_v = (training - held out) / (training - pictures): 0 without
    overfitting, 1 where held-out images look as bad as pictures (Karras et al. 2020, equation
    1). Empty if the dataset holds nothing out.
    """
    most = max(min(MOST_IMAGES, MOST_PIXELS // run.network.size(stage.level).pixels), 1)
    held_out, training = dataset.held_out_rows[:most], dataset.training_rows
    if not len(held_out):
        return {}
    count, position = len(held_out), LevelAlpha.of(stage, device)
    spread = training[np.linspace(0, len(training) - 1, count).astype(np.int64)]

    def mean_score(images: Tensor) -> float:
        scores = [
            state.discriminator(part, position.level, position.alpha).scores
            for part in images.split(stage.batch)
        ]
        return torch.cat(scores).mean().item()

    state.discriminator.eval()
    reals = [
        preprocess_reals(
            torch.from_numpy(dataset.images(stage.level, rows)).to(device), alpha=position.alpha
        )
        for rows in (spread, held_out)
    ]
    pictures = state.average(
        seed_latents(range(count), run.network.latent_size).to(device),
        seed_labels(range(count), run.network.label_size, dataset.untrained_classes).to(device),
        position.level,
        position.alpha,
    )
    seen, unseen, fake = (mean_score(images) for images in (*reals, pictures))
    state.discriminator.train()
    ratio = (seen - unseen) / (seen - fake) if seen != fake else 0.0
    return {
        "overfitting/training": seen,
        "overfitting/held-out": unseen,
        "overfitting/fake": fake,
        "overfitting/ratio": ratio,
    }
