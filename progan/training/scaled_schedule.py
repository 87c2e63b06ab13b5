"""--scale-schedule: the phases of a preset, shortened or lengthened to another --total-kimg."""

from collections.abc import Container
from typing import Any

from progan import presets, schedule
from progan.config import Run, override
from progan.errors import UserError
from progan.schedule import round_images
from progan.training.coverage import last_stage

PHASES = ("training_kimg", "transition_kimg")
SHORTEST_TICK_KIMG = 0.001


def scale_schedule(run: Run, explicit: Container[str]) -> Run:
    """Return the run with the lengths of its phases and ticks scaled to its total.

    Once faded in, the final resolution gets the share of the total that it has in the preset with
    the preset's own resolution and total, and no less time than any other resolution. The phases
    before it keep their proportions. Ticks are shortened as phases are, and not lengthened; images
    and snapshots are counted in ticks, so that a short run has as many of them.

    Args:
        explicit: Names of settings that the user chose; lengths of ticks among them stay.

    Raises:
        UserError: There is nothing to scale, the user chose the lengths of phases, or the total is
            too short for every resolution to be trained.
    """
    preset = presets.preset(run.preset)
    _require_scalable(run, preset, explicit)
    growth, own = run.growth, preset.growth
    grown = schedule.grown_kimg(growth, run.network)
    share = schedule.grown_kimg(own, preset.network) / own.total_kimg
    factor = growth.total_kimg * min(share / grown, 1 / (grown + growth.training_kimg))
    scaled: dict[str, Any] = {name: _rounded(getattr(growth, name) * factor) for name in PHASES}
    if factor < 1:
        tick = max(_rounded(growth.tick_kimg * factor), SHORTEST_TICK_KIMG)
        ticks = tuple((resolution, max(_rounded(kimg * factor), SHORTEST_TICK_KIMG))
                      for resolution, kimg in growth.tick_kimg_at)
        scaled |= {name: value for name, value in (("tick_kimg", tick), ("tick_kimg_at", ticks))
                   if name not in explicit}
    result = override(run, scaled)
    _require_all_trained(result)
    return result


def scaled_words(run: Run) -> str:
    """Say in one line what --scale-schedule has made of the preset."""
    old, new = presets.preset(run.preset).growth, run.growth
    if all(getattr(old, name) == getattr(new, name) for name in PHASES):
        return (f"--scale-schedule changes nothing: the phases of preset {run.preset} already "
                f"fit --total-kimg {new.total_kimg:g}.")
    ticks = "" if (old.tick_kimg, old.tick_kimg_at) == (new.tick_kimg, new.tick_kimg_at) else (
        f" A status line comes every {new.tick_kimg:g} kimg" + (
            f" ({', '.join(f'{size}x{size}: {kimg:g}' for size, kimg in new.tick_kimg_at)})"
            if new.tick_kimg_at else "") + ".")
    return (f"--scale-schedule: --training-kimg {new.training_kimg:g} (was "
            f"{old.training_kimg:g}) and --transition-kimg {new.transition_kimg:g} (was "
            f"{old.transition_kimg:g}), for --total-kimg {new.total_kimg:g}.{ticks}")


def _require_scalable(run: Run, preset: Run, explicit: Container[str]) -> None:
    if named := [name for name in PHASES if name in explicit]:
        option = f"--{named[0].replace('_', '-')}"
        raise UserError(f"--scale-schedule chooses the length of the phases, and {option} names "
                        "it. Leave one of them away.")
    if not run.grows:
        raise UserError("--scale-schedule has nothing to scale: the run trains "
                        f"{run.network.size(run.network.max_level)} alone, for all of "
                        "--total-kimg. Leave it away.")
    if not preset.grows:
        raise UserError(f"--scale-schedule keeps the shares of a preset, and preset {run.preset} "
                        "trains one resolution alone. Name --training-kimg and --transition-kimg.")


def _require_all_trained(run: Run) -> None:
    """Rounds are not cut short, so that phases shorter than a round may be left out."""
    trained = {stage.level for _, stage in schedule.landmarks(run.growth, run.network)
               if not stage.fading}
    levels = range(schedule.first_level(run.growth, run.network) + run.growth.fade_first,
                   run.network.max_level + 1)
    if trained >= set(levels):
        return
    last = last_stage(run)
    raise UserError(
        f"--scale-schedule: --total-kimg {run.growth.total_kimg:g} is too short: phases would be "
        f"of {1000 * run.growth.training_kimg:g} images, and one round at resolution "
        f"{last.resolution} has {round_images(run.growth, last)}. Raise --total-kimg, or lower "
        "--minibatch-repeats or --batch.")


def _rounded(kimg: float) -> float:
    """To four digits, for people who read them."""
    return float(f"{kimg:.4g}")
