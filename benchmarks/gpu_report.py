"""Write the report of `benchmarks/gpu.py` from its result lines."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_plan import GPU, SCOPES, plan
from benchmarks.isolated import ENDS, Line, latest_figures, read_lines
from benchmarks.report import format_table
from benchmarks.workload import stage_at, step_cost
from progan import schedule
from progan.config import Run
from progan.errors import UserError
from progan.runtime.text import format_duration

BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
AIM_HOURS = 10.0  # for v2-1gpu, 12,000 kimg up to 1024x1024
STEP_PARTS = ("steps", "compiled steps", "other compiled steps")
STEP_HEADINGS = (
    *("resolution", "way", "batch", "ms", "range", "img/s", "GiB"),
    *("of FLOP/s", "of copies"),
)
Rows = list[Sequence[str]]


def write_report(folder: Path) -> str:
    """Return the report of the results in a folder, and write it there as results.md.

    Raises UserError if there are no results.
    """
    lines = read_lines(folder / "results.jsonl")
    calls = [line for line in lines if line["event"] == "call"]
    if not calls:
        raise UserError(f"{folder} has no results of benchmarks/gpu.py (results.jsonl).")
    page = "\n\n".join(_sections(lines, calls)) + "\n"
    (folder / "results.md").write_text(page, "utf-8")
    return page


def _sections(lines: Sequence[Line], calls: Sequence[Line]) -> Iterable[str]:
    run = SCOPES[calls[-1]["device"]].run
    steps = step_rows(lines)
    ceilings = _ceilings(lines)
    yield _machine(lines, calls)
    yield from _section("Correctness", _correctness(lines))
    yield from _section("Steps", _steps(steps, run, ceilings))
    yield from _section("Compilation", _compilation(lines))
    yield from _section("A whole training", _projection(steps, run))
    yield from _section("Other projects", _peers(lines))
    yield from _section("Data and images", _data(lines))
    yield from _section("A training of portraits", _training(lines))
    yield from _section("Failed and missing tasks", _missing(lines, calls))


def _section(title: str, text: str) -> Iterable[str]:
    if text:
        yield f"## {title}\n\n{text}"


def _machine(lines: Sequence[Line], calls: Sequence[Line]) -> str:
    (found, *_) = [
        *(line for line in latest_figures(lines, "machine") if line["name"] == "machine"),
        {"device": f"{calls[-1]['device']} (its part was not measured)"},
    ]
    machine = found.get("machine", {})
    details = [
        f"{key} {found[key]}" for key in ("driver", "cuda", "cudnn", "processors") if key in found
    ]
    details += [
        f"{key} {machine[key]}" for key in ("torch", "python", "threads", "cpu") if key in machine
    ]
    ceilings = _ceilings(lines)
    limits = ", ".join(
        f"copies {value / 1e12:.3g} TB/s"
        if name == "copy"
        else f"{name} products {value / 1e12:.3g} TFLOP/s"
        for name, value in ceilings.items()
    )
    commands = "\n".join(f"    {line['command']}" for line in calls)
    return f"# {found['device']}\n\n{', '.join(details)}.\n\nCeilings: {limits}.\n\n{commands}"


def _ceilings(lines: Sequence[Line]) -> dict[str, float]:
    """Return operations per second by precision, and bytes copied per second as 'copy'."""
    return {
        line["name"]: line.get("flop_per_second") or line["bytes_per_second"]
        for line in latest_figures(lines, "machine")
        if line["name"] != "machine"
    }


def _correctness(lines: Sequence[Line]) -> str:
    """Format errors relative to float64, their limits, and the tests that failed."""
    rows: Rows = []
    for line in latest_figures(lines, "correctness"):
        errors = line.get("errors", {"error": line["error"]} if "error" in line else {})
        worst = max(errors, key=lambda name: float(errors[name])) if errors else ""
        rows.append(
            (
                line["task"],
                line["name"],
                "yes" if line["ok"] else "**no**",
                f"{float(errors[worst]):.1e} ({worst})" if worst else "",
                f"{line['limit']:g}" if "limit" in line else "",
                "; ".join(line.get("messages", ())),
            )
        )
    text = format_table(("task", "case", "ok", "largest relative error", "limit", ""), rows)
    for line in latest_figures(lines, "tests"):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in line["counts"].items())
        text += f"\n\nTests that need a GPU: {counts or line['message']}." + "".join(
            f"\n* {failure}" for failure in line["failures"]
        )
    return text.strip()


def step_rows(lines: Sequence[Line]) -> list[Line]:
    """Return the figures of steps, by resolution."""
    found = [line for part in STEP_PARTS for line in latest_figures(lines, part)]
    return sorted(found, key=lambda line: line["resolution"])


def _steps(steps: Sequence[Line], run: Run, ceilings: Mapping[str, float]) -> str:
    rows: Rows = []
    for line in steps:
        precision = line["name"].rsplit("-", 1)[1]
        start = (
            str(line["resolution"]),
            line["name"] + ", cudnn.benchmark" * line.get("cudnn_benchmark", False),
        )
        if line.get("out_of_memory"):
            rows.append((*start, "out of memory", *[""] * 6))
            continue
        stage = stage_at(run, line["resolution"])
        flops, elements = step_cost(run, stage)
        median = statistics.median(line["seconds"])
        spread = (max(line["seconds"]) - min(line["seconds"])) / median
        rows.append(
            (
                *start, str(line["batch"]), f"{1000 * median:.3g}", f"{100 * spread:.0f} %",
                f"{line['images_per_second']:.3g}", f"{line['peak_bytes'] / 2**30:.2f}",
                share(flops / median, ceilings.get(precision)),
                share(elements * BYTES[precision] / median, ceilings.get("copy")),
            ),
        )  # fmt: skip
    messages = {note for line in steps for note in line.get("messages", ())}
    notes = sorted(note for note in messages if "compil" not in note)
    return "\n\n".join(filter(None, [format_table(STEP_HEADINGS, rows), *notes]))


def share(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _compilation(lines: Sequence[Line]) -> str:
    return format_table(
        ("resolution", "way", "s"),
        [
            (str(line["resolution"]), line["name"], f"{line['compile_seconds']:.0f}")
            for part in ("compilation", "other compilation")
            for line in latest_figures(lines, part)
            if "compile_seconds" in line
        ],
    )


def _projection(steps: Sequence[Line], run: Run) -> str:
    """Project the preset's hours in each variant, and with the fastest at each resolution."""
    phases = schedule.iterate_phases(run.growth, run.network)
    resolutions = list(dict.fromkeys(phase.stage.resolution for phase in phases))
    speeds: dict[str, dict[int, float]] = {}
    for line in steps:
        if "images_per_second" in line and not line.get("cudnn_benchmark"):
            speeds.setdefault(line["name"], {})[line["resolution"]] = line["images_per_second"]
    if not speeds:
        return ""
    fastest = {
        each: max((found[each], way) for way, found in speeds.items() if each in found)
        for each in resolutions
        if any(each in found for found in speeds.values())
    }
    best_speeds = {each: speed for each, (speed, _) in fastest.items()}
    is_complete = len(fastest) == len(resolutions)
    if is_complete:
        speeds["the fastest at each resolution"] = best_speeds
    rows = [_projected_row(way, found, resolutions, run) for way, found in speeds.items()]
    paragraphs = [format_table(("way", "growing", "without growing", "times as long"), rows)]
    if is_complete and run.network == GPU.run.network:
        hours = growing_seconds(run, best_speeds) / 3600
        paragraphs.append(
            f"{run.preset}, {run.growth.total_kimg:g} kimg: {hours:.1f} hours; the aim of "
            f"{AIM_HOURS:g} is {'reached' if hours <= AIM_HOURS else 'missed'}."
        )
    variants = {each: way.rsplit("-", 1) for each, (_, way) in fastest.items()}
    table = {each: acceleration for each, (acceleration, _) in variants.items()}
    precisions = ", ".join(f"{each}: {precision}" for each, (_, precision) in variants.items())
    paragraphs.append(
        "Fastest, for FASTEST_ON_CUDA of progan/training/acceleration.py: "
        f"`{table}`; precisions: {precisions}."
    )
    return "\n\n".join(paragraphs)


