"""The section of the best snapshot: which network to make pictures with."""

from collections.abc import Sequence
from typing import NamedTuple

from metrics.names import LOWER_IS_BETTER, parse_metrics
from progan.config import Run
from progan.errors import UserError
from progan.invocation import command
from progan.report.markup import Markup, element, joined, table
from progan.report.material import Material
from progan.report.measured import Measured, Series, networks
from progan.run_directory import BEST_PREFIX
from progan.sampling.network_file import PREFIX, SUFFIX

HEADINGS = ("metric", "best", "reals", "kimg", "network")
GONE = "none is left"


class Choice(NamedTuple):
    """A network and why it is the one to take."""

    name: str  # without its suffix
    why: str


def section(material: Material, measured: Measured) -> Markup:
    """The network to take, the command for it, and the best of each metric."""
    known = networks(material.directory)
    choice = chosen(known, measured, material.settings)
    network = material.directory / f"{choice.name}{SUFFIX}"
    drawing = command("generate", "--network", network, "--seeds", "0-15", "--outdir", "out")
    rows = [_row(series, known) for family in measured.families().values() for series in family
            if series.best()]
    return joined([element("p", element("b", f"{choice.name}{SUFFIX}"), f": {choice.why}."),
                   element("p", element("code", drawing)),
                   *([table(HEADINGS, rows, brief=True)] if rows else [])])


def chosen(known: dict[str, int], measured: Measured, run: Run | None) -> Choice:
    """What was kept as the best one; else the best by a metric; else the newest.

    Raises UserError if there is no network.
    """
    snapshots = {name: seen for name, seen in known.items() if name.startswith(PREFIX)}
    if not known:
        raise UserError("There is no network yet: the first snapshot comes after some ticks.")
    for series in by_importance(measured, run):
        moment, value = series.best() or (-1, 0.0)
        if name := network_at(moment, known):
            return Choice(name, f"the best {series.label}, {value:.4g}")
    newest = max(snapshots or known, key=lambda name: known[name])
    return Choice(newest, f"the newest one, at kimg {known[newest] / 1000:g}; no metric that "
                          f"tells a best one was measured ({command('train', '--metrics', 'swd')})")


def by_importance(measured: Measured, run: Run | None) -> Sequence[Series]:
    """The columns that tell the best network: that of --best first, then by the usual order."""
    wanted = [name for name, _ in parse_metrics(run.output.best).values()] if run else []
    order = [LOWER_IS_BETTER[name] for name in (*wanted, *LOWER_IS_BETTER)
             if name in LOWER_IS_BETTER]
    found = [each for family in measured.families().values() for each in family
             if each.column in order]
    return sorted(found, key=lambda each: order.index(each.column))


def network_at(moment: int, known: dict[str, int]) -> str:
    """A network that saw so many images, one kept as the best first; '' if none is left."""
    names = [name for name, seen in known.items() if seen == moment]
    return min(names, key=lambda name: not name.startswith(BEST_PREFIX), default="")


def _row(series: Series, known: dict[str, int]) -> list[str]:
    moment, value = series.best() or (0, 0.0)
    return [series.label, f"{value:.4g}", "" if series.real is None else f"{series.real:.4g}",
            f"{moment / 1000:g}", network_at(moment, known) or GONE]
