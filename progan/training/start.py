"""Settings of a new run: from a preset or --init-from, and from the dataset."""

from pathlib import Path
from typing import Any

from progan import presets, schedule
from progan.batch_split import require_splittable
from progan.config import Network, Run, override
from progan.data.reader import Dataset, open_dataset, open_dataset_of_run
from progan.errors import UserError
from progan.runtime.text import format_count
from progan.training.gradients import require_micro_batch
from progan.training.init_from import (
    InitSource,
    Transfer,
    can_fade_first,
    find_init_source,
    inherit_settings,
    load_init_source,
    plan_transfer,
)
from progan.training.run_length import scale_schedule


def resolve_new_run(
    preset: str | None,
    data: Path | None,
    init_from: Path | None,
    options: dict[str, Any],
    *,
    scaled: bool = False,
) -> tuple[Run, Dataset | None, Transfer | None]:
    """Return the run of preset, dataset and options, its dataset, and its --init-from transfer.

    Args:
        preset: Its name; None: the default, or the settings of the --init-from run.
        init_from: A state, a network file, also of another program, or the directory of a run.
        options: Fields of the config, by name; they take precedence.
        scaled: Scale the phases of the preset to the total.

    Raises:
        UserError: The arguments contradict each other.
    """
    if init_from and scaled:
        raise UserError(
            "--scale-schedule scales a preset that is trained from the beginning, and "
            "--init-from continues other networks. Set --training-kimg and "
            "--transition-kimg."
        )
    if init_from:
        return _resolve_from_source(init_from, preset, data, options)
    run = presets.preset(preset or presets.DEFAULT)
    dataset = open_dataset(data, options.get("subset", run.data.subset)) if data else None
    run = presets.change_preset(run, options, dataset.resolution if dataset else None)
    run = fit_to_dataset(run, dataset) if dataset else run
    return scale_schedule(run, options) if scaled else run, dataset, None


def _resolve_from_source(
    init_from: Path, preset: str | None, data: Path | None, options: dict[str, Any]
) -> tuple[Run, Dataset | None, Transfer]:
    """Return a run that is initialised from another one, with its settings by default."""
    source = load_init_source(find_init_source(init_from))
    base = _choose_base_settings(source, preset, data)
    dataset = _open_dataset(source, data, options.get("subset", base.data.subset))
    own = dataset.resolution if data and dataset else source.network.resolution
    resolution = options.get("resolution", own)
    run = override(base, inherit_settings(source, resolution) | options)
    if dataset:
        run = fit_to_dataset(run, dataset)
    run = override(run, {"fade_first": options.get("fade_first", can_fade_first(source, run))})
    return run, dataset, plan_transfer(source, run)


def _open_dataset(source: InitSource, data: Path | None, subset: str) -> Dataset | None:
    """Open the dataset in `data`, or else that of the source's run; None if neither is known."""
    if data:
        return open_dataset(data, subset)
    if source.run and source.run.data.data:
        return open_dataset_of_run(source.path.parent, source.run.data.data, subset)
    return None


def _choose_base_settings(source: InitSource, preset: str | None, data: Path | None) -> Run:
    """Return the settings other than those of the networks: the preset's, or else the source's."""
    if preset or not source.run:
        return presets.preset(preset or presets.DEFAULT)
    other_images = data and str(data.resolve()) != source.run.data.data
    return override(source.run, {"subset": ""}) if other_images else source.run


def fit_to_dataset(run: Run, dataset: Dataset) -> Run:
    """Return the run with the shape, channels and classes of the dataset; raises UserError."""
    resolution = run.network.resolution
    if resolution > dataset.resolution:
        raise UserError(
            f"The resolution of the networks, {resolution}, is higher than that of "
            f"{dataset.path}: its images are {dataset.info.top_size}, resolution "
            f"{dataset.resolution}. Choose --resolution {dataset.resolution} or less, or make the "
            "dataset again with a higher one."
        )
    if run.data.conditional and not dataset.label_size:
        raise UserError(
            f"--conditional needs labels, and {dataset.path} has none. A new run with "
            "--no-conditional trains without."
        )
    return override(
        run,
        {
            "base_height": dataset.info.base.height,
            "base_width": dataset.info.base.width,
            "channels": dataset.channels,
            "label_size": dataset.label_size if run.data.conditional else 0,
            "data": str(dataset.path.resolve()),
            "fingerprint": dataset.fingerprint,
            "detector": run.output.detector and str(Path(run.output.detector).resolve()),
        },
    )


def require_same_image_shape(saved: Run, run: Run, dataset: Dataset) -> None:
    """Raise UserError if shape, channels or classes of the dataset are not those of the run."""
    was, now = saved.network, run.network
    if run.data.conditional != saved.data.conditional:
        option = "--conditional" if run.data.conditional else "--no-conditional"
        raise UserError(
            f"The networks of the run were built for {_describe_classes(was)}: {option} needs a "
            "new run."
        )
    if (was.base, was.channels, was.label_size) != (now.base, now.channels, now.label_size):
        raise UserError(
            f"The run was trained on images of {was.size(was.max_level)}x"
            f"{was.channels} with {_describe_classes(was)}, and those of "
            f"{dataset.path} are {now.size(now.max_level)}x{now.channels} with "
            f"{_describe_classes(now)}. Pass the dataset of the run to --data, or "
            "start a new run."
        )


def _describe_classes(network: Network) -> str:
    return format_count(network.label_size, "class", "classes", none="no")


def list_dataset_changes(saved: Run, run: Run) -> list[str]:
    """Return one line if the dataset has other images than when the run was saved, else []."""
    before, now = saved.data.fingerprint, run.data.fingerprint
    if before in ("", now):
        return []
    return [
        f"The images of {run.data.data} are not those that the run was trained with (their "
        f"fingerprint is {now}, it was {before}). Training continues with them."
    ]


def require_batch_split(run: Run, count: int) -> None:
    """Raise UserError unless every batch can be split among `count` processes and into
    --micro-batch, and is large enough for --d-norm."""
    # The first round may be of a level that has no phase, with --training-kimg 0.
    first = schedule.stage_at(run.growth, run.network, 0)
    phases = schedule.iterate_phases(run.growth, run.network)
    stages = [first, *(phase.stage for phase in phases)]
    require_splittable(run, {stage.resolution: stage.batch for stage in stages}, count)
    require_micro_batch(run, {stage.level: stage.batch // count for stage in stages})
    _require_batches_to_normalize(run, {stage.resolution: stage.batch // count for stage in stages})


def _require_batches_to_normalize(run: Run, sizes: dict[int, int]) -> None:
    """Raise UserError for batches of one image, by resolution, that D cannot normalize."""
    has_single = [resolution for resolution, size in sizes.items() if size < 2]
    if has_single and run.network.kind == "progressive" and run.network.d_norm == "batch":
        raise UserError(
            "--d-norm batch needs at least 2 images on each device, and resolution "
            f"{has_single[0]} has a batch of 1. Choose a larger --batch or --batch-at, or "
            "--d-norm layer."
        )