def _projected_row(
    way: str, found: Mapping[int, float], resolutions: Sequence[int], run: Run
) -> Sequence[str]:
    if missing := [each for each in resolutions if each not in found]:
        return way, f"not measured at {', '.join(map(str, missing))}", "", ""
    growing, flat = growing_seconds(run, found), whole_seconds(run, found)
    return way, format_duration(growing), format_duration(flat), f"{flat / growing:.2f}"


def growing_seconds(run: Run, images_per_second: Mapping[int, float]) -> float:
    """Return the seconds of all phases; fades count as the resolution that they lead to."""
    return sum(seconds_by_resolution(run, images_per_second).values())


def seconds_by_resolution(run: Run, images_per_second: Mapping[int, float]) -> dict[int, float]:
    """Return the seconds of a run at each resolution."""
    spent: dict[int, float] = {}
    for phase in schedule.iterate_phases(run.growth, run.network):
        resolution, kimg = phase.stage.resolution, phase.end_kimg - phase.start_kimg
        spent[resolution] = (
            spent.get(resolution, 0.0) + 1000 * kimg / (images_per_second[resolution])
        )
    return spent


def whole_seconds(run: Run, images_per_second: Mapping[int, float]) -> float:
    """Return the seconds of equally many images at the final resolution alone."""
    return 1000 * run.growth.total_kimg / images_per_second[run.network.resolution]


