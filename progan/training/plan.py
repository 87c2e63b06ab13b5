"""The plan of a run as a table (--dry-run)."""

import torch

from progan import networks, schedule
from progan.config import Run
from progan.networks.inspection import multiply_adds
from progan.runtime.files import human_bytes
from progan.runtime.text import format_count
from progan.training.memory import count_parameters, estimate_step_bytes
from progan.training.micro_batches import micro_batch_size
from progan.training.progress import resolution_label

HEADINGS = (
    "phase",
    "resolution",
    "from kimg",
    "to kimg",
    "batch",
    "lr G",
    "lr D",
    "GMAC/image",
    "memory",
)


def describe_plan(run: Run) -> str:
    """Describe the networks and each phase: resolution, images, batch, rates, memory."""
    rows = [
        _row(run, number, phase)
        for number, phase in enumerate(schedule.phases(run.growth, run.network), start=1)
    ]
    with torch.device("meta"):
        g = count_parameters(networks.build_generator(run.network))
        d = count_parameters(networks.build_discriminator(run.network))
    network, first = run.network, schedule.first_level(run.growth, run.network)
    return "\n".join(
        [
            f"Preset {run.preset}: {network.size(first)} to "
            f"{network.size(network.max_level)}, {format_count(network.channels, 'channel')}, "
            f"{format_count(network.label_size, 'class', 'classes', none='no')}, "
            f"{run.growth.total_kimg:g} kimg in all",
            f"Weights: generator {g:,}, discriminator {d:,}",
            "",
            format_table([HEADINGS, *rows]),
            "",
            "GMAC/image: billions of multiply-adds in one pass through both networks.",
            "memory: estimated peak of an iteration, without the libraries' own memory.",
        ]
    )


def _row(run: Run, number: int, phase: schedule.Phase) -> tuple[str, ...]:
    stage = phase.stage
    gmac = multiply_adds(run.network, stage.level) / 1e9
    return (
        str(number),
        resolution_label(stage, run.network),
        f"{phase.start_kimg:g}",
        f"{phase.end_kimg:g}",
        str(stage.batch),
        f"{stage.g_lr:g}",
        f"{stage.d_lr:g}",
        f"{gmac:.3g}",
        human_bytes(
            estimate_step_bytes(run, stage, micro_batch=micro_batch_size(run, stage.batch))
        ),
    )


def format_table(rows: list[tuple[str, ...]]) -> str:
    """Align the cells of each column to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
