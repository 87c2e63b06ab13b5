"""What the metrics found, as a table for people and as JSON lines for programs."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metrics.evaluation import Plan, Row
from metrics.setup import Setup
from metrics.sources import Source
from metrics.table import METRICS
from progan import __version__


def table(images: str, reals: Source, plan: Plan, rows: Sequence[Row]) -> str:
    """The rows below a line that says what was compared; several repeats as mean ± deviation."""
    columns = [column for values in rows[0].repeats[0].values() for column in values]
    cells = [["", "images", *columns]]
    cells += [[row.name, str(row.num_images), *_cells(row)] for row in rows]
    widths = [max(len(line[place]) for line in cells) for place in range(len(cells[0]))]
    lines = [f"images: {images}   reals: {reals.description}   size: {reals.size}"]
    lines += [_aligned(line, widths) for line in cells]
    if plan.num_images != plan.num_baseline:
        lines.append("The rows count different numbers of images. SWD, FID and others depend on "
                     f"them: compare with --num-images {plan.num_baseline}.")
    return "\n".join(lines)


def records(row: Row, images: str, reals: Source, plan: Plan, setup: Setup) -> list[dict[str, Any]]:
    """One JSON object for each metric of a row; 'std' is null without repeats."""
    return [
        {"metric": name, "row": row.name, "images": images, "reals": reals.description,
         "size": list(reals.size), "num_images": row.num_images, "seed": setup.seed,
         "repeats": plan.repeats, "progan": __version__,
         **({"detector": setup.detector.name} if setup.detector and METRICS[name].needs_detector
            else {}),
         "values": {column: dict(zip(("mean", "std"), spread(row, name, column), strict=True))
                    for column in row.repeats[0][name]}}
        for name in plan.names]


def append_lines(path: Path, objects: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines to a file, which need not exist."""
    text = "".join(json.dumps(item, allow_nan=False) + "\n" for item in objects)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def spread(row: Row, name: str, column: str) -> tuple[float, float | None]:
    """Mean over the repeats and their sample standard deviation, None of a single one."""
    values = [results[name][column] for results in row.repeats]
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def _cells(row: Row) -> list[str]:
    return [_cell(*spread(row, name, column), METRICS[name].digits)
            for name, values in row.repeats[0].items() for column in values]


def _cell(mean: float, deviation: float | None, digits: int | None) -> str:
    kind = ".4g" if digits is None else f".{digits}f"
    spread_text = "" if deviation is None else f" ± {deviation:{kind}}"
    return f"{mean:{kind}}{spread_text}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(line, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])
