"""Compare several runs in one table: columns, order of the rows, best values; Markdown and CSV."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from metrics.options import DESCRIPTIONS, GOALS, LOWER_IS_BETTER
from metrics.run_record import RunRecord
from metrics.sources import resolve_reals
from progan import __version__
from progan.config import Run
from progan.errors import UserError
from progan.images import Pixels, arrange_grid, enlarge_by_repeating_pixels, to_opaque_pil
from progan.runtime.text import escape_controls
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render

REALS = "reals"
MAIN_COLUMNS = {**LOWER_IS_BETTER, "pr": "precision"}  # for metrics with several columns
CAPTION = 14  # px of height that a line of text needs
MIN_CELL, MAX_CELL = 64, 256  # px, on the sheet
RUN_COLUMNS = ("run", "preset", "seed", "kimg")


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of the table.

    Attributes:
        value: None if unknown.
        rank: Sort key, the best first where any is better; None if unknown.
        best: No other run is better.
    """

    value: float | None = None
    rank: float | None = None
    best: bool = False

    @property
    def text(self) -> str:
        """The value with four digits; '' if unknown."""
        return "" if self.value is None else f"{self.value:.4g}"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """One row of the table."""

    name: str
    preset: str
    seed: int
    kimg: float
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole table.

    Attributes:
        columns: Headings of the cells.
        sorted_by: One of them, or '': in the order given.
        reals: The cells of the reals, of the first run that has them.
        datasets: Training data of the runs.
        mixed: Columns whose values were measured against different reals, with these reals.
        mixed_detectors: Columns whose values were measured with different detectors, with these.
    """

    columns: tuple[str, ...]
    sorted_by: str
    runs: tuple[ComparedRun, ...]
    reals: tuple[Cell, ...]
    datasets: tuple[str, ...]
    mixed: Mapping[str, tuple[str, ...]]
    mixed_detectors: Mapping[str, tuple[str, ...]]


def compare(records: Sequence[RunRecord], sort: str = "") -> Comparison:
    """Build the table; raises UserError for an unknown column `sort`.

    Args:
        sort: Column or metric by which the best run comes first; '': in the order given.
    """
    columns = _list_columns(records)
    reals = {
        column: value for record in reversed(records) for column, value in record.reals.items()
    }
    ranks = [
        [
            compute_sort_key(column, record.values.get(column), record.reals.get(column))
            for column in columns
        ]
        for record in records
    ]
    bests = [
        _best_rank(column, each)
        for column, each in zip(columns, zip(*ranks, strict=True), strict=True)
    ]
    runs = [
        ComparedRun(
            name,
            record.run.preset,
            record.run.seed,
            record.kimg,
            tuple(
                Cell(record.values.get(column), place, place is not None and place == best)
                for column, place, best in zip(columns, row, bests, strict=True)
            ),
        )
        for name, record, row in zip(make_distinct_run_names(records), records, ranks, strict=True)
    ]
    by = find_column(sort, columns, records) if sort else ""
    if by:
        place = columns.index(by)
        runs.sort(key=lambda run: math.inf if (key := run.cells[place].rank) is None else key)
    return Comparison(
        columns,
        by,
        tuple(runs),
        tuple(Cell(reals.get(column)) for column in columns),
        tuple(dict.fromkeys(_format_dataset(record.run) for record in records)),
        _keep_differing({column: _reals_of_column(column, records) for column in columns}),
        _keep_differing({column: _detectors_of_column(column, records) for column in columns}),
    )


def _keep_differing(found: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Keep the columns for which there are several names."""
    return {column: names for column, names in found.items() if len(names) > 1}


