"""Layers of a network here and there, in words."""

from collections.abc import Mapping

from progan.interop.trained import Shape, Trained
from progan.runtime.text import format_count
from progan.sizes import level_name

HEADINGS = ("there", "shape", "here", "shape")


def table(trained: Trained, where: str) -> str:
    """What a file holds, and each of its tensors by both names with both shapes."""
    return "\n".join([_summary(trained, where), *(
        line for role, weights in trained.weights.items()
        for line in ("", f"{role}:", *_lines(
            trained.theirs.get(role, {}),
            {name: tuple(weight.shape) for name, weight in weights.items()})))])


def _summary(trained: Trained, where: str) -> str:
    network = trained.network
    fade = "" if trained.alpha == 1 else f", faded in by {100 * trained.alpha:.0f} %"
    kimg = f" at kimg {trained.images_seen / 1000:g}" if trained.images_seen else ""
    return (f"{where}: {network.size(network.max_level)}, "
            f"{format_count(network.channels, 'channel')}, {_classes(network.label_size)}, "
            f"latents of {network.latent_size}; trained to "
            f"{level_name(network.base, trained.level)}{fade}{kimg}.")


def _classes(count: int) -> str:
    return format_count(count, "class", "classes") if count else "no classes"


def _lines(theirs: Mapping[str, tuple[str, Shape]], ours: Mapping[str, Shape]) -> list[str]:
    rows = [HEADINGS, *((*_there(theirs.get(name)), name, _shape(shape))
                        for name, shape in ours.items())]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            .rstrip() for row in rows]


def _there(found: tuple[str, Shape] | None) -> tuple[str, str]:
    return ("–", "–") if found is None else (found[0], _shape(found[1]))


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "1"
