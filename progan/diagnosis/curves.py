"""The learning curves of a run as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from progan.diagnosis.balance import LOSS_SCALES
from progan.diagnosis.history import History, Row
from progan.diagnosis.status import Status
from progan.runtime.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = ("#ffffff", "#f1f3f6")  # of resolutions, in turns
FADE_SHADE = "#ffe8c2"
ALARM = "#c62828"


class Panel(NamedTuple):
    """One row of the picture; curves are labels by statistic."""

    title: str
    curves: Mapping[str, str]
    logarithmic: bool = False
    mark: float | None = None  # a level worth a line


LOSSES = Panel(
    "loss", {"loss/critic-real": "D, reals", "loss/critic-fake": "D, fakes", "loss/generator": "G"}
)
WHOLE_LOSSES = Panel("loss", {"loss/critic": "D", "loss/generator": "G"})  # of older runs
SCORES = Panel("score", {"scores/real": "reals", "scores/fake": "fakes"})
ACCURACIES = Panel("accuracy", {"accuracy/real": "reals", "accuracy/fake": "fakes"}, mark=0.85)
DIVERSITY = Panel(
    "diversity\n(reals: 1)",
    {"diversity/nearest": "nearest neighbours", "diversity/distance": "pairs"},
    mark=1.0,
)
GRADIENTS = Panel(
    "gradient norm",
    {"gradient/critic-weights": "D", "gradient/generator-weights": "G"},
    logarithmic=True,
)


class GrowthPhase(NamedTuple):
    """A stretch at one resolution, or of a fade."""

    start: float  # kimg
    end: float
    resolution: float
    fading: bool


def plot_curves(path: Path, history: History, verdict: Status, title: str) -> None:
    """Write losses, accuracies or scores, diversity and gradients against kimg as a PNG file.

    White and grey spans are resolutions, orange ones fades; a red line is where the gravest
    finding began.
    """
    from matplotlib.figure import Figure  # loads for half a second, and only here is it needed

    shown = [panel for panel in select_panels(history) if _known(panel, history.rows)]
    page = Figure(figsize=(10, 1 + 2.1 * max(len(shown), 1)), layout="constrained")
    # Names of directories may be any bytes, and a $ in them is no formula.
    page.suptitle(title.encode("utf-8", "backslashreplace").decode(), parse_math=False)
    rows = page.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, shown, strict=False):
        _draw(axes, panel, history.rows)
        _shade(axes, growth_phases(history.rows))
        if verdict.findings:
            axes.axvline(
                verdict.findings[0].since_kimg,
                color=ALARM,
                linewidth=2,
                clip_on=False,
                label=f"{verdict.name}\nfrom here on" if axes is rows[0] else None,
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _name_resolutions(rows[0], growth_phases(history.rows))
    rows[-1].set(xlabel="kimg (thousands of real images shown)")
    with atomic_path(path) as temporary:
        page.savefig(temporary, format="png", dpi=110)


def growth_phases(rows: Sequence[Row]) -> list[GrowthPhase]:
    """The growth phases as the ticks show them, in order and without gaps."""
    found: list[GrowthPhase] = []
    start = 0.0
    for row in rows:
        end, resolution = row["images_seen"] / 1000, row.get("schedule/resolution", 0.0)
        fading = row.get("schedule/alpha", 1.0) < 1
        if found and (found[-1].resolution, found[-1].fading) == (resolution, fading):
            found[-1] = found[-1]._replace(end=end)
        else:
            found.append(GrowthPhase(start, end, resolution, fading))
        start = end
    return found


def select_panels(history: History) -> list[Panel]:
    """What is worth a look, by what the objective says of itself; not all of it need be known."""
    judged = ACCURACIES if LOSS_SCALES[history.objective.objective].accuracy else SCORES
    losses = LOSSES if _known(LOSSES, history.rows[-1:]) == len(LOSSES.curves) else WHOLE_LOSSES
    return [losses, judged, DIVERSITY, GRADIENTS]


def _known(panel: Panel, rows: Sequence[Row]) -> int:
    """How many of its curves there are."""
    return sum(any(name in row for row in rows) for name in panel.curves)


def _draw(axes: "Axes", panel: Panel, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import LogLocator

    for name, label in panel.curves.items():
        points = [(row["images_seen"] / 1000, row[name]) for row in rows if name in row]
        axes.plot(
            [kimg for kimg, _ in points],
            [value for _, value in points],
            marker=".",
            markersize=4,
            linewidth=1.2,
            label=label,
        )
    if panel.mark is not None:
        axes.axhline(panel.mark, linestyle="--", linewidth=0.8, color="grey")
    if panel.logarithmic:
        axes.set_yscale("log", subs=())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set(ylabel=panel.title)
    axes.grid(alpha=0.3)


def _shade(axes: "Axes", phases: Sequence[GrowthPhase]) -> None:
    resolutions = sorted({phase.resolution for phase in phases})
    for phase in phases:
        shade = FADE_SHADE if phase.fading else SHADES[resolutions.index(phase.resolution) % 2]
        axes.axvspan(phase.start, phase.end, color=shade, zorder=0, linewidth=0)
    if phases:
        axes.set_xlim(0, phases[-1].end)


def _name_resolutions(axes: "Axes", phases: Sequence[GrowthPhase]) -> None:
    """Above the first panel; of a run that does not grow there is nothing to tell."""
    resolutions = sorted({phase.resolution for phase in phases})
    if len(resolutions) > 1:
        axes.annotate(
            "resolution\n(orange: fading in)", (1.01, 1.02), fontsize=8, xycoords="axes fraction"
        )
    for resolution in resolutions if len(resolutions) > 1 else []:
        own = [phase for phase in phases if phase.resolution == resolution]
        axes.annotate(
            f"{resolution:g}",
            ((own[0].start + own[-1].end) / 2, 1.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=9,
        )
