"""What --metrics of train.py asks for: the door knows training and metrics, which are strangers."""

from pathlib import Path
from typing import TYPE_CHECKING

from metrics.names import LOWER_IS_BETTER, parse_metrics
from progan.config import Run
from progan.errors import UserError

if TYPE_CHECKING:
    import torch

    from progan.data.reader import Dataset
    from progan.training.snapshot_metrics import Measure


def require_metrics(run: Run) -> None:
    """Raise UserError unless --metrics names metrics, and --best one of them that has a best."""
    measured = {name for name, _ in parse_metrics(run.output.metrics).values()}
    ranked = [name for name in LOWER_IS_BETTER if name in measured]
    if run.output.best and run.output.best not in ranked:
        raise UserError(f"--best {run.output.best} is none of --metrics {run.output.metrics!r} "
                        f"that tell a best one. Add it there; {', '.join(LOWER_IS_BETTER)} do.")


def measures(run: Run, dataset: "Dataset", device: "torch.device") -> dict[str, "Measure"]:
    """What --metrics asks for, by name; raises UserError if it cannot be measured."""
    wishes = parse_metrics(run.output.metrics)
    if not wishes:
        return {}
    from metrics.detector import Setup, open_detector
    from metrics.in_training import measure_of, needs_detector, plan_of, reals_of, sources
    from progan.training.snapshot_metrics import Measure

    detector = None
    if any(needs_detector(name) for name, _ in wishes.values()):
        file = Path(run.output.detector) if run.output.detector else None
        detector = open_detector(file, "inception", device)
    setup, source_of = Setup(seed=run.seed, device=device, detector=detector), sources()
    reals = reals_of(dataset, run.network.max_level, mirror=run.data.mirror)
    found = {}
    for word, (name, count) in wishes.items():
        try:
            plan = plan_of(name, count, reals, setup)
        except UserError as error:
            raise UserError(f"--metrics {word}: {error}") from error
        found[word] = Measure(
            of=measure_of(plan, reals, setup, source_of), num_images=plan.num_images,
            best_column=LOWER_IS_BETTER[name] if name == run.output.best else "")
    return found
