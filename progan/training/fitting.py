"""Settings and dataset of a run, held against each other."""

from collections.abc import Container
from pathlib import Path

from progan import schedule
from progan.config import Network, Run, override
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.partition import require_shares
from progan.runtime.text import format_count
from progan.training.gradients import require_micro_batch


def fit(run: Run, dataset: Dataset, given: Container[str]) -> Run:
    """Return the run with what the dataset decides, unless `given` names it: resolution, where
    to begin, and always shape, channels and classes."""
    resolution = run.network.resolution if "resolution" in given else dataset.resolution
    begin = run.growth.initial_resolution
    if resolution > dataset.resolution:
        raise UserError(f"--resolution {resolution} is more than {dataset.path} has: its images "
                        f"are {dataset.info.top_size}, resolution {dataset.resolution}.")
    if run.data.conditional and not dataset.label_size:
        raise UserError(f"--conditional needs labels, and {dataset.path} has none. "
                        "--no-conditional trains without.")
    return override(run, {
        "resolution": resolution,
        "initial_resolution": begin if "initial_resolution" in given else min(begin, resolution),
        "base_height": dataset.info.base.height,
        "base_width": dataset.info.base.width,
        "channels": dataset.channels,
        "label_size": dataset.label_size if run.data.conditional else 0,
        "data": str(dataset.path.resolve()),
        "fingerprint": dataset.fingerprint,
        "detector": run.output.detector and str(Path(run.output.detector).resolve()),
    })


def require_images_of(saved: Run, run: Run, dataset: Dataset) -> None:
    """Raise UserError if the dataset's images are of another shape or kind than the run's."""
    was, now = saved.network, run.network
    if (was.base, was.channels, was.label_size) != (now.base, now.channels, now.label_size):
        raise UserError(f"The run was trained on images of {was.size(was.max_level)}x"
                        f"{was.channels} with {_classes(was)}, and those of "
                        f"{dataset.path} are {now.size(now.max_level)}x{now.channels} with "
                        f"{_classes(now)}. Name the dataset of the run with --data, or "
                        "start a new run.")


def _classes(network: Network) -> str:
    return format_count(network.label_size, "class", "classes", none="no")


def exchanged(saved: Run, run: Run) -> list[str]:
    """A line for the log if the images are not those that the run has trained with."""
    before, now = saved.data.fingerprint, run.data.fingerprint
    if before in ("", now):
        return []
    return [f"The images of {run.data.data} are not those that the run was trained with (their "
            f"fingerprint is {now}, it was {before}). It goes on with them."]


def require_parts(run: Run, count: int) -> None:
    """Raise UserError unless every batch can be cut into parts as asked for: among `count`
    processes, and into --micro-batch."""
    stages = [phase.stage for phase in schedule.phases(run.growth, run.network)]
    require_shares(run, {stage.resolution: stage.batch for stage in stages}, count)
    require_micro_batch(run, {stage.level: stage.batch // count for stage in stages})
