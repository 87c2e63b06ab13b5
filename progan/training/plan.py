"""Plan of a run as a table (--dry-run), and notes before it starts."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch

from progan import networks, presets, schedule
from progan.config import Run, list_values
from progan.losses.adversarial import LOSSES
from progan.networks.inspection import multiply_adds
from progan.option_fields import format_option_name
from progan.runtime.devices import describe_device
from progan.runtime.files import format_bytes
from progan.runtime.text import format_count, format_duration, format_table
from progan.runtime.torch_settings import set_up_cpu
from progan.training.gradients import largest_micro_batch
from progan.training.memory import count_parameters, estimate_step_bytes
from progan.training.optim import compute_d_rate
from progan.training.precision import format_precision_note
from progan.training.preflight import cpu_note, estimate_seconds
from progan.training.progress import format_resolution
from progan.training.run_length import describe_scaling, explain_shortfall, suggest_shorter_total

HEADINGS = (
    "phase", "resolution", "from kimg", "to kimg", "batch", "lr G", "lr D", "GMAC/image", "memory",
)  # fmt: skip


def describe_plan(run: Run, processes: int = 1) -> str:
    """Describe the networks and each phase: resolution, images, batch, rates, memory.

    Args:
        processes: Number of processes that share each batch; the memory is that of one of them.
    """
    rows = [
        _format_phase_row(run, number, phase, processes)
        for number, phase in enumerate(schedule.iterate_phases(run.growth, run.network), start=1)
    ]
    with torch.device("meta"):
        g = count_parameters(networks.build_generator(run.network))
        d = count_parameters(networks.build_discriminator(run.network))
    network, first = run.network, schedule.get_first_level(run.growth, run.network)
    share = f" in each of {processes} processes" * (processes > 1)
    return "\n".join(
        [
            f"Preset {run.preset}: {network.size(first)} to "
            f"{network.size(network.max_level)}, {format_count(network.channels, 'channel')}, "
            f"{format_count(network.label_size, 'class', 'classes', none='no')}, "
            f"{run.growth.total_kimg:g} kimg in all",
            f"Weights: generator {g:,}, discriminator {d:,}",
            "",
            format_table([HEADINGS, *rows]),
            "",
            "GMAC/image: billions of multiply-adds in one pass through both networks.",
            f"memory: estimated peak of an iteration{share}, without the libraries' own memory.",
        ]
    )


def _format_phase_row(
    run: Run, number: int, phase: schedule.Phase, processes: int
) -> tuple[str, ...]:
    stage = phase.stage
    micro_batch = largest_micro_batch(run, stage.batch // processes)
    gmac = multiply_adds(run.network, stage.level) / 1e9
    d_lr = compute_d_rate(run.loss, stage)
    return (
        str(number), format_resolution(stage, run.network), f"{phase.start_kimg:g}",
        f"{phase.end_kimg:g}", str(stage.batch), f"{stage.g_lr:g}", f"{d_lr:g}",
        f"{gmac:.3g}", format_bytes(estimate_step_bytes(run, stage, processes, micro_batch)),
    )  # fmt: skip


def list_startup_notes(
    run: Run, options: Mapping[str, Any], device: torch.device, *, scaled: bool = False
) -> list[str]:
    """Return notes for the plan and the log.

    Args:
        options: The options that the user passed, by the name of their setting.
        scaled: True with --scale-schedule.
    """
    lines = [
        describe_scaling(run) if scaled else "",
        explain_shortfall(run),
        "" if scaled else suggest_shorter_total(run),
        format_precision_note(run, device),
    ]
    return [*filter(None, lines), *list_ineffective_options(run, options)]


def list_dry_run_notes(
    run: Run, options: Mapping[str, Any], device: torch.device, *, scaled: bool = False
) -> list[str]:
    """Return the notes of --dry-run, with an estimate of the time on a CPU."""
    lines = list_startup_notes(run, options, device, scaled=scaled)
    if device.type != "cpu":
        return lines
    set_up_cpu(run.threads)
    seconds = estimate_seconds(run, device)
    time = (
        f"On {describe_device(device)} the whole run would take about {format_duration(seconds)} "
        "(a rough estimate)."
    )
    return [*lines, cpu_note(run, device, seconds) or time]


class Rule(NamedTuple):
    """A condition under which options have an effect."""

    names: tuple[str, ...]
    is_effective: Callable[[Run], bool]
    needs: str  # continues 'has no effect without …'


def _make_loss_rule(names: tuple[str, ...], *objectives: str) -> Rule:
    return Rule(
        names,
        lambda run: run.loss.objective in objectives,
        f"--objective {' or '.join(objectives)}",
    )


def _make_network_kind_rule(names: tuple[str, ...], *kinds: str) -> Rule:
    return Rule(names, lambda run: run.network.kind in kinds, f"--kind {' or '.join(kinds)}")


def _make_augmentation_rule(names: tuple[str, ...], *kinds: str) -> Rule:
    return Rule(
        names,
        lambda run: not run.augment.kinds.isdisjoint(kinds),
        f"{' or '.join(kinds)} in --augment-kinds",
    )


AUGMENT_OPTIONS = (
    "augment_kinds", "augment_together", "augment_translate", "augment_zoom", "augment_stretch",
    "augment_rotate", "augment_color",
)  # fmt: skip
ADAPTIVE_OPTIONS = ("augment_accuracy", "augment_control", "augment_steps")
# The first broken rule of an option is reported.
RULES = (
    _make_loss_rule(("gp_weight", "penalty_interval"), "wgan-gp", "dragan", "r1", "relativistic"),
    _make_loss_rule(("gp_target",), "wgan-gp", "dragan"),
    _make_loss_rule(("gp_resolution",), "wgan-gp"),
    _make_loss_rule(("drift",), "wgan-gp", "wgan"),
    _make_loss_rule(("label_smoothing", "label_noise"), "gan", "dragan", "r1"),
    _make_loss_rule(("margin", "pulling_away"), "ebgan"),
    _make_loss_rule(("diversity", "balance_rate"), "began"),
    _make_loss_rule(("fake_weight",), "lsgan"),
    Rule(("label_weight",), lambda run: run.data.conditional, "--conditional"),
    Rule(AUGMENT_OPTIONS, lambda run: run.augment.augment != "none", "--augment fixed or adaptive"),
    Rule(ADAPTIVE_OPTIONS, lambda run: run.augment.augment == "adaptive", "--augment adaptive"),
    _make_augmentation_rule(("augment_translate",), "translate", "shift"),
    _make_augmentation_rule(("augment_zoom",), "zoom"),
    _make_augmentation_rule(("augment_stretch",), "stretch"),
    _make_augmentation_rule(("augment_rotate",), "rotate"),
    _make_augmentation_rule(("augment_color",), "color"),
    _make_network_kind_rule(("energy", "code_size"), "autoencoder"),
    _make_network_kind_rule(("kernel", "output_kernel"), "dcgan"),
    _make_network_kind_rule(("minibatch_kernels",), "progressive"),
    _make_network_kind_rule(("fused_scaling",), "progressive", "resnet", "stacked-mnist"),
    _make_network_kind_rule(("initial_resolution",), "progressive", "stacked-mnist"),
    Rule(
        ("stddev_group",),
        lambda run: run.network.kind != "autoencoder",
        "a --kind other than autoencoder",
    ),
    Rule(
        ("training_kimg", "transition_kimg", "reset_optimizers", "gp_resolution"),
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
RESOLUTION_TABLES = ("batch_at", "g_lr_at", "d_lr_at", "tick_kimg_at")


def list_ineffective_options(run: Run, options: Mapping[str, Any]) -> list[str]:
    """Return a line for each option that was passed and has no effect, or no meaning.

    Args:
        options: Values of the options passed, by the name of their setting. Those that the
            preset has as well, as most of a complete --config file, are passed over.
    """
    preset = list_values(presets.preset(run.preset)) if run.preset in presets.PRESETS else {}
    own = {
        name: value
        for name, value in options.items()
        if name not in preset or value != preset[name]
    }
    return [
        *_find_ineffective_by_rules(run, own),
        *_find_ineffective_table_rows(run, own),
        *_find_ineffective_precision(run),
        *_find_meaningless_noise(run),
        *_find_contradictions(run),
    ]


def _find_ineffective_by_rules(run: Run, options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        broken = [rule for rule in RULES if name in rule.names and not rule.is_effective(run)]
        if broken:
            option = format_option_name(f"no_{name}" if value is False else name)
            yield f"{option} has no effect without {broken[0].needs}."


def _find_ineffective_table_rows(run: Run, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each table with rows for resolutions that the run does not train."""
    first = 1 << schedule.get_first_level(run.growth, run.network)
    final = run.network.resolution
    for name in RESOLUTION_TABLES:
        unused = [
            str(resolution)
            for resolution, _ in options.get(name, ())
            if not first <= resolution <= final
        ]
        if unused:
            trained = f"from {first} to {final}" if first < final else f"at {final} alone"
            yield (
                f"{format_option_name(name)} has no effect at {', '.join(unused)}: the run trains "
                f"{trained}."
            )


