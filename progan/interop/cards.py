"""The card of a file that was converted: what it is, and what it was made of."""

from pathlib import Path

from progan.runtime.files import sha256_of
from progan.sampling.cards.facts import Card
from progan.sampling.cards.file import card_path, export_card_path, write_card
from progan.sampling.cards.page import page
from progan.sampling.network_file import SUFFIX, Snapshot


def describe(target: Path, snapshot: Snapshot, source: Path) -> None:
    """Write the card of a conversion beside it, unless there is one of somebody else."""
    path = card_path(target) if target.suffix == SUFFIX else export_card_path(target)
    write_card(path, page(Card(file=target.name, sha256=sha256_of(target), snapshot=snapshot,
                               source=(source.name, sha256_of(source)))))
