"""Length of a run: what it trains within --total-kimg, and --scale-schedule."""

import math
from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

from progan import presets, schedule
from progan.config import Growth, Network, Run, override
from progan.errors import UserError
from progan.schedule import Stage, images_per_round

UNLIMITED_KIMG = 9e8  # longer than any growing phases
PHASES = ("training_kimg", "transition_kimg")


class RequiredKimg(NamedTuple):
    """Kimg at which the final resolution starts, is faded in, and is trained as the others are."""

    start: float
    faded_in: float
    trained: float


def find_last_stage(run: Run) -> Stage:
    """Return the stage of the last round of a run that begins at kimg 0."""
    *_, (_, stage) = schedule.iterate_boundary_rounds(run.growth, run.network)
    return stage


def required_kimg(growth: Growth, network: Network) -> RequiredKimg:
    """Return how long a run must be for its final resolution.

    Rounds are never cut: where phases are shorter than a round, it comes later than scheduled.
    """
    final = [
        (images / 1000, stage)
        for images, stage in schedule.iterate_boundary_rounds(
            replace(growth, total_kimg=UNLIMITED_KIMG), network
        )
        if stage.level == network.max_level
    ]
    grown = schedule.compute_fully_grown_kimg(growth, network)

    def correct(kimg: float, nominal: float) -> float:
        late = kimg - nominal > schedule.images_per_round(growth, final[0][1]) / 1000
        return kimg if late else nominal

    start = correct(final[0][0], grown - growth.transition_kimg)
    kimg, stage = next((kimg, stage) for kimg, stage in final if not stage.fading)
    faded_in = correct(kimg, grown)
    first_round = kimg + schedule.images_per_round(growth, stage) / 1000
    return RequiredKimg(start, faded_in, max(faded_in + growth.training_kimg, first_round))


def is_complete(run: Run) -> bool:
    """True if the final resolution is trained as long as the others, to within a round."""
    if not run.grows:
        return True
    last = find_last_stage(run)
    if last.level < run.network.max_level or last.fading:
        return False
    round_kimg = schedule.images_per_round(run.growth, last) / 1000
    return required_kimg(run.growth, run.network).trained <= run.growth.total_kimg + round_kimg


def _has_phases_of_preset(run: Run) -> bool:
    """True if --scale-schedule could choose the length of the phases: no option has set it."""
    return run.preset in presets.PRESETS and _are_equal_in(
        PHASES, run.growth, presets.preset(run.preset).growth
    )


def _are_equal_in(names: Iterable[str], one: Growth, other: Growth) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in names)


def explain_shortfall(run: Run) -> str:
    """Return a line if a run ends before its final resolution is trained, else ''."""
    if is_complete(run):
        return ""
    network, total = run.network, run.growth.total_kimg
    needed, last = required_kimg(run.growth, run.network), find_last_stage(run)
    final = network.size(network.max_level)
    advice = f"--total-kimg {_format_kimg(needed.trained)} trains it fully; " + (
        "for a new run, --scale-schedule shortens the phases instead."
        if _has_phases_of_preset(run) and not run.init_from
        else "for a new run, smaller --training-kimg and --transition-kimg shorten the phases."
    )
    if last.level == network.max_level and not last.fading:
        return (
            f"The run ends at {final}, trained for {_format_kimg(total - needed.faded_in)} of "
            f"{run.growth.training_kimg:g} kimg (--training-kimg) once faded in. {advice}"
        )
    fade = f", is faded in at kimg {_format_kimg(needed.faded_in)}" * (
        needed.start < needed.faded_in
    )
    return (
        f"The run ends {describe_end(run)}, at kimg {total:g}: {final} starts at kimg "
        f"{_format_kimg(needed.start)}{fade} and is fully trained at kimg "
        f"{_format_kimg(needed.trained)}. "
        f"{advice}"
    )


def describe_end(run: Run) -> str:
    """Describe where a run ends: 'at 4x4 of 32x32', 'in the fade to 16x16 of 32x32'."""
    last, network = find_last_stage(run), run.network
    size, final = network.size(last.level), network.size(network.max_level)
    of = f" of {final}" * (last.level < network.max_level)
    if last.fading:
        return f"in the fade to {size}{of}, at {100 * last.alpha:.0f}%"
    return f"at {size}{of}"


def format_end_message(run: Run) -> str:
    """Return 'Done.', with a note if the final resolution is not fully trained."""
    missing = explain_shortfall(run)
    return f"Done, but the final resolution is not fully trained. {missing}" if missing else "Done."


def suggest_shorter_total(run: Run) -> str:
    """Return a line if the preset's total was made for larger images than the run's, else ''."""
    if run.preset not in presets.PRESETS:
        return ""
    preset = presets.preset(run.preset)
    own, now = preset.growth, run.growth
    changed = not _are_equal_in(("total_kimg", *PHASES), own, now)
    lower = run.network.max_level < preset.network.max_level
    if changed or not (preset.grows and run.grows and lower):
        return ""
    share = 1 - schedule.compute_fully_grown_kimg(own, preset.network) / own.total_kimg
    grown = schedule.compute_fully_grown_kimg(now, run.network)
    final, made_for = (each.network.size(each.network.max_level) for each in (run, preset))
    return (
        f"The {own.total_kimg:g} kimg of preset {run.preset} are those of {made_for}, where "
        f"the final resolution gets {100 * share:.0f}% of them; {final} gets "
        f"{100 * (1 - grown / now.total_kimg):.0f}%. --total-kimg "
        f"{_format_kimg(grown / (1 - share))} keeps that share, as --scale-schedule does within "
        "any total."
    )