def _peers(lines: Sequence[Line]) -> str:
    rows: Rows = []
    for line in latest_figures(lines, "peers"):
        rows.append(
            (
                str(line["resolution"]),
                line["name"],
                str(line["batch"]),
                f"{1000 * statistics.median(line['seconds']):.3g}",
                f"{line['images_per_second']:.3g}",
            )
        )
    return format_table(("resolution", "", "batch", "ms", "img/s"), rows)


def _data(lines: Sequence[Line]) -> str:
    rows: Rows = [
        (
            "training from " + line["name"],
            str(line["resolution"]),
            f"{line['images_per_second']:.3g}",
            f"{100 * line['data_wait']:.1f} %",
        )
        for line in latest_figures(lines, "data")
    ]
    rows += [
        ("images " + line["name"], str(line["resolution"]), f"{line['images_per_second']:.3g}", "")
        for line in latest_figures(lines, "images")
    ]
    return format_table(("", "resolution", "img/s", "waits for data"), rows)


def _training(lines: Sequence[Line]) -> str:
    for line in latest_figures(lines, "training"):
        if line["name"] != "run":
            continue
        hours = [(row["progress/kimg"], row["progress/hours"]) for row in line["stats"]]
        rows: Rows = [
            (f"{row['kimg']:g}", _time_at(hours, row["kimg"]), _values(row))
            for row in line["metrics"]
            if "kimg" in row
        ]
        size, time = line["resolution"], format_duration(line["seconds"][0])
        return (
            f"{size}x{size}, {line['total_kimg']:g} kimg in {time}; images are in "
            "`training/`.\n\n" + format_table(("kimg", "after", "metric"), rows)
        ).strip()
    return ""


def _time_at(hours: Sequence[tuple[float, float]], kimg: float) -> str:
    """Return the time at which a run had seen so many thousand images."""
    return next((format_duration(3600 * time) for seen, time in hours if seen >= kimg - 1e-6), "")


def _values(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}"
        for name, value in row.get("values", row).items()
        if isinstance(value, float) and name != "kimg"
    )


def _missing(lines: Sequence[Line], calls: Sequence[Line]) -> str:
    """Format the tasks that did not finish, with their messages."""
    ends = {(line["part"], line["task"]): line for line in lines if line["event"] in ENDS}
    started = {(line["part"], line["task"]) for line in lines if line["event"] == "started"}
    rows: Rows = []
    for part in plan(calls[-1]["device"], Path(), []):
        for task in part.tasks:
            key = (part.name, task.name)
            if key in ends and ends[key]["event"] == "finished":
                continue
            status = ends[key]["event"] if key in ends else "not measured"
            if key in started - ends.keys():
                status = "interrupted"
            message = ends.get(key, {}).get("message", "").strip().splitlines()
            rows.append((*key, status, message[-1].replace("|", "\\|") if message else ""))
    return format_table(("part", "task", "", ""), rows)