def _find_ineffective_precision(run: Run) -> Iterator[str]:
    if run.precision in ("bf16", "fp16") and run.low_precision_from > run.network.resolution:
        yield (
            f"--precision {run.precision} has no effect: --low-precision-from "
            f"{run.low_precision_from} is above the final resolution, "
            f"{run.network.resolution}. All of it is trained in fp32."
        )


def _find_meaningless_noise(run: Run) -> Iterator[str]:
    if run.loss.adaptive_noise and run.loss.objective != "lsgan":
        yield (
            "--adaptive-noise measures the scores of fakes against the targets of --objective "
            f"lsgan, 0 and 1: with {run.loss.objective} its strength means nothing."
        )


def _find_contradictions(run: Run) -> Iterator[str]:
    """Yield a line for each pair of settings that defeat each other."""
    objective, clip = run.loss.objective, run.optim.clip_weights
    if clip and run.network.equalized_lr:
        yield (
            f"--clip-weights {clip:g} limits the stored weights, which --equalized-lr multiplies "
            "by He's constant in each layer: hardly anything of an image reaches the score. Add "
            "--no-equalized-lr."
        )
    if objective == "wgan" and not clip:
        yield (
            "--objective wgan without --clip-weights leaves the slope of the discriminator "
            "unlimited. Add --clip-weights 0.01 and --no-equalized-lr, or choose wgan-gp."
        )
    if run.network.kind == "autoencoder" and LOSSES[objective].threshold is not None:
        yield (
            f"--objective {objective} needs positive scores for real images, and those of --kind "
            "autoencoder are negative: minus the error of the reconstruction. Choose "
            "--objective wgan-gp, relativistic, ebgan or began."
        )
    if run.augment.augment == "adaptive" and objective == "began":
        yield (
            "--augment adaptive has no effect with --objective began, whose fakes score above the "
            "reals: an accuracy of 0 leaves the probability at 0. Choose --augment fixed."
        )
