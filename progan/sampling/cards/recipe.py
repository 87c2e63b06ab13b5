"""How a network was trained, in words."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import TypeVar

from progan import schedule
from progan.config import Augment, Growth, Network, Objective, Optim, Run
from progan.runtime.log import human_seconds
from progan.sampling.cards.facts import Images, Training
from progan.sampling.cards.markdown import code

N = TypeVar("N", int, float)

PENALTY = {"gp_weight": "weight of the gradient penalty", "gp_target": "norm it asks for"}
DRIFT = {"drift": "weight of the drift"}
TARGETS = {"label_smoothing": "label smoothing", "label_noise": "label noise"}
# The settings that each objective has, and what a reader calls them.
TERMS: dict[str, dict[str, str]] = {
    "wgan-gp": PENALTY | DRIFT,
    "wgan": DRIFT,
    "gan": TARGETS,
    "lsgan": {"fake_weight": "weight of the fakes"},
    "dragan": PENALTY | TARGETS,
    "ebgan": {"margin": "margin", "pulling_away": "weight of the pulling-away term"},
    "began": {"diversity": "ratio of energies", "balance_rate": "rate of the balance"},
    "r1": {"gp_weight": PENALTY["gp_weight"]} | TARGETS,
    "relativistic": {"gp_weight": PENALTY["gp_weight"]},
}


def of_images(images: Images, run: Run) -> Iterator[tuple[str, str]]:
    """What it was trained on."""
    held_out = f"; {images.held_out:,} more were held out" if images.held_out else ""
    yield "Dataset", f"{code(images.name)}, {images.count:,} images of {images.size}{held_out}"
    if run.data.subset:
        yield "Of it", f"the class {code(run.data.subset)} alone"
    yield "Mirrored", "yes, half of the images at random" if run.data.mirror else "no"
    yield "Augmented", augmentation(run.augment)
    if run.data.conditional:
        yield "Labels", (f"{run.network.label_size} classes, with an AC-GAN loss of weight "
                         f"{run.objective.label_weight:g}")


def of_training(training: Training, images_seen: int) -> Iterator[tuple[str, str]]:
    """How it was trained."""
    run = training.run
    yield "Preset", code(run.preset)
    if run.init_from:
        yield "Began with", f"the networks of {code(PurePath(run.init_from).name)}"
    yield "Images shown", f"{images_seen:,}, of {run.growth.total_kimg * 1000:,.0f} planned"
    yield "Growth", growth(run)
    yield "Objective", objective(run.objective)
    yield "Batch", by_resolution(run.growth.batch, run.growth.batch_at, run)
    yield "Learning rates", rates(run)
    yield "Optimizer", optimizer(run.optim)
    yield "Average", f"of the generator's weights, with decay {run.optim.ema_decay:g}"
    yield "Arithmetic", arithmetic(run)
    yield "Made with", f"{training.software} on {code(training.machine)}"
    if training.seconds is not None:
        yield "Time", f"{human_seconds(training.seconds)} of training"


def growth(run: Run) -> str:
    """'from 4x4 to 16x16; each size is faded in over 1.5 kimg, then trained for 1.5 kimg'."""
    network, plan = run.network, run.growth
    last = network.size(network.max_level)
    if not run.grows:
        return f"none: {last} from the start, for {plan.total_kimg:g} kimg"
    first = network.size(schedule.first_level(plan, network))
    return (f"from {first} to {last}; each size is faded in over {plan.transition_kimg:g} kimg, "
            f"then trained for {plan.training_kimg:g} kimg; {plan.total_kimg:g} kimg in all (a "
            "kimg is a thousand images shown)")


def objective(settings: Objective) -> str:
    """'wgan-gp: weight of the gradient penalty 10, norm it asks for 1, weight of the drift 0'."""
    terms = [f"{words} {getattr(settings, name):g}"
             for name, words in TERMS[settings.objective].items()]
    return f"{settings.objective}: {', '.join(terms)}"


def augmentation(settings: Augment) -> str:
    """'no', or how often and with what."""
    if settings.augment == "none":
        return "no"
    start = "probability" if settings.augment == "fixed" else "adaptive probability, from"
    return f"{start} {settings.augment_p:g}, of {settings.augment_kinds.replace(',', ', ')}"


def rates(run: Run) -> str:
    """Of generator and discriminator, at all resolutions."""
    plan = run.growth
    decay = f"; divided by 1 + {plan.lr_decay:g} kimg" if plan.lr_decay else ""
    return (f"generator {by_resolution(plan.g_lr, plan.g_lr_at, run)}; "
            f"discriminator {by_resolution(plan.d_lr, plan.d_lr_at, run)}{decay}")


def optimizer(settings: Optim) -> str:
    """'adam with beta1 0, beta2 0.99'."""
    first = f"beta1 {settings.beta1:g}, " if settings.optimizer == "adam" else ""
    frozen = (f"; the upper {settings.freeze_d} resolutions of the discriminator kept their weights"
              if settings.freeze_d else "")
    clipped = f"; weights clipped to {settings.clip_weights:g}" if settings.clip_weights else ""
    return f"{settings.optimizer} with {first}beta2 {settings.beta2:g}{clipped}{frozen}"


def arithmetic(run: Run) -> str:
    """'fp32', or 'bf16 from 16x16 on'."""
    if run.precision in ("fp32", "tf32") or run.low_precision_from <= 4:
        return run.precision
    return f"{run.precision} from resolution {run.low_precision_from} on, below it fp32"


def by_resolution(usual: N, table: tuple[tuple[int, N], ...], run: Run) -> str:
    """'4', or '4 (14 at 256, 6 at 512)' of the resolutions that the run has."""
    found = [schedule.lookup(table, 1 << level, usual) for level in levels(run.growth, run.network)]
    others = [f"{number:g} at {1 << level}" for level, number in
              zip(levels(run.growth, run.network), found, strict=True) if number != usual]
    if len(set(found)) == 1:
        return f"{found[0]:g}"
    return f"{usual:g} ({', '.join(others)})"


def levels(plan: Growth, network: Network) -> range:
    """The levels that a run trains."""
    return range(schedule.first_level(plan, network), network.max_level + 1)