def _ceil_to_images(kimg: float) -> float:
    """Round up to whole images, ignoring floating-point errors."""
    return math.ceil(kimg * 1000 - 1e-6) / 1000


def _format_kimg(kimg: float) -> str:
    return f"{_ceil_to_images(kimg):.10g}"


SHORTEST_TICK_KIMG = 0.001


def scale_schedule(run: Run, options: Container[str]) -> Run:
    """Return the run with the lengths of its phases and ticks scaled to its total.

    Once faded in, the final resolution gets the share of the total that it has in the preset with
    the preset's own resolution and total, and no less time than any other resolution. The phases
    before it keep their proportions. Ticks are shortened as phases are, and not lengthened; images
    and snapshots are counted in ticks, so that a short run has as many of them.

    Args:
        options: Names of settings that the user chose; tick lengths among them are kept.

    Raises:
        UserError: There is nothing to scale, the user chose the lengths of phases, or the total is
            too short for every resolution to be trained.
    """
    preset = presets.preset(run.preset)
    _require_scalable(run, preset, options)
    growth, own = run.growth, preset.growth
    grown = schedule.compute_fully_grown_kimg(growth, run.network)
    share = schedule.compute_fully_grown_kimg(own, preset.network) / own.total_kimg
    factor = growth.total_kimg * min(share / grown, 1 / (grown + growth.training_kimg))
    scaled: dict[str, Any] = {
        name: _round_to_4_digits(getattr(growth, name) * factor) for name in PHASES
    }
    if factor < 1:
        tick = max(_round_to_4_digits(growth.tick_kimg * factor), SHORTEST_TICK_KIMG)
        ticks = tuple(
            (resolution, max(_round_to_4_digits(kimg * factor), SHORTEST_TICK_KIMG))
            for resolution, kimg in growth.tick_kimg_at
        )
        scaled |= {
            name: value
            for name, value in (("tick_kimg", tick), ("tick_kimg_at", ticks))
            if name not in options
        }
    result = override(run, scaled)
    _require_all_trained(result)
    return result


def describe_scaling(run: Run) -> str:
    """Return a line about the changes that --scale-schedule made to the preset."""
    old, new = presets.preset(run.preset).growth, run.growth
    if _are_equal_in(PHASES, old, new):
        return (
            f"--scale-schedule changes nothing: the phases of preset {run.preset} already "
            f"fit --total-kimg {new.total_kimg:g}."
        )
    ticks = ""
    if (old.tick_kimg, old.tick_kimg_at) != (new.tick_kimg, new.tick_kimg_at):
        table = ", ".join(f"{size}x{size}: {kimg:g}" for size, kimg in new.tick_kimg_at)
        ticks = (
            f" A status line comes every {new.tick_kimg:g} kimg{f' ({table})' if table else ''}."
        )
    return (
        f"--scale-schedule: --training-kimg {new.training_kimg:g} (was "
        f"{old.training_kimg:g}) and --transition-kimg {new.transition_kimg:g} (was "
        f"{old.transition_kimg:g}), for --total-kimg {new.total_kimg:g}.{ticks}"
    )


def _require_scalable(run: Run, preset: Run, options: Container[str]) -> None:
    if named := [name for name in PHASES if name in options]:
        option = f"--{named[0].replace('_', '-')}"
        raise UserError(
            f"--scale-schedule chooses the length of the phases, and {option} sets "
            "it. They cannot be combined."
        )
    if not run.grows:
        raise UserError(
            "--scale-schedule has nothing to scale: the run trains "
            f"{run.network.size(run.network.max_level)} alone, for all of "
            "--total-kimg. Omit it."
        )
    if not preset.grows:
        raise UserError(
            f"--scale-schedule keeps the shares of a preset, and preset {run.preset} "
            "trains one resolution alone. Set --training-kimg and --transition-kimg."
        )


def _require_all_trained(run: Run) -> None:
    """Raise UserError if phases are shorter than a round, so that resolutions are skipped."""
    trained = {
        stage.level
        for _, stage in schedule.iterate_boundary_rounds(run.growth, run.network)
        if not stage.fading
    }
    levels = range(
        schedule.get_first_level(run.growth, run.network) + run.growth.fade_first,
        run.network.max_level + 1,
    )
    if trained >= set(levels):
        return
    last = find_last_stage(run)
    raise UserError(
        f"--scale-schedule: --total-kimg {run.growth.total_kimg:g} is too short: phases would be "
        f"of {1000 * run.growth.training_kimg:g} images, and one round at resolution "
        f"{last.resolution} has {images_per_round(run.growth, last)}. Raise --total-kimg, or lower "
        "--minibatch-repeats or --batch."
    )


def _round_to_4_digits(kimg: float) -> float:
    """Round to four significant digits, for readability."""
    return float(f"{kimg:.4g}")
