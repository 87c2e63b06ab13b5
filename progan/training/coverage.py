"""Which resolutions a run really trains: --total-kimg may end it before the final one."""

import math
from dataclasses import replace
from typing import NamedTuple

from progan import presets, schedule
from progan.config import Growth, Network, Run
from progan.schedule import Stage

UNLIMITED_KIMG = 9e8  # longer than any growing phases


class Needed(NamedTuple):
    """Kimg at which the final resolution starts, is faded in, and is trained as the others are."""

    start: float
    faded_in: float
    trained: float


def last_stage(run: Run) -> Stage:
    """Return the stage of the last round of a run that begins at kimg 0."""
    *_, (_, stage) = schedule.landmarks(run.growth, run.network)
    return stage


def needed_kimg(growth: Growth, network: Network) -> Needed:
    """Return how long a run has to be for its final resolution.

    Rounds are not cut short: where phases are shorter than a round, it comes later than scheduled.
    """
    final = [(images / 1000, stage) for images, stage in
             schedule.landmarks(replace(growth, total_kimg=UNLIMITED_KIMG), network)
             if stage.level == network.max_level]
    grown = schedule.grown_kimg(growth, network)

    def scheduled(kimg: float, nominal: float) -> float:
        late = kimg - nominal > schedule.round_images(growth, final[0][1]) / 1000
        return kimg if late else nominal

    start = scheduled(final[0][0], grown - growth.transition_kimg)
    faded_in = scheduled(next(kimg for kimg, stage in final if not stage.fading), grown)
    return Needed(start, faded_in, faded_in + growth.training_kimg)


def is_complete(run: Run) -> bool:
    """Whether the final resolution is trained for as long as the ones before, but for a round."""
    if not run.grows:
        return True
    last = last_stage(run)
    if last.level < run.network.max_level or last.fading:
        return False
    round_kimg = schedule.round_images(run.growth, last) / 1000
    return needed_kimg(run.growth, run.network).trained <= run.growth.total_kimg + round_kimg


def shortfall(run: Run) -> str:
    """Say in one line where a run ends before its final resolution is trained; '' otherwise."""
    if is_complete(run):
        return ""
    network, total = run.network, run.growth.total_kimg
    needed, last = needed_kimg(run.growth, run.network), last_stage(run)
    final = network.size(network.max_level)
    advice = (f"--total-kimg {_kimg(needed.trained)} trains it fully; for a new run, "
              "--scale-schedule shortens the phases instead.")
    if last.level == network.max_level and not last.fading:
        return (f"The run ends at {final}, trained for {_kimg(total - needed.faded_in)} of "
                f"{run.growth.training_kimg:g} kimg (--training-kimg) once faded in. {advice}")
    fade = f", is faded in at kimg {_kimg(needed.faded_in)}" * (needed.start < needed.faded_in)
    return (f"The run ends {end_words(run)}, at kimg {total:g}: {final} starts at kimg "
            f"{_kimg(needed.start)}{fade} and is fully trained at kimg {_kimg(needed.trained)}. "
            f"{advice}")


def end_words(run: Run) -> str:
    """Name where a run ends: 'at 4x4 of 32x32', 'in the fade to 16x16 of 32x32'."""
    last, network = last_stage(run), run.network
    size, final = network.size(last.level), network.size(network.max_level)
    of = f" of {final}" * (last.level < network.max_level)
    return f"in the fade to {size}{of}, at {100 * last.alpha:.0f}%" if last.fading else (
        f"at {size}{of}")


def end_message(run: Run) -> str:
    """Say at the end of a run what was trained: 'Done.', or what is missing."""
    missing = shortfall(run)
    return f"Done, but the final resolution is not fully trained. {missing}" if missing else "Done."


def lower_resolution_note(run: Run) -> str:
    """Say that a preset's total was made for larger images than those of the dataset; or ''."""
    if run.preset not in presets.PRESETS:
        return ""
    preset = presets.preset(run.preset)
    own, now = preset.growth, run.growth
    unchanged = (own.total_kimg, own.training_kimg, own.transition_kimg) == (
        now.total_kimg, now.training_kimg, now.transition_kimg)
    if not (unchanged and preset.grows and run.grows
            and run.network.max_level < preset.network.max_level):
        return ""
    share = 1 - schedule.grown_kimg(own, preset.network) / own.total_kimg
    grown = schedule.grown_kimg(now, run.network)
    final, made_for = (each.network.size(each.network.max_level) for each in (run, preset))
    return (f"The {own.total_kimg:g} kimg of preset {run.preset} are those of {made_for}, where "
            f"the final resolution gets {100 * share:.0f}% of them; {final} gets "
            f"{100 * (1 - grown / now.total_kimg):.0f}%. --total-kimg "
            f"{_kimg(grown / (1 - share))} keeps that share, as --scale-schedule does within "
            "any total.")


def _rounded_up(kimg: float) -> float:
    """To whole images, but for the noise of floating point."""
    return math.ceil(kimg * 1000 - 1e-6) / 1000


def _kimg(kimg: float) -> str:
    return f"{_rounded_up(kimg):.10g}"
