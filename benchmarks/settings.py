"""Runs and stages that benchmarks measure."""

from progan import schedule
from progan.config import Run, override
from progan.schedule import Stage


def stages(run: Run) -> dict[int, Stage]:
    """The stages of a run by resolution, fully faded in."""
    return {
        phase.stage.resolution: phase.stage
        for phase in schedule.phases(run.growth, run.network)
        if not phase.stage.fading
    }


def stage_at(run: Run, resolution: int) -> Stage:
    """The stage of a run at one resolution, fully faded in."""
    return stages(run)[resolution]


def narrowed(run: Run, resolution: int) -> Run:
    """A run of the same kind that ends at another resolution."""
    return override(
        run,
        {
            "resolution": resolution,
            "initial_resolution": min(resolution, run.growth.initial_resolution),
        },
    )


def at_level(run: Run, resolution: int) -> Run:
    """A run that stays at one resolution for as long as anybody measures."""
    return override(
        run, {"resolution": resolution, "total_kimg": 1e9, "initial_resolution": resolution}
    )


def in_way(run: Run, way: str) -> Run:
    """A run computed in a way such as 'eager-graph-bf16': acceleration and precision."""
    acceleration, precision = way.rsplit("-", 1)
    return override(run, {"acceleration": acceleration, "precision": precision})
