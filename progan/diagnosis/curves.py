"""Plot the learning curves of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from progan.diagnosis.balance import LOSS_SCALES
from progan.diagnosis.history import History, Row
from progan.diagnosis.status import Status
from progan.runtime.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHADES = ("#ffffff", "#f1f3f6")  # alternate with resolution
FADE_SHADE = "#ffe8c2"
ALARM = "#c62828"


class Panel(NamedTuple):
    """Axes with several curves, given as labels by statistic."""

    title: str
    curves: Mapping[str, str]
    logarithmic: bool = False
    mark: float | None = None  # a level worth a line


LOSSES = Panel(
    "loss", {"loss/critic-real": "D, reals", "loss/critic-fake": "D, fakes", "loss/generator": "G"}
)
WHOLE_LOSSES = Panel("loss", {"loss/critic": "D", "loss/generator": "G"})  # older runs
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
    """A growth phase: a fade to a resolution, or the time after it."""

    start: float  # kimg
    end: float
    resolution: float
    fading: bool


def plot_curves(path: Path, history: History, status: Status, title: str) -> None:
    """Write losses, accuracies or scores, diversity and gradients against kimg as a PNG file.

    White and grey areas are resolutions, orange ones fades; a red line marks the start of the
    most serious finding.
    """
    from matplotlib.figure import Figure  # slow import

    shown = [panel for panel in select_panels(history) if _count_known(panel, history.rows)]
    figure = Figure(figsize=(10, 1 + 2.1 * max(len(shown), 1)), layout="constrained")
    # Names of directories may be any bytes; a $ must not start a formula.
    figure.suptitle(title.encode("utf-8", "backslashreplace").decode(), parse_math=False)
    rows = figure.subplots(max(len(shown), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(rows, shown, strict=False):
        _plot_panel(axes, panel, history.rows)
        _shade_phases(axes, list_growth_phases(history.rows))
        if status.findings:
            axes.axvline(
                status.findings[0].since_kimg,
                color=ALARM,
                linewidth=2,
                clip_on=False,
                label=f"{status.name}\nfrom here on" if axes is rows[0] else None,
            )
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _name_resolutions(rows[0], list_growth_phases(history.rows))
    rows[-1].set(xlabel="kimg (thousands of real images shown)")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def list_growth_phases(rows: Sequence[Row]) -> list[GrowthPhase]:
    """Return the growth phases by the ticks, in order and without gaps."""
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
    """Return the panels that suit the loss function; statistics of some may be missing."""
    decisions = ACCURACIES if LOSS_SCALES[history.loss.objective].accuracy else SCORES
    losses = (
        LOSSES if _count_known(LOSSES, history.rows[-1:]) == len(LOSSES.curves) else WHOLE_LOSSES
    )
    return [losses, decisions, DIVERSITY, GRADIENTS]


def _count_known(panel: Panel, rows: Sequence[Row]) -> int:
    """Return the number of curves that have data."""
    return sum(any(name in row for row in rows) for name in panel.curves)


def _plot_panel(axes: "Axes", panel: Panel, rows: Sequence[Row]) -> None:
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


def _shade_phases(axes: "Axes", phases: Sequence[GrowthPhase]) -> None:
    resolutions = sorted({phase.resolution for phase in phases})
    for phase in phases:
        shade = FADE_SHADE if phase.fading else SHADES[resolutions.index(phase.resolution) % 2]
        axes.axvspan(phase.start, phase.end, color=shade, zorder=0, linewidth=0)
    if phases:
        axes.set_xlim(0, phases[-1].end)


def _name_resolutions(axes: "Axes", phases: Sequence[GrowthPhase]) -> None:
    """Write resolutions above the first panel, if there are several."""
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
