"""Presets: the settings of each that differ from the defaults in config/.

v1 and v2 are the official schedules for 1024x1024 (v2 for 1, 2, 4 and 8 GPUs: the batch sizes
are those of all GPUs together), modern-… is v2 with changes that save time. The others follow
appendix A.1 and D of the paper at the resolution of their dataset. table1-… are the training
configurations of table 1 at 128x128, stacked-mnist-… those of table 4. The others are GANs of other
papers, with the hyper-parameters given there, at 64x64.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from progan.config import Run, override
from progan.errors import UserError
from progan.runtime.text import suggest_nearest

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


def _set_rates(table: tuple[tuple[int, float], ...]) -> dict[str, Any]:
    """Return fields that give both networks the learning rates of a table."""
    return {"g_lr_at": table, "d_lr_at": table}


def _set_phases(kimg: float) -> dict[str, float]:
    """Return fields that make each fade and each stable phase `kimg` long."""
    return {"training_kimg": kimg, "transition_kimg": kimg}


# fmt: off
V1 = dict(total_kimg=19000, batch=16, batch_at=BATCH_V1, stddev_group=16, **_set_phases(800))
V2 = dict(total_kimg=12000, batch=4, batch_at=BATCH_1GPU, **_set_rates(LR_1GPU))

# A weak penalty in every fourth step, and bf16 (docs/gans.md, "A faster recipe").
FASTER = dict(penalty_interval=4, gp_weight=0.5, precision="bf16")

# For a CPU: narrow networks, whose threads would wait more than work, short phases, larger steps.
CPU: dict[str, Any] = dict(resolution=32, total_kimg=150, **_set_phases(10), batch=16,
    latent_size=64, fmap_base=512, fmap_max=64, g_lr=0.002, d_lr=0.002, ema_decay=0.995,
    minibatch_repeats=1, tick_kimg=5, tick_kimg_at=(), snapshot_ticks=5, threads=1)

# One convolution a level, batch normalisation, as in the DCGAN paper; ticks of 10,000 images.
DCGAN: dict[str, Any] = dict(kind="dcgan", resolution=64, latent_size=100, fmap_base=2048,
    fmap_max=1024, g_norm="batch", d_norm="batch", g_activation="relu", output="tanh",
    equalized_lr=False, weight_stddev=0.02, normalize_latents=False, stddev_group=0,
    objective="gan", drift=0, total_kimg=4000, batch=128, g_lr=0.0002, d_lr=0.0002, beta1=0.5,
    beta2=0.999, ema_decay=0.99, minibatch_repeats=1, tick_kimg=10, tick_kimg_at=())
WGAN_GP = DCGAN | dict(objective="wgan-gp", d_norm="layer", batch=64, d_repeats=5, g_lr=0.0001,
    d_lr=0.0001, beta1=0, beta2=0.9)
AUTOENCODER = DCGAN | dict(kind="autoencoder", fmap_base=64, fmap_decay=0, fmap_max=64,
    weight_stddev=0, latent_size=64, code_size=64)

# Small maps of one size, kernels of 4 and 7: the DCGAN of digits that learns in minutes.
MNIST_8 = DCGAN | dict(subset="8", latent_size=50, fmap_base=128, fmap_decay=0, d_fmap_base=64,
    output_kernel=7, g_norm="none", d_norm="none", g_activation="leaky-relu", weight_stddev=0,
    separate_updates=True, batch=64, total_kimg=28.8, tick_kimg=1, ema_decay=0)
FROGS = DCGAN | dict(subset="6", resolution=32, latent_size=32, fmap_base=256, fmap_decay=0,
    d_fmap_base=128, output_kernel=7, g_norm="none", d_norm="none", g_activation="leaky-relu",
    weight_stddev=0, dropout=0.4, label_noise=0.05, mixed_batches=True, batch=20, total_kimg=200,
    optimizer="rmsprop", g_lr=0.0004, d_lr=0.0008, beta2=0.9, epsilon=1e-7, clip_gradients=1.0,
    lr_decay=5e-7, ema_decay=0, tick_kimg=2)
ADA_BIRDS = DCGAN | dict(latent_size=64, fmap_base=128, fmap_decay=0, weight_stddev=0, dropout=0.4,
    output="sigmoid", augment="adaptive", augment_together=True, total_kimg=2355.2, tick_kimg=5.888,
    snapshot_ticks=1, metrics="kid75", best="kid75")

# Appendix A.2 and table 1, row after row. The moving average has the same half-life in images.
TABLE1_A = dict(resolution=128, initial_resolution=128, mirror=True, total_kimg=10000,
    **_set_phases(600), batch=64, latent_size=128, fmap_base=2048, normalize_latents=False,
    equalized_lr=False, g_norm="batch", d_norm="layer", g_activation="relu", output="tanh",
    stddev_group=0, fused_scaling=False, drift=0, d_repeats=5, minibatch_repeats=1, g_lr=0.0001,
    d_lr=0.0001, beta2=0.9, ema_decay=0.999**4)
TABLE1_B = TABLE1_A | dict(initial_resolution=4)
TABLE1_C = TABLE1_B | dict(batch=16, ema_decay=0.999)
TABLE1_D = TABLE1_C | dict(latent_size=512, normalize_latents=True, g_norm="none", d_norm="none",
    g_activation="leaky-relu", output="linear", drift=0.001, d_repeats=1, beta2=0.99)
TABLE1_E = TABLE1_D | dict(stddev_group=16)
TABLE1_F = TABLE1_E | dict(equalized_lr=True, g_lr=0.001, d_lr=0.001)
TABLE1_G = TABLE1_F | dict(g_norm="pixel")

# Appendix E and table 4: K/2 has 16 maps at 4x4, K/4 has 8.
STACKED_MNIST: dict[str, Any] = dict(kind="stacked-mnist", resolution=32, initial_resolution=32,
    total_kimg=10000, **_set_phases(400), latent_size=64, fmap_base=64, g_norm="batch",
    d_norm="batch", equalized_lr=False, output="tanh", stddev_group=0, drift=0, batch=64,
    d_repeats=5, minibatch_repeats=1, tick_kimg=100, tick_kimg_at=(), threads=1)
STACKED_MNIST_NORM = STACKED_MNIST | dict(g_norm="pixel", d_norm="none", equalized_lr=True)
STACKED_MNIST_STDDEV = STACKED_MNIST_NORM | dict(stddev_group=64)
# fmt: on


def _make_stacked_mnist_presets(name: str, d_fmap_base: int) -> dict[str, dict[str, Any]]:
    """Return the rows of table 4 for one width, {preset: fields}."""
    rows: dict[str, dict[str, Any]] = {
        "gan": STACKED_MNIST | dict(objective="gan", d_repeats=1),
        "wgan-gp": STACKED_MNIST,
        "norm": STACKED_MNIST_NORM,
        "stddev": STACKED_MNIST_STDDEV,
        "growing": STACKED_MNIST_STDDEV | dict(initial_resolution=4),
    }
    return {
        f"stacked-mnist-{name}-{row}": settings | dict(d_fmap_base=d_fmap_base)
        for row, settings in rows.items()
    }


def _make_modern_presets() -> dict[str, dict[str, Any]]:
    """Return v2 with the faster recipe for each resolution, {preset: fields}.

    The final resolution is trained as long as in v2, 2,400 kimg.
    """
    return {
        f"modern-{4 * 2**doublings}": V2
        | FASTER
        | dict(resolution=4 * 2**doublings, total_kimg=1200 * doublings + 2400)
        for doublings in range(3, 9)
    }


# fmt: off
PRESETS: dict[str, dict[str, Any]] = {
    "v1-1gpu": V1,
    "v2-1gpu": V2,
    "v2-2gpus": V2 | dict(batch=8, batch_at=BATCH_2GPUS, **_set_rates(LR_2GPUS)),
    "v2-4gpus": V2 | dict(batch=16, batch_at=BATCH_4GPUS, **_set_rates(LR_4GPUS)),
    "v2-8gpus": V2 | dict(batch=32, batch_at=BATCH_8GPUS, **_set_rates(LR_8GPUS)),
    "celeba-128": V2 | dict(resolution=128, total_kimg=9000, mirror=True),
    "lsun-256": V2 | dict(resolution=256),
    "cifar10": V2 | dict(resolution=32, total_kimg=6600, gp_target=750),
    "mnist": V2 | dict(resolution=32, total_kimg=1200, latent_size=128, fmap_base=2048,
        fmap_max=128, **_set_phases(100)),
    **_make_modern_presets(),
    "cpu": CPU,
    "dcgan": DCGAN,
    "lsgan": DCGAN | dict(objective="lsgan"),
    "wgan": DCGAN | dict(objective="wgan", optimizer="rmsprop", beta2=0.99, g_lr=0.00005,
        d_lr=0.00005, clip_weights=0.01, batch=64, d_repeats=5),
    "wgan-gp": WGAN_GP,
    "wgan-gp-resnet": WGAN_GP | dict(kind="resnet", fmap_max=512, latent_size=128,
        d_activation="relu", weight_stddev=0),
    "began": AUTOENCODER | dict(objective="began", g_norm="none", d_norm="none", batch=16,
        g_activation="elu", d_activation="elu", output="linear", g_lr=0.0001, d_lr=0.0001),
    "ebgan": AUTOENCODER | dict(objective="ebgan", energy="l2", margin=0.25, batch=64),
    "dragan": DCGAN | dict(objective="dragan", d_norm="none", batch=64),
    "frogs": FROGS,
    "ada-birds": ADA_BIRDS,
    "mnist-8": MNIST_8,
    "mnist-8-collapse": MNIST_8 | dict(latent_size=1),
    "mnist-8-diverge": MNIST_8 | dict(weight_stddev=0.02, separate_updates=False,
        mixed_batches=True, g_lr=0.001, d_lr=0.001, beta1=0.9),
    "table1-a": TABLE1_A,
    "table1-b": TABLE1_B,
    "table1-c": TABLE1_C,
    "table1-d": TABLE1_D,
    "table1-e-star": TABLE1_D | dict(minibatch_kernels=100),
    "table1-e": TABLE1_E,
    "table1-f": TABLE1_F,
    "table1-g": TABLE1_G,
    "table1-h": V2 | dict(resolution=128, mirror=True, batch=16, batch_at=()),
    **_make_stacked_mnist_presets("k2", 32),
    **_make_stacked_mnist_presets("k4", 16),
    # Rates of 0.01 diverge; at 0.006, without clipping, the penalty of one run in seven exploded.
    "demo": CPU | dict(total_kimg=40, batch=8, fmap_base=384, fmap_max=48, g_lr=0.006, d_lr=0.006,
        clip_gradients=1.0, penalty_interval=4, tick_kimg=1, image_ticks=4, **_set_phases(3)),
}
# fmt: on
DEFAULT = "v2-1gpu"


class About(NamedTuple):
    """Purpose of a preset, in a few words, and what it needs."""

    purpose: str
    needs: str


_GPU, _CELEBA, _DIGITS = "a GPU", "a GPU; images such as CelebA", "MNIST with labels, 28x28"
_TABLE1, _TABLE4 = "a GPU; CelebA or LSUN", "create-mnist-rgb"
# A name, or the beginning of names; the longest one that fits holds.
ABOUT = {
    "v1-1gpu": About("the paper's schedule of 1024x1024", _GPU),
    "v2-1gpu": About("the official code's schedule of 1024x1024", _GPU),
    "v2-": About("the same, on several GPUs", "as many GPUs"),
    "celeba-128": About("CelebA, as in the paper", _GPU),
    "lsun-256": About("a category of LSUN, as in the paper", _GPU),
    "cifar10": About("CIFAR-10, as in the paper", _GPU),
    "mnist": About("MNIST and MNIST-RGB", _GPU),
    "modern-": About("the faster recipe at that resolution", _GPU),
    "cpu": About("first results without a GPU", "an hour"),
    "demo": About("make demo", "minutes"),
    "dcgan": About("DCGAN (Radford 2015)", _CELEBA),
    "lsgan": About("LSGAN (Mao 2016)", _CELEBA),
    "wgan": About("Wasserstein GAN (Arjovsky 2017)", _CELEBA),
    "wgan-gp": About("WGAN-GP (Gulrajani 2017)", _CELEBA),
    "wgan-gp-resnet": About("WGAN-GP with residual networks", _CELEBA),
    "began": About("BEGAN (Berthelot 2017)", _CELEBA),
    "ebgan": About("EBGAN (Zhao 2016)", _CELEBA),
    "dragan": About("DRAGAN (Kodali 2017)", _CELEBA),
    "frogs": About("the DCGAN of Chollet's book", "CIFAR-10 with labels"),
    "ada-birds": About("few images, adaptive augmentation", "CUB-200-2011; torch-fidelity"),
    "mnist-8": About("digits 8 that learn", _DIGITS),
    "mnist-8-collapse": About("digits 8 with mode collapse", _DIGITS),
    "mnist-8-diverge": About("digits 8 that diverge", _DIGITS),
    "table1-": About("a row of table 1 of the paper", _TABLE1),
    "stacked-mnist-": About("a row of table 4 of the paper", _TABLE4),
}


def describe(name: str) -> About:
    """Return what a preset is for and needs."""
    return ABOUT[max((start for start in ABOUT if name.startswith(start)), key=len)]


def needs_gpu(name: str) -> bool:
    """True if a preset is made for GPUs; False for an unknown one."""
    return name in PRESETS and "GPU" in describe(name).needs


def preset(name: str) -> Run:
    """Return the run that a preset describes; raise UserError for an unknown name."""
    if name not in PRESETS:
        guess = suggest_nearest(name, PRESETS)
        raise UserError(f"Unknown preset {name!r}.{guess} Presets: {', '.join(PRESETS)}.")
    return override(Run(preset=name), PRESETS[name])


def change_preset(run: Run, options: Mapping[str, Any], resolution: int | None = None) -> Run:
    """Return the run of a preset with options; raise UserError if they do not go together.

    Args:
        options: Fields of the config, by name.
        resolution: That of the dataset, which is the default; None: that of the preset.
    """
    if resolution is None or "resolution" in options:
        return override(run, options)
    # Together with the options: --initial-resolution may be above the resolution of the preset.
    begin = min(run.growth.initial_resolution, resolution)
    return override(run, {"resolution": resolution, "initial_resolution": begin, **options})
