"""Compare several runs in one table: columns, order of the rows, best values; Markdown and CSV."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from metrics.names import DESCRIPTIONS, GOALS, LOWER_IS_BETTER
from metrics.run_record import RunRecord
from progan import __version__
from progan.config import Run
from progan.errors import UserError
from progan.runtime.text import escape_controls

REALS = "reals"
RUN_COLUMNS = ("run", "preset", "seed", "kimg")


@dataclass(frozen=True, slots=True)
class Cell:
    """One number.

    Attributes:
        value: None if it is not known.
        rank: Less is better, or just less where nothing is better; None if it is not known.
        best: No other run is better.
    """

    value: float | None = None
    rank: float | None = None
    best: bool = False

    @property
    def text(self) -> str:
        """Four digits for people; '' if it is not known."""
        return "" if self.value is None else f"{self.value:.4g}"


@dataclass(frozen=True, slots=True)
class ComparedRun:
    """A run in words and numbers."""

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
        sorted_by: One of them, or '': as given.
        reals: The cells of the reals, of the first run that knows them.
        datasets: What the runs were trained on.
        mixed: The columns whose values were measured against different reals, with these.
    """

    columns: tuple[str, ...]
    sorted_by: str
    lines: tuple[ComparedRun, ...]
    reals: tuple[Cell, ...]
    datasets: tuple[str, ...]
    mixed: Mapping[str, tuple[str, ...]]


def compare(records: Sequence[RunRecord], sort: str = "") -> Comparison:
    """Set the runs side by side.

    Args:
        sort: The column, or the metric, by which the best one comes first; '': as given.

    Raises:
        UserError: There is no such column.
    """
    columns = _columns(records)
    reals = {
        column: value for record in reversed(records) for column, value in record.reals.items()
    }
    ranks = [
        [
            rank_value(column, record.values.get(column), record.reals.get(column))
            for column in columns
        ]
        for record in records
    ]
    bests = [
        _best_rank(column, each)
        for column, each in zip(columns, zip(*ranks, strict=True), strict=True)
    ]
    lines = [
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
        for name, record, row in zip(run_names(records), records, ranks, strict=True)
    ]
    by = find_column(sort, columns) if sort else ""
    if by:
        place = columns.index(by)
        lines.sort(key=lambda line: _last_if_unknown(line.cells[place].rank))
    return Comparison(
        columns,
        by,
        tuple(lines),
        tuple(Cell(reals.get(column)) for column in columns),
        tuple(dict.fromkeys(_dataset_label(record.run) for record in records)),
        {
            column: against
            for column in columns
            if len(against := _reals_of_column(column, records)) > 1
        },
    )


def format_markdown(found: Comparison, sheet: str) -> str:
    """Return the table, with the best values in bold, and a link to the sheet of samples."""
    rows = [
        [
            line.name,
            line.preset,
            str(line.seed),
            f"{line.kimg:g}",
            *(f"**{cell.text}**" if cell.best else cell.text for cell in line.cells),
        ]
        for line in found.lines
    ]
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
    return f"{table}\n\n{_notes(found)}\n\n![Samples]({sheet})\n"


def _markdown_cell(text: str) -> str:
    """Escape what would end the cell or be HTML; names of runs may be anything."""
    return re.sub(r"([|<])", r"\\\1", escape_controls(text))


def format_csv(found: Comparison) -> str:
    """Return the same rows and columns as CSV, with all digits; unknown values are empty."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*RUN_COLUMNS, *found.columns])
    writer.writerows(
        [line.name, line.preset, line.seed, line.kimg, *(cell.value for cell in line.cells)]
        for line in found.lines
    )
    if any(cell.text for cell in found.reals):
        writer.writerow([REALS, "", "", "", *(cell.value for cell in found.reals)])
    return file.getvalue().encode("utf-8", "backslashreplace").decode()


def rank_value(column: str, value: float | None, real: float | None) -> float | None:
    """Order the values of a column: the best is the least; None if it is not known."""
    if value is None or not math.isfinite(value):
        return None
    best = column_goal(column)
    if best == REALS:
        return None if real is None else abs(value - real)
    return -value if best == "most" else value


def column_goal(column: str) -> str:
    """'least', 'most' or 'reals', the value that is best; '' where nothing is."""
    return GOALS.get(_goal_key(column), "")


def find_column(sort: str, columns: Sequence[str]) -> str:
    """The column that a person means, by its heading, without its count, or by the metric."""
    wish = sort.casefold()
    wishes = (wish, LOWER_IS_BETTER.get(wish, wish).casefold())
    for each in wishes:
        for column in columns:
            if each in (column.casefold(), column.partition(" ")[0].casefold()):
                return column
    measuring = (
        f" Or measure it first: --metrics {wish} --data DATASET." if (wish in DESCRIPTIONS) else ""
    )
    raise UserError(
        f"--sort {sort}: there is no such column. Choose one of "
        f"{', '.join(columns) or 'none: nothing is known of these runs'}.{measuring}"
    )


def run_names(records: Sequence[RunRecord]) -> list[str]:
    """The names of the directories, or their paths where two have one name."""
    short = [record.directory.resolve().name for record in records]
    return [
        name if short.count(name) == 1 else str(record.path)
        for name, record in zip(short, records, strict=True)
    ]


def _columns(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Metrics first, in the order of GOALS, then what the training says of itself."""
    found = dict.fromkeys(column for record in records for column in record.values)
    order = [*GOALS, ""]
    return tuple(
        sorted(
            found,
            key=lambda column: (
                "/" in column,
                order.index(_goal_key(column)) if "/" not in column else 0,
            ),
        )
    )


def _goal_key(column: str) -> str:
    """The key of GOALS that a column goes by, or ''."""
    name = column.partition(" ")[0].partition("_")[0]
    return name if name in GOALS else ""


def _best_rank(column: str, ranks: Sequence[float | None]) -> float | None:
    """The best rank of several; None where nothing is better, or there is nobody to be better."""
    known = [each for each in ranks if each is not None]
    return min(known) if column_goal(column) and len(known) > 1 else None


def _last_if_unknown(place: float | None) -> float:
    return math.inf if place is None else place


def _reals_of_column(column: str, records: Sequence[RunRecord]) -> tuple[str, ...]:
    """The reals that a column was measured against, each once, however its path is written."""
    found = {
        Path(reals).resolve(): reals
        for record in reversed(records)
        if (reals := record.against.get(column))
    }
    return tuple(reversed(found.values()))


def _dataset_label(run: Run) -> str:
    return run.data.data + (f" (class {run.data.subset})" if run.data.subset else "")


def _notes(found: Comparison) -> str:
    order = f"Sorted by {found.sorted_by}. " if found.sorted_by else ""
    strangers = (
        (
            f"The runs were trained on different images, {', '.join(found.datasets)}: "
            "their metrics do not compare. "
        )
        if len(found.datasets) > 1
        else ""
    )
    mixed = "".join(f"{sentence} " for sentence in describe_mixed_reals(found))
    return (
        f"{order}{strangers}{mixed}The best value of a column is marked; of MS-SSIM it is the "
        f"one that is nearest to the reals. Made by progan {__version__}."
    )


def describe_mixed_reals(found: Comparison) -> list[str]:
    """Sentences that name the columns with values of different reals, for each set of reals."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for column, reals in found.mixed.items():
        columns.setdefault(reals, []).append(column)
    return [
        f"The values of {', '.join(names)} were measured against "
        f"{' and '.join(reals)}: they compare only if these are the same images."
        for reals, names in columns.items()
    ]
