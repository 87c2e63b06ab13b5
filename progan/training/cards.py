"""The card of each network that a training writes: what this training knows of it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from progan.config import Run
from progan.data.reader import Dataset
from progan.diagnosis.history import History, Row, read_rows
from progan.diagnosis.report import meaning
from progan.diagnosis.symptoms import diagnose
from progan.errors import UserError
from progan.run_directory import METRIC_PREFIX, STATISTICS_FILE
from progan.runtime.devices import describe
from progan.runtime.files import json_objects, sha256_of
from progan.sampling.cards.facts import Card, Images, Measured, Training
from progan.sampling.cards.file import card_path, write_card
from progan.sampling.cards.page import page
from progan.sampling.conventions import SOFTWARE
from progan.sampling.network_file import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Cards:
    """Writes a card beside a network file of a run.

    What was measured, and how the training went, is read from the files of the run, as far as
    they tell of the time up to that network. A card that cannot be written is told of, and no
    training ends for it.
    """

    run: Run
    images: Images
    machine: str
    directory: Path
    log: Callable[[str], None]

    def __call__(self, network: Path, snapshot: Snapshot) -> None:
        """Describe a network file, unless somebody has edited the card that it has."""
        try:
            self._describe(network, snapshot)
        except (OSError, UserError) as error:
            self.log(f"{network.name} has no card, and training goes on: {error}")

    def _describe(self, network: Path, snapshot: Snapshot) -> None:
        rows = rows_until(self.directory / STATISTICS_FILE, snapshot.images_seen)
        training = Training(
            run=self.run, images=self.images, machine=self.machine,
            software=f"{SOFTWARE}, torch {torch.__version__}",
            seconds=rows[-1]["progress/hours"] * 3600 if rows else None,
            measured=tuple(measured_until(self.directory, snapshot.images_seen)),
            verdict=verdict(rows, self.run))
        write_card(card_path(network), page(Card(
            file=network.name, sha256=sha256_of(network), snapshot=snapshot, training=training)))


def images_of(dataset: Dataset) -> Images:
    """What a training takes of a dataset."""
    return Images(name=dataset.info.name, count=len(dataset.training_rows),
                  held_out=len(dataset.held_out_rows), size=dataset.info.top_size)


def machine_words(device: torch.device, processes: int) -> str:
    """'cuda (NVIDIA H200), 2 processes'."""
    return f"{describe(device)}{f', {processes} processes' * (processes > 1)}"


def rows_until(path: Path, images_seen: int) -> list[Row]:
    """The ticks of a stats.jsonl up to a number of images; none if it is damaged."""
    try:
        return [row for row in read_rows(path) if row["images_seen"] <= images_seen]
    except UserError:
        return []


def verdict(rows: Sequence[Row], run: Run) -> str:
    """The status after these ticks, with what it means; '' without any."""
    if not rows:
        return ""
    found = diagnose(History.of_run(rows, run))
    if found.findings:
        return ", ".join(f"{each.severity}: {each.name} since kimg {each.since_kimg:.1f}"
                         for each in found.findings)
    early = f"; {found.coverage.early}" if found.coverage.early else ""
    return f"{found.title} ({meaning(found)}{early})"


def measured_until(directory: Path, images_seen: int) -> Iterator[Measured]:
    """The newest line of each metric, up to a number of images."""
    for path in sorted(directory.glob(f"{METRIC_PREFIX}*.jsonl")):
        found = [each for line in json_objects(path) if (each := _measured(line))
                 and each.images_seen <= images_seen]
        yield from found[-1:]


def _measured(line: dict[str, object]) -> Measured | None:
    """None of lines that training did not write, which do not say when they were measured."""
    match line:
        case {"images_seen": int(seen), "values": dict(values), "reals": dict(reals)}:
            count = line.get("num_images")
            return Measured(
                images_seen=seen, num_images=count if isinstance(count, int) else None,
                values=_numbers(values), reals=_numbers(reals))
    return None


def _numbers(values: dict[object, object]) -> dict[str, float]:
    return {str(column): value for column, value in values.items()
            if isinstance(value, (int, float))}
