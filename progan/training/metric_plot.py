"""The curves of one metric against images and against hours, as in figure 4 of the paper."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from progan.runtime.files import replaced

AXES = {"kimg": "thousands of images", "hours": "hours of training"}


def plot(path: Path, name: str, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write a PNG file with one curve for each column, and dashed what reals have.

    Args:
        lines: 'kimg', 'hours', 'values' by column and 'reals' by column, in their order.
    """
    from matplotlib.figure import Figure  # loads for half a second, and only here is it needed

    page = Figure(figsize=(11, 4.5), layout="constrained")
    panels = page.subplots(1, 2, sharey=True)
    for axes, (clock, label) in zip(panels, AXES.items(), strict=True):
        for column in lines[-1]["values"]:
            (curve,) = axes.plot([line[clock] for line in lines],
                                 [line["values"][column] for line in lines], marker=".",
                                 label=column)
            axes.axhline(lines[-1]["reals"][column], linestyle="--", linewidth=0.8,
                         color=curve.get_color())
        axes.set(xlabel=label)
        axes.grid(alpha=0.3)
    panels[0].set(ylabel=name)
    page.legend(handles=panels[0].get_lines()[::2], loc="outside right center",
                title="dashed: reals")
    with replaced(path) as temporary:
        page.savefig(temporary, format="png", dpi=110)
