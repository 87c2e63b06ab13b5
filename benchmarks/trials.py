"""The trainings of each experiment of `benchmarks/experiments.py`, and the columns of its table."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

Columns = Mapping[str, str]  # heading -> column of the last metric or statistic

# Preset: its own settings.
_WIDE, _NARROW = "--fmap-base 256 --fmap-max 64", "--fmap-base 12 --fmap-max 12"
ZOO = {
    "dcgan": _WIDE,
    "lsgan": _WIDE,
    "wgan": _WIDE,
    "wgan-gp": _WIDE,
    "wgan-gp-resnet": "--fmap-base 128 --fmap-max 32",
    # Its k has to rise within 2,500 steps.
    "began": f"{_NARROW} --g-lr 0.0005 --d-lr 0.0005 --balance-rate 0.05 --diversity 0.85",
    "ebgan": _NARROW,
    "dragan": _WIDE,
}
DIGITS = ("mnist-8", "mnist-8-collapse", "mnist-8-diverge")
# Row of table 4: its own settings, the best of those tried (docs/log.md). The minibatch of
# stddev is the whole batch, as in the paper.
ROWS = {
    "gan": "--d-repeats 2 --g-lr 0.0005 --d-lr 0.002 --beta1 0.5",
    "wgan-gp": "--d-repeats 2 --g-lr 0.003 --d-lr 0.003",
    "norm": "--d-repeats 1",
    "stddev": "--d-repeats 1 --stddev-group 32",
    "growing": "--d-repeats 1 --stddev-group 32",
}
SWD_AND_SSIM = {"SWD x1e3": "SWDx1e3_avg", "MS-SSIM": "MS-SSIM"}


@dataclass(frozen=True, slots=True)
class Trial:
    """One training.

    Attributes:
        name: Row of the table.
        options: Options of train.py.
        held_out: Arguments of python -m metrics --held-out, for all snapshots.
        kimg_factor: Length of the run, of --kimg; rows of different speed take equal time.
    """

    name: str
    seed: int
    options: tuple[str, ...]
    held_out: tuple[str, ...] = ()
    kimg_factor: float = 1.0

    @property
    def folder(self) -> str:
        return f"{self.name}-seed{self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Options of the command line that trials depend on."""

    data: Path
    classifier: Path | None
    kimg: float
    seeds: Sequence[int]


