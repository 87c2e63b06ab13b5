"""What train.py refuses before it imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metrics.names import LOWER_IS_BETTER, parse_metrics
from progan import presets, run_directory
from progan.config import Run, override
from progan.errors import UserError
from progan.invocation import command
from progan.runtime.files import require_detector, require_paths, require_writable_folder

if TYPE_CHECKING:
    import torch

    from progan.data.reader import Dataset
    from progan.training.snapshot_metrics import Measure


def require_start(
    outdir: Path,
    preset: str | None,
    data: Path | None,
    init_from: Path | None,
    options: Mapping[str, Any],
    *,
    dry_run: bool,
) -> None:
    """Raise UserError if a new run cannot begin: wrong options, missing or unwritable paths."""
    if preset or not init_from:
        run = presets.preset(preset or presets.DEFAULT)
        if not init_from:
            run = override(run, options)
            _require_nothing_frozen(run)
        _require_settings(run, options)
    require_paths([init_from], "Name the file or the run to begin with by --init-from.")
    if data is not None:
        _require_dataset(data)
    elif not (dry_run or init_from):
        raise UserError(
            "Which images? Name a dataset with --data DIR; "
            f"{command('dataset')} makes one. (--resume continues a run, --dry-run "
            "needs no dataset.)"
        )
    if not dry_run:
        require_writable_folder(outdir, "--outdir")


def require_resumption(
    path: Path, data: Path | None, options: Mapping[str, Any], *, dry_run: bool
) -> None:
    """Raise UserError if a run cannot go on: no run, wrong options, no images, or unwritable.

    Args:
        path: The directory of a run, or of runs, or a state file.
    """
    found = run_directory.find(path)
    directory = found if found.is_dir() else found.parent
    if not (directory / run_directory.CONFIG_FILE).is_file():
        return  # a file of something else, which is told with what it is
    run = override(run_directory.load_config(directory), options)
    _require_settings(run, options)
    if data:
        _require_dataset(data)
    elif run.data.data:
        _require_dataset_of(directory, run.data.data)
    if not dry_run:
        require_writable_folder(directory, "--resume")


def _require_nothing_frozen(run: Run) -> None:
    if run.optim.freeze_d:
        raise UserError(
            f"--freeze-d {run.optim.freeze_d} keeps weights that were trained before: "
            "it needs --init-from."
        )


def _require_settings(run: Run, options: Mapping[str, Any]) -> None:
    require_metrics(run)
    if options.get("detector"):
        require_detector(Path(options["detector"]))


def _require_dataset(data: Path) -> None:
    from progan.data.reader import Dataset

    Dataset.open(data)


def _require_dataset_of(directory: Path, stored: str) -> None:
    from progan.data.splits import open_images_of_run

    open_images_of_run(directory, stored, "")


def require_metrics(run: Run) -> None:
    """Raise UserError unless --metrics names metrics, and --best one of them that has a best."""
    measured = {name for name, _ in parse_metrics(run.output.metrics).values()}
    ranked = [name for name in LOWER_IS_BETTER if name in measured]
    if run.output.best and run.output.best not in ranked:
        raise UserError(
            f"--best {run.output.best} is none of --metrics {run.output.metrics!r} "
            f"that tell a best one. Add it there; {', '.join(LOWER_IS_BETTER)} do."
        )


def measures(run: Run, dataset: "Dataset", device: "torch.device") -> dict[str, "Measure"]:
    """What --metrics asks for, by name; raises UserError if it cannot be measured."""
    wishes = parse_metrics(run.output.metrics)
    if not wishes:
        return {}
    from metrics.detector import MetricContext, open_detector
    from metrics.snapshot_metrics import (
        make_snapshot_metric,
        needs_detector,
        plan_snapshot_metric,
        share_sources,
        training_source,
    )
    from progan.training.snapshot_metrics import Measure

    detector = None
    if any(needs_detector(name) for name, _ in wishes.values()):
        file = Path(run.output.detector) if run.output.detector else None
        detector = open_detector(file, "inception", device)
    context, source_of = (
        MetricContext(seed=run.seed, device=device, detector=detector),
        share_sources(),
    )
    reals = training_source(dataset, run.network.max_level, mirror=run.data.mirror)
    found = {}
    for word, (name, count) in wishes.items():
        try:
            plan = plan_snapshot_metric(name, count, reals, context)
        except UserError as error:
            raise UserError(f"--metrics {word}: {error}") from error
        found[word] = Measure(
            of=make_snapshot_metric(plan, reals, context, source_of),
            num_images=plan.num_images,
            best_column=LOWER_IS_BETTER[name] if name == run.output.best else "",
        )
    return found
