"""What a user should know of the settings of a run before it starts, one line each."""

from collections.abc import Mapping
from typing import Any

import torch

from progan.config import Run
from progan.runtime.torch_settings import use_threads
from progan.training.coverage import lower_resolution_note, shortfall
from progan.training.cpu_estimate import cpu_note, estimate_seconds, is_for_gpus
from progan.training.ineffective import ineffective_options
from progan.training.precision import precision_note
from progan.training.scaled_schedule import scaled_words


def advice(run: Run, explicit: Mapping[str, Any], device: torch.device, *, scaled: bool = False
           ) -> list[str]:
    """Return lines for the plan and the log.

    Args:
        explicit: The options that the user named, by the name of their setting.
        scaled: Whether the schedule was scaled.
    """
    lines = [scaled_words(run) if scaled else "", shortfall(run),
             "" if scaled else lower_resolution_note(run), precision_note(run, device)]
    return [*filter(None, lines), *ineffective_options(run, explicit)]


def plan_advice(run: Run, explicit: Mapping[str, Any], device: torch.device, *,
                scaled: bool = False) -> list[str]:
    """The same for --dry-run, which has no preflight: with an estimate of the time on a CPU."""
    lines = advice(run, explicit, device, scaled=scaled)
    if not is_for_gpus(run, device):
        return lines
    use_threads(run.threads)
    return [*lines, *filter(None, [cpu_note(run, device, estimate_seconds(run, device))])]
