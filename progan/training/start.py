"""The settings of a new run: preset or --init-from, what the dataset decides, and what must fit."""

from collections.abc import Container
from pathlib import Path
from typing import Any

from progan import presets, schedule
from progan.batch_split import require_splittable
from progan.config import Network, Run, override
from progan.data.reader import Dataset
from progan.data.splits import open_dataset, open_dataset_of_run
from progan.errors import UserError
from progan.runtime.text import format_count
from progan.training.gradients import require_micro_batch
from progan.training.init_from import (
    InitSource,
    Transfer,
    fades_first,
    find_init_source,
    inherited,
    load_init_source,
    transfer,
)
from progan.training.run_length import scale_schedule


def new_run_settings(
    preset: str | None,
    data: Path | None,
    init_from: Path | None,
    options: dict[str, Any],
    *,
    scaled: bool = False,
) -> tuple[Run, Dataset | None, Transfer | None]:
    """The run that preset, dataset and options make, and the layers that it begins with.

    Args:
        preset: Its name; None: the default, or the settings of the run that is begun with.
        init_from: A state, a network file or the directory of a run to begin with.
        options: Fields of the config, by name; they win.
        scaled: Whether the phases of the preset are scaled to the total.

    Raises:
        UserError: These do not go together.
    """
    if init_from and scaled:
        raise UserError(
            "--scale-schedule scales a preset that is trained from the beginning, and "
            "--init-from continues other networks. Name --training-kimg and "
            "--transition-kimg."
        )
    if init_from:
        return _with_networks_of(init_from, preset, data, options)
    run = override(presets.preset(preset or presets.DEFAULT), options)
    dataset = open_dataset(data, run.data.subset) if data else None
    run = fit_to_dataset(run, dataset, options) if dataset else run
    return scale_schedule(run, options) if scaled else run, dataset, None


def _with_networks_of(
    init_from: Path, preset: str | None, data: Path | None, options: dict[str, Any]
) -> tuple[Run, Dataset | None, Transfer]:
    """The run that begins with the networks of another one, whose settings it has by default."""
    origin = load_init_source(find_init_source(init_from))
    base = _base(origin, preset, data)
    dataset = _images_of(origin, data, options.get("subset", base.data.subset))
    own = dataset.resolution if data and dataset else origin.network.resolution
    resolution = options.get("resolution", own)
    run = override(base, inherited(origin, resolution) | options)
    if dataset:
        run = fit_to_dataset(run, dataset, ("resolution", "initial_resolution"))
    run = override(run, {"fade_first": options.get("fade_first", fades_first(origin, run))})
    return run, dataset, transfer(origin, run)


def _images_of(origin: InitSource, data: Path | None, subset: str) -> Dataset | None:
    """The dataset that is named, or else that of the origin's run; None if neither is known."""
    if data:
        return open_dataset(data, subset)
    if origin.run and origin.run.data.data:
        return open_dataset_of_run(origin.path.parent, origin.run.data.data, subset)
    return None


def _base(origin: InitSource, preset: str | None, data: Path | None) -> Run:
    """Settings beside those of the networks: the preset's or else the origin's own."""
    if preset or not origin.run:
        return presets.preset(preset or presets.DEFAULT)
    other_images = data and str(data.resolve()) != origin.run.data.data
    return override(origin.run, {"subset": ""}) if other_images else origin.run


def fit_to_dataset(run: Run, dataset: Dataset, given: Container[str]) -> Run:
    """Return the run with what the dataset decides, unless `given` names it: resolution, where
    to begin, and always shape, channels and classes."""
    resolution = run.network.resolution if "resolution" in given else dataset.resolution
    begin = run.growth.initial_resolution
    if resolution > dataset.resolution:
        raise UserError(
            f"--resolution {resolution} is more than {dataset.path} has: its images "
            f"are {dataset.info.top_size}, resolution {dataset.resolution}."
        )
    if run.data.conditional and not dataset.label_size:
        raise UserError(
            f"--conditional needs labels, and {dataset.path} has none. "
            "--no-conditional trains without."
        )
    return override(
        run,
        {
            "resolution": resolution,
            "initial_resolution": begin
            if "initial_resolution" in given
            else min(begin, resolution),
            "base_height": dataset.info.base.height,
            "base_width": dataset.info.base.width,
            "channels": dataset.channels,
            "label_size": dataset.label_size if run.data.conditional else 0,
            "data": str(dataset.path.resolve()),
            "fingerprint": dataset.fingerprint,
            "detector": run.output.detector and str(Path(run.output.detector).resolve()),
        },
    )


def require_images_of(saved: Run, run: Run, dataset: Dataset) -> None:
    """Raise UserError if the dataset's images are of another shape or kind than the run's."""
    was, now = saved.network, run.network
    if (was.base, was.channels, was.label_size) != (now.base, now.channels, now.label_size):
        raise UserError(
            f"The run was trained on images of {was.size(was.max_level)}x"
            f"{was.channels} with {_classes(was)}, and those of "
            f"{dataset.path} are {now.size(now.max_level)}x{now.channels} with "
            f"{_classes(now)}. Name the dataset of the run with --data, or "
            "start a new run."
        )


def _classes(network: Network) -> str:
    return format_count(network.label_size, "class", "classes", none="no")


def dataset_change_notes(saved: Run, run: Run) -> list[str]:
    """A line for the log if the images are not those that the run has trained with."""
    before, now = saved.data.fingerprint, run.data.fingerprint
    if before in ("", now):
        return []
    return [
        f"The images of {run.data.data} are not those that the run was trained with (their "
        f"fingerprint is {now}, it was {before}). It goes on with them."
    ]


def require_parts(run: Run, count: int) -> None:
    """Raise UserError unless every batch can be cut into parts as asked for: among `count`
    processes, and into --micro-batch."""
    stages = [phase.stage for phase in schedule.phases(run.growth, run.network)]
    require_splittable(run, {stage.resolution: stage.batch for stage in stages}, count)
    require_micro_batch(run, {stage.level: stage.batch // count for stage in stages})
