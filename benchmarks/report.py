"""Common parts of benchmark scripts: options, preparation, results as JSON and Markdown."""

import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from progan.errors import UserError
from progan.runtime.torch_settings import set_omp_passive, set_up_cpu

if TYPE_CHECKING:
    import torch  # imported late: gpu.py --plan needs none

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"
PATH = click.Path(path_type=Path)
SECONDS = click.FloatRange(0.001, 3600)
preset_option = click.option("--preset", default="v2-1gpu", show_default=True)
# fmt: off
resolutions_option = click.option("--resolutions",
    help="Some of the preset's, e.g. 16,64; all if not given.")
batch_option = click.option("--batch", type=click.IntRange(1),
    help="Another batch size than the preset's.")
threads_option = click.option("--threads", type=click.IntRange(0, 1024), default=0,
    help="CPU threads; 0: as torch chooses.")
output_option = click.option("--output", type=PATH, help="Path of the result files, no suffix.")
json_option = click.option("--json", "json_file", type=PATH, help="Result file to write.")
peer_option = click.option("--peer", "peers", type=PATH, multiple=True, metavar="DIR",
    help="Checkout of pytorch_GAN_zoo or pro_gan_pytorch, to be timed at the same widths; "
    "repeatable.")
# fmt: on


def prepare(device: str, output: Path | None, threads: int = 0) -> "torch.device":
    """Check --output, set up CPU threads, and return the device of --device."""
    require_writable_output(output)
    set_omp_passive()
    from progan.runtime import devices

    set_up_cpu(threads)
    return devices.choose_device(device)


def require_writable_output(output: Path | None) -> None:
    """Raise UserError where results could not be written, before anything is timed."""
    if output and not (output.name and os.access(output.parent, os.W_OK)):
        raise UserError(
            f"--output {output}: cannot write there. Name a file without suffix in an existing, "
            "writable folder."
        )


def describe_machine() -> dict[str, str]:
    """Return processor, threads and versions."""
    import numpy as np
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
    return {
        "cpu": model or platform.processor(),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def describe_run(script: str, device: "torch.device", preset: str) -> dict[str, Any]:
    """Return command, device, machine and preset of a result."""
    from progan.runtime import devices

    return {
        "command": command_line_of(script),
        "device": devices.describe_device(device),
        "machine": describe_machine(),
        "preset": preset,
    }


def command_line_of(script: str) -> str:
    """Return the command line, with paths shortened to their names."""
    arguments = [Path(word).name if "/" in word else word for word in sys.argv[1:]]
    return " ".join(["python", f"benchmarks/{script}.py", *arguments])


def write_json(file: Path, result: object) -> None:
    file.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def format_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table; '' without rows."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) if lines[2:] else ""


def format_spread(values: Sequence[float]) -> str:
    """Format minimum, median and maximum."""
    return ", ".join(f"{x:.3g}" for x in (min(values), statistics.median(values), max(values)))


def format_page(
    result: dict[str, Any], notes: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """Format the results as Markdown: machine, preset, notes, command and table."""
    where = result["machine"]
    head = (
        f"{result['device']}, {where['cpu']}, {where['threads']} threads, torch "
        f"{where['torch']}, Python {where['python']}; preset {result['preset']}. {notes}"
    )
    return f"{head}\n\n    {result['command']}\n\n{format_table(headings, rows)}\n"


def save_results(kind: str, result: dict[str, Any], text: str, output: Path | None) -> None:
    """Write results/<kind>-<device>.json and .md, or the files that `output` names."""
    where = output or RESULTS / slug(f"{kind} {result['device']}")
    json_file, page = (where.with_name(where.name + suffix) for suffix in (".json", ".md"))
    write_json(json_file, result)
    page.write_text(text, "utf-8")
    click.echo(f"{json_file}\n{page}")


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
