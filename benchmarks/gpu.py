"""Measure everything about a GPU in nine minutes, in the order of priority.

    python benchmarks/gpu.py --output results/h200                    nine minutes
    python benchmarks/gpu.py --output results/h200 --minutes 4        continue with what is missing
    python benchmarks/gpu.py --report results/h200                    the report, without a GPU
    python benchmarks/gpu.py --device cpu --minutes 1 --output /tmp/x rehearsal, tiny networks

Each measurement is a process of its own under a time limit, and each figure is a line of
results.jsonl as soon as it is known (benchmarks/isolated.py).
"""

import sys
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.gpu_plan import SCOPES, plan
from benchmarks.isolated import Part, append_line, read_lines, require_results_folder, run_parts
from benchmarks.report import PATH, command_line_of, peer_option
from progan.command import Command
from progan.errors import UserError
from progan.runtime.torch_settings import set_omp_passive

PLANNED_MINUTES = 9.0
# torch._dynamo: the optimizers import it, which would take a second in each process.
PRELOAD = (
    "torch",
    "torch._dynamo",
    *(f"benchmarks.gpu_{name}" for name in ("speed", "correctness", "training")),
)


# fmt: off
@click.command(cls=Command)
@click.option("--minutes", type=click.FloatRange(0.01, 24 * 60), default=PLANNED_MINUTES,
    show_default=True, help="Time limit; what is not measured by then is left for another call.")
@click.option("--output", type=PATH,
    help="Folder of the results; a second call with it measures what is missing.")
@peer_option
@click.option("--parts", help="Only these parts, in this order, e.g. machine,steps.")
@click.option("--skip", help="Skip these parts.")
@click.option("--retry", is_flag=True, help="Repeat tasks that failed or were stopped.")
@click.option("--device", type=click.Choice(sorted(SCOPES)), default="cuda", show_default=True,
    help="cpu: a rehearsal with tiny networks.")
@click.option("--plan", "only_plan", is_flag=True, help="Print the plan and exit.")
@click.option("--report", "reported", type=PATH, metavar="DIR",
    help="Print the report of the results in a folder, and write it there as results.md; needs no "
    "GPU.")
# fmt: on
def main(
    *,
    minutes: float,
    output: Path | None,
    peers: tuple[Path, ...],
    parts: str | None,
    skip: str | None,
    retry: bool,
    device: str,
    only_plan: bool,
    reported: Path | None,
) -> None:
    """Measure correctness and speed on a GPU, in the order of priority."""
    if reported:
        from benchmarks.gpu_report import write_report

        click.echo(write_report(reported))
        return
    chosen = select(
        plan(device, (output or Path()).resolve(), [peer.resolve() for peer in peers]), parts, skip
    )
    if only_plan:
        click.echo(format_plan(chosen, minutes))
        return
    if output is None:
        raise UserError(
            "Name a folder for the results with --output, or the folder of earlier ones with "
            "--report."
        )
    set_omp_passive()
    results = require_results_folder(output)
    require_same_device(results, device)
    call = {"event": "call", "part": "", "task": "", "device": device}
    append_line(results, call | {"command": command_line_of("gpu")})
    click.echo(format_plan(chosen, minutes))
    before = len(read_lines(results))
    run_parts(chosen, results, 60 * minutes, click.echo, PRELOAD, retry=retry)
    added = [line["event"] for line in read_lines(results)[before:]]
    if "failed" in added and "measured" not in added:
        raise UserError(
            "Nothing could be measured; the reasons are above. Repeat the command with --retry "
            "when they are fixed."
        )
    click.echo(f"Results are in {results}. Report: python benchmarks/gpu.py --report {output}")


def select(parts: list[Part], names: str | None, skipped: str | None) -> list[Part]:
    """Return the requested parts; raises UserError for an unknown or empty one."""
    by_name = {part.name: part for part in parts if part.tasks}
    for option, text in (("--parts", names), ("--skip", skipped)):
        for name in text.split(",") if text else ():
            if name not in {part.name for part in parts}:
                raise UserError(
                    f"{option} {text}: no such part: {name!r}. Parts: "
                    f"{', '.join(part.name for part in parts)}."
                )
            if name not in by_name:
                raise UserError(
                    f"{option} {text}: {name} has nothing to measure"
                    f"{'; name checkouts with --peer' * (name == 'peers')}."
                )
    chosen = [by_name[name] for name in names.split(",")] if names else list(by_name.values())
    return [part for part in chosen if part.name not in (skipped or "").split(",")]


def format_plan(parts: list[Part], minutes: float) -> str:
    """Format a table of parts: start, planned seconds, tasks."""
    whole = sum(part.seconds for part in parts)
    rows, start = [], 0.0
    for part in parts:
        seconds = 60 * minutes * part.seconds / whole
        rows.append(
            f"{start / 60:5.1f} min  {seconds:4.0f} s  {part.name}: "
            f"{', '.join(task.name for task in part.tasks)}"
        )
        start += seconds
    return "\n".join(rows)


def require_same_device(results: Path, device: str) -> None:
    """Raise UserError if a folder holds results of another device."""
    others = {line["device"] for line in read_lines(results) if line["event"] == "call"}
    if others - {device}:
        raise UserError(
            f"{results} has results of --device {others.pop()}. Name another folder with --output."
        )


if __name__ == "__main__":
    main()
