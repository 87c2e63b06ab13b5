"""The presets: one aligned table, like a page of the paper.

v1 and v2 are the official schedules for 1024x1024 (v2 for 1, 2, 4 and 8 GPUs: the batch sizes
are those of all GPUs together). The others follow appendix A.1 and D of the paper at the
resolution of their dataset. Each row holds only what differs from the defaults in config.py.
"""

import difflib
from typing import Any

from progan.config import Run, override
from progan.errors import UserError

# Official batch sizes and learning rates per resolution.
BATCH_1GPU = ((4, 128), (8, 128), (16, 128), (32, 64), (64, 32), (128, 16), (256, 8), (512, 4))
BATCH_2GPUS = ((4, 256), (8, 256), (16, 128), (32, 64), (64, 32), (128, 16), (256, 8))
BATCH_4GPUS = ((4, 512), (8, 256), (16, 128), (32, 64), (64, 32), (128, 16))
BATCH_8GPUS = ((4, 512), (8, 256), (16, 128), (32, 64), (64, 32))
BATCH_V1 = ((256, 14), (512, 6), (1024, 3))
LR_1GPU = ((1024, 0.0015),)
LR_2GPUS = ((512, 0.0015), (1024, 0.002))
LR_4GPUS = ((256, 0.0015), (512, 0.002), (1024, 0.003))
LR_8GPUS = ((128, 0.0015), (256, 0.002), (512, 0.003), (1024, 0.003))


def _rates(table: tuple[tuple[int, float], ...]) -> dict[str, Any]:
    return {"g_lr_at": table, "d_lr_at": table}


def _fades(kimg: float) -> dict[str, float]:
    return {"training_kimg": kimg, "transition_kimg": kimg}


V1 = dict(total_kimg=19000, batch=16, batch_at=BATCH_V1, stddev_group=16, **_fades(800))
V2 = dict(total_kimg=12000, batch=4, batch_at=BATCH_1GPU, **_rates(LR_1GPU))

# For a CPU: narrow networks, whose threads would wait more than work, short phases, larger steps.
CPU: dict[str, Any] = dict(
    resolution=32, total_kimg=150, **_fades(10), batch=16, latent_size=64, fmap_base=512,
    fmap_max=64, g_lr=0.002, d_lr=0.002, ema_decay=0.995, minibatch_repeats=1, tick_kimg=5,
    tick_kimg_at=(), snapshot_ticks=5, threads=1)

PRESETS: dict[str, dict[str, Any]] = {
    "v1-1gpu":    V1,
    "v2-1gpu":    V2,
    "v2-2gpus":   V2 | dict(batch=8,  batch_at=BATCH_2GPUS, **_rates(LR_2GPUS)),
    "v2-4gpus":   V2 | dict(batch=16, batch_at=BATCH_4GPUS, **_rates(LR_4GPUS)),
    "v2-8gpus":   V2 | dict(batch=32, batch_at=BATCH_8GPUS, **_rates(LR_8GPUS)),
    "celeba-128": V2 | dict(resolution=128, total_kimg=9000, mirror=True),
    "lsun-256":   V2 | dict(resolution=256),
    "cifar10":    V2 | dict(resolution=32, total_kimg=6600, gp_target=750),
    "mnist":      V2 | dict(resolution=32, total_kimg=1200, latent_size=128, fmap_base=2048,
                            fmap_max=128, **_fades(100)),
    "cpu":        CPU,
    "demo":       CPU | dict(total_kimg=28, batch=8, fmap_base=384, fmap_max=48, g_lr=0.0015,
                             d_lr=0.0015, tick_kimg=1, image_ticks=3, **_fades(3)),
}


def preset(name: str) -> Run:
    """Return the run that a preset describes; raise UserError for an unknown name."""
    if name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, n=1)
        guess = f" Did you mean {close[0]}?" if close else ""
        raise UserError(f"There is no preset {name!r}.{guess} Presets: {', '.join(PRESETS)}.")
    return override(Run(preset=name), PRESETS[name])
