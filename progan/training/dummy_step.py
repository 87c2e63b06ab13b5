"""An iteration on noise, to find out what one takes."""

import torch

from progan.config import Run
from progan.data.loader import Batch
from progan.partition import Share, own_rows
from progan.schedule import Stage
from progan.training.state import TrainState
from progan.training.step import LevelAlpha, Steps, discriminator_inputs, generator_inputs


def run_dummy_iteration(state: TrainState, run: Run, stage: Stage, batch: Batch, steps: Steps
                        ) -> None:
    """Train for one iteration, all of it on the same batch; no image counts as seen."""
    position = LevelAlpha.of(stage, batch.images.device)
    for _ in range(run.growth.d_repeats):
        steps.discriminator(state, run, position, stage.d_lr,
                            discriminator_inputs(run, batch, position, state.images_seen))
    steps.generator(state, run, position, stage.g_lr,
                    generator_inputs(run, batch, position, state.images_seen))


def noise_batch(run: Run, stage: Stage, share: Share) -> Batch:
    """A batch as the loader makes them, of noise."""
    n, size = stage.batch // share.of, run.network.size(stage.level)
    random = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, *size, run.network.channels), generator=random,
                           dtype=torch.uint8)
    labels = torch.zeros(n, run.network.label_size)
    labels[:, :1] = 1
    rows = torch.from_numpy(own_rows(run, stage.batch, share)) if share.of > 1 else None
    return Batch(images, labels, labels, rows, share)