def _options(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def table4(settings: Settings) -> Iterator[Trial]:
    """Appendix E: each level is trained and faded in for 1/25 of the run, as in the paper.

    The paper shows 10 million images, with five discriminator steps per generator step and batches
    of 64. With far fewer images, one or two steps and batches of 32 give the generator enough
    steps.
    """
    yield from _table4(settings, ROWS)


def table4_faster_d(settings: Settings) -> Iterator[Trial]:
    """Its last rows with a discriminator that learns six times as fast as the generator.

    The small discriminators of this test cannot follow the generator at its rate: fakes get the
    higher scores.
    """
    faster = {row: f"{ROWS[row]} --d-lr 0.006" for row in ("norm", "stddev", "growing")}
    yield from _table4(settings, faster)


def _table4(settings: Settings, rows: Mapping[str, str]) -> Iterator[Trial]:
    phase = settings.kimg / 25
    common = _options(
        f"--batch 32 --training-kimg {phase} --transition-kimg {phase} "
        f"--tick-kimg {settings.kimg / 10} --metrics discrete-modes25600"
    )
    detector = ("--detector", str(settings.classifier))
    for seed in settings.seeds:
        for size in ("k4", "k2"):
            for row, own in rows.items():
                preset = f"stacked-mnist-{size}-{row}"
                yield Trial(preset, seed, ("--preset", preset, *common, *detector, *_options(own)))


def zoo(settings: Settings) -> Iterator[Trial]:
    """The other GANs on images of 32x32, in widths that cost a CPU about the same.

    Batches of 16 make enough steps of few images.
    """
    for seed in settings.seeds:
        for preset, own in ZOO.items():
            options = _options(
                f"--preset {preset} {own} --resolution 32 --batch 16 "
                f"--tick-kimg {settings.kimg / 10} --snapshot-ticks 5 --threads 1 "
                "--metrics swd2000,ms-ssim2000"
            )
            yield Trial(preset, seed, options)


def digits(settings: Settings) -> Iterator[Trial]:
    """A training that succeeds, one that collapses and one that diverges.

    The diagnosis begins at kimg 9.2, so 19.2 kimg show it before half of the run.
    """
    for seed in settings.seeds:
        for preset in DIGITS:
            options = _options(f"--preset {preset} --threads 1 --metrics ms-ssim900")
            yield Trial(preset, seed, options)


def augmentation(settings: Settings) -> Iterator[Trial]:
    """With and without adaptive augmentation, on a thousand images of 32x32.

    The discriminator is wide and has a weak penalty, so that it memorises them after a few hundred
    epochs; the generator is too narrow to learn them exactly. The options were chosen on seed 100.
    """
    common = _options(
        "--preset ada-birds --resolution 32 --fmap-base 32 --fmap-max 128 --d-fmap-base 128 "
        "--d-norm none --dropout 0 --objective r1 --gp-weight 0.3 --g-lr 0.001 --d-lr 0.001 "
        "--beta1 0 --beta2 0.99 --clip-gradients 5 --precision bf16 --batch 64 --threads 1 "
        "--tick-kimg 16 --snapshot-ticks 4 --metrics '' --best ''"
    )
    controls = {
        "adaptive": "--augment-control constant --augment-accuracy 0.8",
        "none": "--augment none",
    }
    for seed in settings.seeds:
        for name, control in controls.items():
            yield Trial(name, seed, common + _options(control), ("swd", "--repeats", "5"))


def penalty_demo(settings: Settings) -> Iterator[Trial]:
    """The gradient of wgan-gp at the final or at the trained resolution, the networks of demo."""
    yield from _gradient_at(
        settings,
        "demo",
        " --g-lr 0.0015 --d-lr 0.0015 --clip-gradients 0 --penalty-interval 1 --gp-weight 10",
    )


def penalty_cifar10(settings: Settings) -> Iterator[Trial]:
    """The same with the settings of cpu, mirrored images, and bf16, which takes two thirds of the
    time of float32."""
    yield from _gradient_at(settings, "cpu", " --mirror --precision bf16")


# Changes of the paper's recipe, each with those before it, and their lengths, of --kimg: images/s
# at the final resolution on one core, relative to the first.
RECIPE_ROWS = {
    "paper": ("--penalty-interval 1 --gp-weight 10", 1.0),
    "+ weak penalty in every 4th step": ("--penalty-interval 4 --gp-weight 0.5", 1.3),
    "+ bf16": ("--penalty-interval 4 --gp-weight 0.5 --precision bf16", 2.1),
}


def _recipe(settings: Settings, common: str) -> Iterator[Trial]:
    """The paper's recipe with its best learning rates, and changes of it, at about equal time.

    The networks have 64 maps up to 32x32. Runs of a seed follow each other, so that a machine that
    gets slower does so for all rows.
    """
    for seed in settings.seeds:
        for name, (options, factor) in RECIPE_ROWS.items():
            all_options = _options(
                "--preset demo --threads 1 --fmap-base 1024 --fmap-max 64 --training-kimg 2 "
                f"--transition-kimg 2 --clip-gradients 0 --snapshot-ticks 4 --metrics swd3000 "
                f"{common} {options}"
            )
            yield Trial(name, seed, all_options, kimg_factor=factor)


def recipe_portraits(settings: Settings) -> Iterator[Trial]:
    """Portraits of 32x32."""
    yield from _recipe(settings, "--g-lr 0.006 --d-lr 0.006")


def recipe_cifar10(settings: Settings) -> Iterator[Trial]:
    """CIFAR-10."""
    yield from _recipe(settings, "--mirror --g-lr 0.004 --d-lr 0.004")


def recipe_cifar10_lower_rates(settings: Settings) -> Iterator[Trial]:
    """CIFAR-10 with half of the learning rates, which all seeds survive."""
    yield from _recipe(settings, "--mirror --g-lr 0.002 --d-lr 0.002")


def recipe_portraits64(settings: Settings) -> Iterator[Trial]:
    """Portraits of 64x64."""
    yield from _recipe(settings, "--mirror --g-lr 0.004 --d-lr 0.004")


def _gradient_at(settings: Settings, preset: str, more: str = "") -> Iterator[Trial]:
    for seed in settings.seeds:
        for resolution in ("final", "trained"):
            options = _options(
                f"--preset {preset}{more} --gp-resolution {resolution} --threads 1 "
                "--snapshot-ticks 100 --metrics swd3000,ms-ssim3000"
            )
            yield Trial(f"{preset}-{resolution}", seed, options)


class Experiment(NamedTuple):
    """Trials that share a table."""

    trials: Callable[[Settings], Iterator[Trial]]
    columns: Columns


EXPERIMENTS = {
    "table4": Experiment(table4, {"modes": "modes", "KL": "KL"}),
    "table4-faster-d": Experiment(table4_faster_d, {"modes": "modes", "KL": "KL"}),
    "zoo": Experiment(zoo, SWD_AND_SSIM),
    "digits": Experiment(
        digits,
        {
            "loss D real": "loss/critic-real", "loss D fake": "loss/critic-fake",
            "loss G": "loss/generator", "accuracy real": "accuracy/real",
            "accuracy fake": "accuracy/fake", "MS-SSIM": "MS-SSIM",
        },
    ),
    "penalty-demo": Experiment(penalty_demo, SWD_AND_SSIM),
    "penalty-cifar10": Experiment(penalty_cifar10, SWD_AND_SSIM),
    "recipe-portraits": Experiment(recipe_portraits, {"SWD x1e3": "SWDx1e3_avg"}),
    "recipe-cifar10": Experiment(recipe_cifar10, {"SWD x1e3": "SWDx1e3_avg"}),
    "recipe-cifar10-lower-rates": Experiment(
        recipe_cifar10_lower_rates, {"SWD x1e3": "SWDx1e3_avg"}
    ),
    "recipe-portraits64": Experiment(recipe_portraits64, {"SWD x1e3": "SWDx1e3_avg"}),
    "augmentation": Experiment(
        augmentation,
        {
            "SWD x1e3 against held-out images": "held-out/SWDx1e3_avg",
            "the least on the way": "held-out/SWDx1e3_avg/least", "p": "dials/augmentation",
            "r_v": "overfitting/ratio", "accuracy real": "accuracy/real",
        },
    ),
}  # fmt: skip
