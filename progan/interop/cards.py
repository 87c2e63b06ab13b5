"""The card of a file that was converted: what it is, and what it was made of."""

from pathlib import Path

from progan.runtime.files import sha256_of
from progan.sampling.cards.facts import Card, Source
from progan.sampling.cards.file import card_path, export_card_path, write_card
from progan.sampling.cards.page import page, told_of_training
from progan.sampling.network_file import SUFFIX, Snapshot


def describe(target: Path, snapshot: Snapshot, source: Path) -> None:
    """Write the card of a conversion beside it, unless there is one of somebody else."""
    path = card_path(target) if target.suffix == SUFFIX else export_card_path(target)
    write_card(path, page(Card(
        file=target.name, sha256=sha256_of(target), snapshot=snapshot,
        source=Source(name=source.name, sha256=sha256_of(source), told=_told(source)))))


def _told(source: Path) -> str:
    """What the card of a network file says of its training; '' if there is none."""
    try:
        return told_of_training(card_path(source).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""
