"""What a run begins with, in words: a table of layers for each network."""

from collections import Counter

from progan.training.matching import Fate, Match, Shape
from progan.training.transfer import Transfer

FATES: dict[Fate, str] = {
    "copied": "copied", "in part": "copied in part", "skipped": "skipped: the shapes differ",
    "new": "new", "left": "left behind"}
HEADINGS = ("layer", "there", "here", "")


def in_words(transfer: Transfer) -> list[str]:
    """The table, and the warnings below it."""
    return [table(transfer), *(f"Warning: {text}" for text in warnings(transfer))]


def table(transfer: Transfer) -> str:
    """List the layers of both networks: shape there, shape here, what becomes of them."""
    origin = transfer.origin
    size = origin.network.size(origin.level)
    return "\n".join([
        f"Begins with {origin.path}, {size} at kimg {origin.images_seen / 1000:g}.",
        *(line for role in transfer.matches
          for line in ("", f"{role}: {_summary(transfer, role)}",
                       *_lines(transfer.matches[role])))])


def warnings(transfer: Transfer) -> list[str]:
    """What a user should know before days are spent on it."""
    found = []
    if "discriminator" not in transfer.origin.weights:
        found.append(
            f"{transfer.origin.path} holds no discriminator: that begins with random weights, and "
            "teaches the generator little until it has learned. A training state (state-*.pt) of "
            "the same run holds both, and is the better beginning.")
    if transfer.changed:
        found.append("The networks are not those of the source "
                     f"({'; '.join(transfer.changed)}): what is copied may do something else here.")
    found += [f"Less than half of the {role} is copied." for role, share in transfer.shares.items()
              if share < 0.5 and (role == "generator" or role in transfer.origin.weights)]
    return found


def _summary(transfer: Transfer, role: str) -> str:
    counts = Counter(row.fate for row in transfer.matches[role])
    words = ", ".join(f"{counts[fate]} {fate}" for fate in FATES if counts[fate])
    return f"{100 * transfer.shares[role]:.1f} % of the weights copied; layers: {words}"


def _lines(matches: list[Match]) -> list[str]:
    rows = [HEADINGS, *((row.layer, _shape(row.theirs), _shape(row.ours), FATES[row.fate])
                        for row in matches)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            .rstrip() for row in rows]


def _shape(shape: Shape | None) -> str:
    return "–" if shape is None else "x".join(map(str, shape)) or "1"