def format_markdown(found: Comparison, sheet: str) -> str:
    """Format as Markdown: best values in bold, notes, and a link to the sheet of samples."""
    rows = []
    for run in found.runs:
        cells = [f"**{cell.text}**" if cell.best else cell.text for cell in run.cells]
        rows.append([run.name, run.preset, str(run.seed), f"{run.kimg:g}", *cells])
    if any(cell.text for cell in found.reals):
        rows.append([REALS, "", "", "", *(cell.text for cell in found.reals)])
    rows = [list(map(_markdown_cell, row)) for row in ([*RUN_COLUMNS, *found.columns], *rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [
            row[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True)),
        ]
        for row in (rows[0], rule, *rows[1:])
    ]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{escape_controls(_format_notes(found))}\n\n![Samples]({sheet})\n"


def _markdown_cell(text: str) -> str:
    """Escape what would end the cell or be HTML; names of runs may be anything."""
    return re.sub(r"([|<])", r"\\\1", escape_controls(text))


def format_csv(found: Comparison) -> str:
    """Format as CSV with all digits; unknown values are empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*RUN_COLUMNS, *found.columns])
    writer.writerows(
        [run.name, run.preset, run.seed, run.kimg, *(cell.value for cell in run.cells)]
        for run in found.runs
    )
    if any(cell.text for cell in found.reals):
        writer.writerow([REALS, "", "", "", *(cell.value for cell in found.reals)])
    return file.getvalue().encode("utf-8", "backslashreplace").decode()


def compute_sort_key(column: str, value: float | None, real: float | None) -> float | None:
    """Return the sort key of a value, the least for the best; None if unknown."""
    if value is None or not math.isfinite(value):
        return None
    best = column_goal(column)
    if best == REALS:
        return None if real is None else abs(value - real)
    return -value if best == "most" else value


def column_goal(column: str) -> str:
    """Return which value of a column is best: 'least', 'most' or 'reals'; '' if none is."""
    return GOALS.get(goal_key(column), "")


def find_column(sort: str, columns: Sequence[str], records: Sequence[RunRecord] = ()) -> str:
    """Find a column by its heading, its heading without the count, or its metric.

    Of columns that differ in the count only, it is the one that most of the records have.
    """
    name = sort.casefold()
    for each in (name, MAIN_COLUMNS.get(name, name).casefold()):
        found = [
            column
            for column in columns
            if each in (column.casefold(), column.partition(" ")[0].casefold())
        ]
        if found:
            return max(found, key=lambda column: sum(column in each.values for each in records))
    advice = f" Or measure it first: --metrics {name} --data DATASET." * (name in DESCRIPTIONS)
    raise UserError(
        f"--sort {sort}: no such column. Choose one of "
        f"{', '.join(columns) or 'none: these runs have no results'}.{advice}"
    )


def make_distinct_run_names(records: Sequence[RunRecord]) -> list[str]:
    """Return the names of the directories, or paths of networks where two have one name."""
    short = [record.directory.resolve().name for record in records]
    return [
        name if short.count(name) == 1 else str(record.path)
        for name, record in zip(short, records, strict=True)
    ]


def _list_columns(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return all columns: metrics in the order of GOALS, then statistics of the training."""
    found = dict.fromkeys(column for record in records for column in record.values)
    order = [*GOALS, ""]

    def position(column: str) -> tuple[bool, int]:
        is_statistic = "/" in column
        return is_statistic, 0 if is_statistic else order.index(goal_key(column))

    return tuple(sorted(found, key=position))


def goal_key(column: str) -> str:
    """Return the key of GOALS of a column, or ''."""
    name = column.partition(" ")[0].partition("_")[0]
    return name if name in GOALS else ""


def _best_rank(column: str, ranks: Sequence[float | None]) -> float | None:
    """Return the best rank; None where no value is better, or fewer than two are known."""
    known = [each for each in ranks if each is not None]
    return min(known) if column_goal(column) and len(known) > 1 else None


