"""Notes on the settings of a run before it starts, one line each: options without effect, too
short a run, a slow device."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

from progan import schedule
from progan.config import Run
from progan.option_fields import option_name
from progan.runtime.torch_settings import set_cpu_threads
from progan.training.precision import precision_note
from progan.training.preflight import cpu_note, estimate_seconds, is_for_gpus
from progan.training.run_length import lower_resolution_note, scaled_words, shortfall


def advice(
    run: Run, explicit: Mapping[str, Any], device: torch.device, *, scaled: bool = False
) -> list[str]:
    """Return lines for the plan and the log.

    Args:
        explicit: The options that the user named, by the name of their setting.
        scaled: Whether the schedule was scaled.
    """
    lines = [
        scaled_words(run) if scaled else "",
        shortfall(run),
        "" if scaled else lower_resolution_note(run),
        precision_note(run, device),
    ]
    return [*filter(None, lines), *ineffective_options(run, explicit)]


def plan_advice(
    run: Run, explicit: Mapping[str, Any], device: torch.device, *, scaled: bool = False
) -> list[str]:
    """The same for --dry-run, which has no preflight: with an estimate of the time on a CPU."""
    lines = advice(run, explicit, device, scaled=scaled)
    if not is_for_gpus(run, device):
        return lines
    set_cpu_threads(run.threads)
    return [*lines, *filter(None, [cpu_note(run, device, estimate_seconds(run, device))])]


class Rule(NamedTuple):
    """When some options have an effect."""

    names: tuple[str, ...]
    is_effective: Callable[[Run], bool]
    needs: str  # as in 'has no effect without …'


def _with_objectives(names: tuple[str, ...], *objectives: str) -> Rule:
    return Rule(
        names,
        lambda run: run.objective.objective in objectives,
        f"--objective {' or '.join(objectives)}",
    )


def _with_kinds(names: tuple[str, ...], *kinds: str) -> Rule:
    return Rule(names, lambda run: run.network.kind in kinds, f"--kind {' or '.join(kinds)}")


def _with_augmentations(names: tuple[str, ...], *kinds: str) -> Rule:
    return Rule(
        names,
        lambda run: not run.augment.kinds.isdisjoint(kinds),
        f"{' or '.join(kinds)} in --augment-kinds",
    )


AUGMENTED = (
    "augment_kinds",
    "augment_together",
    "augment_translate",
    "augment_zoom",
    "augment_stretch",
    "augment_rotate",
    "augment_color",
)
ADAPTIVE = ("augment_accuracy", "augment_control", "augment_steps")
# The first rule that an option breaks is told.
RULES = (
    _with_objectives(("gp_weight",), "wgan-gp", "dragan", "r1", "relativistic"),
    _with_objectives(("gp_target",), "wgan-gp", "dragan"),
    _with_objectives(("gp_resolution",), "wgan-gp"),
    _with_objectives(("drift",), "wgan-gp", "wgan"),
    _with_objectives(("label_smoothing", "label_noise"), "gan", "dragan", "r1"),
    _with_objectives(("margin", "pulling_away"), "ebgan"),
    _with_objectives(("diversity", "balance_rate"), "began"),
    _with_objectives(("fake_weight",), "lsgan"),
    Rule(("label_weight",), lambda run: run.data.conditional, "--conditional"),
    Rule(AUGMENTED, lambda run: run.augment.augment != "none", "--augment fixed or adaptive"),
    Rule(ADAPTIVE, lambda run: run.augment.augment == "adaptive", "--augment adaptive"),
    _with_augmentations(("augment_translate",), "translate", "shift"),
    _with_augmentations(("augment_zoom",), "zoom"),
    _with_augmentations(("augment_stretch",), "stretch"),
    _with_augmentations(("augment_rotate",), "rotate"),
    _with_augmentations(("augment_color",), "color"),
    _with_kinds(("energy", "code_size"), "autoencoder"),
    _with_kinds(("kernel", "output_kernel"), "dcgan"),
    _with_kinds(("minibatch_kernels",), "progressive"),
    _with_kinds(("fused_scaling",), "progressive", "resnet", "stacked-mnist"),
    _with_kinds(("initial_resolution",), "progressive", "stacked-mnist"),
    Rule(
        ("stddev_group",),
        lambda run: run.network.kind != "autoencoder",
        "a --kind other than autoencoder",
    ),
    Rule(
        ("training_kimg", "transition_kimg"),
        lambda run: run.grows,
        "an --initial-resolution below the final one, in networks that grow",
    ),
    Rule(("beta1",), lambda run: run.optim.optimizer == "adam", "--optimizer adam"),
    Rule(
        ("low_precision_from",),
        lambda run: run.precision in ("bf16", "fp16"),
        "--precision bf16 or fp16",
    ),
    Rule(("detector",), lambda run: bool(run.output.metrics), "--metrics"),
)
TABLES = ("batch_at", "g_lr_at", "d_lr_at", "tick_kimg_at")


def ineffective_options(run: Run, explicit: Mapping[str, Any]) -> list[str]:
    """Return a line for each option that the user named in vain.

    Args:
        explicit: The options named, by the name of their setting, with their values.
    """
    return [*_broken_rules(run, explicit), *_unused_rows(run, explicit), *_unused_precision(run)]


def _broken_rules(run: Run, explicit: Mapping[str, Any]) -> Iterator[str]:
    for name in explicit:
        broken = [rule for rule in RULES if name in rule.names and not rule.is_effective(run)]
        if broken:
            yield f"{option_name(name)} has no effect without {broken[0].needs}."


def _unused_rows(run: Run, explicit: Mapping[str, Any]) -> Iterator[str]:
    """Rows of tables for resolutions that the run does not train."""
    first = 1 << schedule.first_level(run.growth, run.network)
    final = run.network.resolution
    for name in TABLES:
        unused = [
            str(resolution)
            for resolution, _ in explicit.get(name, ())
            if not first <= resolution <= final
        ]
        if unused:
            trained = f"from {first} to {final}" if first < final else f"at {final} alone"
            yield (
                f"{option_name(name)} has no effect at {', '.join(unused)}: the run trains "
                f"{trained}."
            )


def _unused_precision(run: Run) -> Iterator[str]:
    if run.precision in ("bf16", "fp16") and run.low_precision_from > run.network.resolution:
        yield (
            f"--precision {run.precision} has no effect: --low-precision-from "
            f"{run.low_precision_from} is above the final resolution, "
            f"{run.network.resolution}. All of it is trained in fp32."
        )
