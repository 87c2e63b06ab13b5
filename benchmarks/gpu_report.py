"""The page of what `benchmarks/gpu.py` measured, from its lines alone."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import GPU, SCOPES, plan
from benchmarks.isolated import ENDS, Line, latest_figures, read_lines
from benchmarks.workload import stage_at, step_cost
from progan import schedule
from progan.config import Run
from progan.errors import UserError
from progan.runtime.log import human_seconds

BYTES = {"fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2}
AIM_HOURS = 10.0  # of v2-1gpu, 12,000 kimg up to 1024x1024
STEP_PARTS = ("steps", "compiled steps", "other compiled steps")
Rows = list[Sequence[str]]


def write_report(folder: Path) -> str:
    """Return the page of the results in a folder, and write it there as results.md.

    Raises UserError if there are none.
    """
    lines = read_lines(folder / "results.jsonl")
    calls = [line for line in lines if line["event"] == "call"]
    if not calls:
        raise UserError(f"{folder} holds no results of benchmarks/gpu.py (results.jsonl).")
    page = "\n\n".join(_sections(lines, calls)) + "\n"
    (folder / "results.md").write_text(page, "utf-8")
    return page


def _sections(lines: Sequence[Line], calls: Sequence[Line]) -> Iterable[str]:
    run = SCOPES[calls[-1]["device"]].run
    steps = step_rows(lines)
    ceilings = _ceilings(lines)
    yield _machine(lines, calls)
    yield from _titled("Correctness", _correctness(lines))
    yield from _titled("Steps", _steps(steps, run, ceilings))
    yield from _titled("Compilation", _compilation(lines))
    yield from _titled("A whole training", _projection(steps, run))
    yield from _titled("Other projects", _peers(lines))
    yield from _titled("Data and pictures", _data(lines))
    yield from _titled("A training of portraits", _training(lines))
    yield from _titled("What failed, and what is missing", _missing(lines, calls))


def _titled(title: str, text: str) -> Iterable[str]:
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
    """Operations per second by precision, and bytes copied per second as 'copy'."""
    return {
        line["name"]: line.get("flop_per_second") or line["bytes_per_second"]
        for line in latest_figures(lines, "machine")
        if line["name"] != "machine"
    }


def _correctness(lines: Sequence[Line]) -> str:
    """Errors relative to float64, and whether they are within their limits."""
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
                "; ".join(line.get("told", ())),
            )
        )
    text = markdown(("task", "what", "right", "largest relative error", "limit", ""), rows)
    for line in latest_figures(lines, "tests"):
        counts = ", ".join(f"{count} {outcome}" for outcome, count in line["counts"].items())
        text += f"\n\nTests that need a GPU: {counts or line['message']}." + "".join(
            f"\n* {failure}" for failure in line["failures"]
        )
    return text.strip()


def step_rows(lines: Sequence[Line]) -> list[Line]:
    """The figures of steps, by resolution."""
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
                *start,
                str(line["batch"]),
                f"{1000 * median:.3g}",
                f"{100 * spread:.0f} %",
                f"{line['images_per_second']:.3g}",
                f"{line['peak_bytes'] / 2**30:.2f}",
                share(flops / median, ceilings.get(precision)),
                share(elements * BYTES[precision] / median, ceilings.get("copy")),
            )
        )
    notes = sorted(
        {told for line in steps for told in line.get("told", ()) if "compil" not in told}
    )
    return "\n\n".join(
        filter(
            None,
            [
                markdown(
                    (
                        "resolution",
                        "way",
                        "batch",
                        "ms",
                        "range",
                        "img/s",
                        "GiB",
                        "of FLOP/s",
                        "of copies",
                    ),
                    rows,
                ),
                *notes,
            ],
        )
    )


def share(part: float, whole: float | None) -> str:
    return f"{100 * part / whole:.0f} %" if whole else ""


def _compilation(lines: Sequence[Line]) -> str:
    return markdown(
        ("resolution", "way", "s"),
        [
            (str(line["resolution"]), line["name"], f"{line['compile_seconds']:.0f}")
            for part in ("compilation", "other compilation")
            for line in latest_figures(lines, part)
            if "compile_seconds" in line
        ],
    )


def _projection(steps: Sequence[Line], run: Run) -> str:
    """Hours of the preset in each way, and with the fastest way at each resolution."""
    resolutions = list(
        dict.fromkeys(phase.stage.resolution for phase in schedule.phases(run.growth, run.network))
    )
    speeds: dict[str, dict[int, float]] = {}
    for line in steps:
        if "images_per_second" in line and not line.get("cudnn_benchmark"):
            speeds.setdefault(line["name"], {})[line["resolution"]] = line["images_per_second"]
    fastest = {
        each: max(
            ((found[each], way) for way, found in speeds.items() if each in found),
            default=(0.0, ""),
        )
        for each in resolutions
    }
    if all(way for _, way in fastest.values()):
        speeds["the fastest at each resolution"] = {
            each: speed for each, (speed, _) in fastest.items()
        }
    rows: Rows = []
    for way, found in speeds.items():
        if missing := [each for each in resolutions if each not in found]:
            rows.append((way, f"not measured at {', '.join(map(str, missing))}", "", ""))
            continue
        growing, flat = growing_seconds(run, found), whole_seconds(run, found)
        rows.append((way, human_seconds(growing), human_seconds(flat), f"{flat / growing:.2f}"))
    lines = [markdown(("way", "growing", "without growing", "times as long"), rows)]
    if all(way for _, way in fastest.values()) and run.network == GPU.run.network:
        hours = growing_seconds(run, {each: speed for each, (speed, _) in fastest.items()}) / 3600
        lines += [
            f"{run.preset}, {run.growth.total_kimg:g} kimg: {hours:.1f} hours; the aim of "
            f"{AIM_HOURS:g} is {'reached' if hours <= AIM_HOURS else 'missed'}."
        ]
    table = {each: way.rsplit("-", 1)[0] for each, (_, way) in fastest.items() if way}
    if table:
        lines += [
            "Fastest, for FASTEST_ON_CUDA of progan/training/acceleration.py: "
            f"`{table}`; precisions: "
            + ", ".join(
                f"{each}: {way.rsplit('-', 1)[1]}" for each, (_, way) in fastest.items() if way
            )
            + "."
        ]
    return "\n\n".join(lines) if rows else ""


def growing_seconds(run: Run, images_per_second: Mapping[int, float]) -> float:
    """What all phases take; fades are counted as the resolution that they lead to."""
    return sum(seconds_by_resolution(run, images_per_second).values())


def seconds_by_resolution(run: Run, images_per_second: Mapping[int, float]) -> dict[int, float]:
    """What a run spends at each resolution."""
    spent: dict[int, float] = {}
    for phase in schedule.phases(run.growth, run.network):
        resolution, kimg = phase.stage.resolution, phase.end_kimg - phase.start_kimg
        spent[resolution] = (
            spent.get(resolution, 0.0) + 1000 * kimg / (images_per_second[resolution])
        )
    return spent


def whole_seconds(run: Run, images_per_second: Mapping[int, float]) -> float:
    """What as many images take at the final resolution alone."""
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
    return markdown(("resolution", "", "batch", "ms", "img/s"), rows)


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
        (
            "pictures " + line["name"],
            str(line["resolution"]),
            f"{line['images_per_second']:.3g}",
            "",
        )
        for line in latest_figures(lines, "pictures")
    ]
    return markdown(("", "resolution", "img/s", "waits for data"), rows)


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
        size, time = line["resolution"], human_seconds(line["seconds"][0])
        return (
            f"{size}x{size}, {line['total_kimg']:g} kimg in {time}; pictures are in "
            "`training/`.\n\n" + markdown(("kimg", "after", "metric"), rows)
        ).strip()
    return ""


def _time_at(hours: Sequence[tuple[float, float]], kimg: float) -> str:
    """How long a run had trained when it had seen so much."""
    return next((human_seconds(3600 * time) for seen, time in hours if seen >= kimg - 1e-6), "")


def _values(row: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.4g}"
        for name, value in row.get("values", row).items()
        if isinstance(value, float) and name != "kimg"
    )


def _missing(lines: Sequence[Line], calls: Sequence[Line]) -> str:
    """What did not finish, with its message, and what was never started."""
    ends = {(line["part"], line["task"]): line for line in lines if line["event"] in ENDS}
    started = {(line["part"], line["task"]) for line in lines if line["event"] == "started"}
    rows: Rows = []
    for part in plan(calls[-1]["device"], Path(), []):
        for task in part.tasks:
            key = (part.name, task.name)
            if key in ends and ends[key]["event"] == "finished":
                continue
            what = (
                ends[key]["event"]
                if key in ends
                else "interrupted"
                if key in started
                else ("not measured")
            )
            message = ends.get(key, {}).get("message", "").strip().splitlines()
            rows.append((*key, what, message[-1].replace("|", "\\|") if message else ""))
    return markdown(("part", "task", "", ""), rows)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; '' without rows."""
    if not rows:
        return ""
    return "\n".join(
        "| " + " | ".join(line) + " |" for line in (headings, ["---"] * len(headings), *rows)
    )
