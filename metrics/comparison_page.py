"""A comparison as Markdown and as one HTML file that needs nothing else."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from html import escape
from string import Template

from PIL import Image

from metrics.comparison import REALS, Cell, Comparison, Line, goal
from progan import __version__
from progan.images import Pixels, opaque
from progan.runtime.text import escape_controls

LARGEST_PICTURE = 256  # px
FACTS = ("run", "preset", "seed", "kimg")
PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Comparison of runs</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.4 system-ui, sans-serif; margin: 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid; }
tfoot td { border-top: 1px solid; font-style: italic; }
th button { all: unset; cursor: pointer; font-weight: bold; }
th button:focus-visible { outline: 2px solid; }
th[aria-sort=ascending] button::after { content: " \\25B4"; }
th[aria-sort=descending] button::after { content: " \\25BE"; }
.best { font-weight: bold; background: color-mix(in srgb, limegreen 30%, transparent); }
h2 { font-size: 1rem; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
.samples { display: flex; flex-wrap: wrap; gap: 2px; }
.samples img { width: clamp(72px, 11vw, 192px); image-rendering: pixelated; }
</style>
</head>
<body>
<h1>Comparison of runs</h1>
<p>$words</p>
<div class="wide">
<table>
<thead>
<tr>$headings</tr>
</thead>
<tbody>
$lines
</tbody>
$reals
</table>
</div>
$samples
<script>
"use strict";
const body = document.querySelector("tbody");
const headings = [...document.querySelectorAll("th")];
headings.forEach((heading, column) => heading.firstChild.addEventListener("click", () => {
  const first = heading.dataset.first;
  const down = heading.getAttribute("aria-sort") === first ? -1 : 1;
  const opposite = {ascending: "descending", descending: "ascending", other: "none"}[first];
  headings.forEach(each => each.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", down === 1 ? first : opposite);
  const key = row => row.cells[column].dataset.rank;
  const order = (a, b) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    return down * (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  };
  body.append(...[...body.rows].sort((a, b) => order(key(a), key(b))));
}));
</script>
</body>
</html>
""")


def markdown(found: Comparison, sheet: str) -> str:
    """A table, bold where a run is best, and the sheet of samples below, which lies beside it."""
    rows = [[line.name, line.preset, str(line.seed), f"{line.kimg:g}",
             *(f"**{cell.text}**" if cell.best else cell.text for cell in line.cells)]
            for line in found.lines]
    if _any(found.reals):
        rows.append([REALS, "", "", "", *(cell.text for cell in found.reals)])
    rows = [list(map(_markdown_cell, row)) for row in ([*FACTS, *found.columns], *rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [[row[0].ljust(widths[0]), *(text.rjust(width) for text, width in
                                         zip(row[1:], widths[1:], strict=True))]
             for row in (rows[0], rule, *rows[1:])]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{_words(found)}\n\n![Samples]({sheet})\n"


def _markdown_cell(text: str) -> str:
    """Text that neither ends the cell nor is HTML; names of runs may be anything."""
    return re.sub(r"([|<])", r"\\\1", escape_controls(text))


def html(found: Comparison, samples: Mapping[str, Pixels], seeds: Sequence[int]) -> str:
    """One page: the table, which a click on a heading sorts, and the samples.

    Args:
        samples: Pictures of the seeds, uint8 [N, H, W, C], by the name of the run.
    """
    headings = "".join(_heading(column, column == found.sorted_by)
                       for column in (*FACTS, *found.columns))
    reals = "".join(f"<td>{escape(cell.text)}</td>" for cell in found.reals)
    return PAGE.substitute(
        words=escape(_words(found)), headings=headings,
        lines="\n".join(_line(line) for line in found.lines),
        reals=f"<tfoot>\n<tr><td>{REALS}</td><td></td><td></td><td></td>{reals}</tr>\n</tfoot>"
        if _any(found.reals) else "",
        samples="\n".join(_samples(line.name, samples[line.name], seeds) for line in found.lines))


def _heading(column: str, is_sorted: bool) -> str:
    """The best comes first, whichever order that is; 'other': nearest to the reals first."""
    first = {"most": "descending", REALS: "other"}.get(goal(column), "ascending")
    order = f' aria-sort="{first}"' if is_sorted else ""
    return f'<th scope="col" data-first="{first}"{order}><button>{escape(column)}</button></th>'


def _line(line: Line) -> str:
    facts = [Cell(line.name), Cell(line.preset), Cell(str(line.seed), line.seed),
             Cell(f"{line.kimg:g}", line.kimg)]
    return f"<tr>{''.join(_cell(cell) for cell in (*facts, *line.cells))}</tr>"


def _cell(cell: Cell) -> str:
    """A cell sorts by its rank, and words by themselves; what is not known is always last."""
    key = cell.text if cell.rank is None else repr(cell.rank)
    rank = f' data-rank="{escape(key)}"' if key not in ("", "nan", "inf", "-inf") else ""
    best = ' class="best"' if cell.best else ""
    return f"<td{best}{rank}>{escape(cell.text)}</td>"


def _samples(name: str, images: Pixels, seeds: Sequence[int]) -> str:
    pictures = "\n".join(f'<img alt="seed {seed}" title="seed {seed}" src="{_data_uri(image)}">'
                         for image, seed in zip(images, seeds, strict=True))
    return f'<h2>{escape(name)}</h2>\n<div class="samples">\n{pictures}\n</div>'


def _data_uri(image: Pixels) -> str:
    """[H, W, C] as the address of a PNG that holds itself."""
    picture = opaque(image)
    picture.thumbnail((LARGEST_PICTURE, LARGEST_PICTURE), Image.Resampling.BOX)
    file = io.BytesIO()
    picture.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _words(found: Comparison) -> str:
    order = f"Sorted by {found.sorted_by}. " if found.sorted_by else ""
    strangers = (f"The runs were trained on different images, {', '.join(found.datasets)}: "
                 "their metrics do not compare. ") if len(found.datasets) > 1 else ""
    mixed = "".join(f"{sentence} " for sentence in mixed_reals(found))
    return (f"{order}{strangers}{mixed}The best value of a column is marked; of MS-SSIM it is the "
            f"one that is nearest to the reals. Made by progan {__version__}.")


def mixed_reals(found: Comparison) -> list[str]:
    """Sentences that name the columns with values of different reals, for each set of reals."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for column, reals in found.mixed.items():
        columns.setdefault(reals, []).append(column)
    return [f"The values of {', '.join(names)} were measured against "
            f"{' and '.join(reals)}: they compare only if these are the same images."
            for reals, names in columns.items()]


def _any(cells: Sequence[Cell]) -> bool:
    return any(cell.text for cell in cells)