def _reals_of_column(column: str, records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return the different reals that a column was measured against, by resolved path."""
    found = {
        resolve_reals(conditions.against): conditions.against
        for record in reversed(records)
        if (conditions := record.conditions.get(column))
    }
    return tuple(reversed(found.values()))


def _detectors_of_column(column: str, records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Return the different detectors that a column was measured with."""
    found = (record.conditions.get(column) for record in records)
    return tuple(dict.fromkeys(each.detector for each in found if each and each.detector))


def _format_dataset(run: Run) -> str:
    return run.data.data + (f" (class {run.data.subset})" if run.data.subset else "")


def _format_notes(found: Comparison) -> str:
    order = f"Sorted by {found.sorted_by}. " if found.sorted_by else ""
    different = ""
    if len(found.datasets) > 1:
        different = (
            f"The runs were trained on different images, {', '.join(found.datasets)}: "
            "their metrics do not compare. "
        )
    mixed = "".join(f"{sentence} " for sentence in describe_mixed_columns(found))
    return (
        f"{order}{different}{mixed}The best value of a column is marked; of MS-SSIM it is the "
        f"one that is nearest to the reals. Made by progan {__version__}."
    )


def describe_mixed_columns(found: Comparison) -> list[str]:
    """Return a warning for each set of different reals or detectors, which names its columns."""
    return [
        f"The values of {', '.join(columns)} were measured {how} {' and '.join(names)}: {when}"
        for mixed, how, when in (
            (found.mixed, "against", "they compare only if these are the same images."),
            (found.mixed_detectors, "with the detectors", "they do not compare."),
        )
        for names, columns in _group_by_value(mixed).items()
    ]


def _group_by_value(found: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """Return the keys that have a value, by value."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for key, value in found.items():
        groups.setdefault(value, []).append(key)
    return groups


def fit_into_rgb_cell(image: Pixels, side: int) -> Pixels:
    """Fit [H, W, C] into a white [side, side, 3], by repeating or averaging pixels."""
    fitted = to_opaque_pil(enlarge_by_repeating_pixels(image[None], side)[0])
    fitted.thumbnail((side, side), Image.Resampling.BOX)
    cell = Image.new("RGB", (side, side), "white")
    cell.paste(fitted, ((side - fitted.width) // 2, (side - fitted.height) // 2))
    return np.asarray(cell, np.uint8)


def render_samples(record: RunRecord, seeds: Sequence[int]) -> Pixels:
    """Generate the images of seeds, as generate.py does: uint8 [N, H, W, C]."""
    snapshot = record.snapshot
    config = snapshot.generator.config
    return render(
        snapshot.generator,
        seed_latents(seeds, config.latent_size),
        seed_labels(seeds, config.label_size, snapshot.untrained_classes),
        snapshot.level,
        snapshot.alpha,
    )


def comparison_sheet(rows: Sequence[tuple[str, Pixels]], seeds: Sequence[int]) -> Pixels:
    """Arrange names and images [N, H, W, C] of runs below the seeds: [H', W', 3].

    Cells are squares as large as the longest side of the images, 64…256 px.
    """
    largest = max(max(images.shape[1:3]) for _, images in rows)
    side = min(max(largest, MIN_CELL), MAX_CELL)
    cells = [
        np.concatenate([fit_into_rgb_cell(image, side) for image in images], 1)
        for _, images in rows
    ]
    bands = [_caption_row([f"seed {seed}" for seed in seeds], side)]
    for (name, _), row in zip(rows, cells, strict=True):
        bands += [_caption_row([name], row.shape[1]), row]
    return np.concatenate(bands)


def _caption_row(captions: Sequence[str], width: int) -> Pixels:
    """Render captions side by side, each as wide as a cell: [CAPTION, captions * width, 3]."""
    cells = []
    for text in captions:
        cell = Image.new("RGB", (width, CAPTION), "white")
        ImageDraw.Draw(cell).text((2, 1), text, fill="black")
        cells.append(np.asarray(cell, np.uint8))
    return arrange_grid(np.stack(cells), len(captions))
