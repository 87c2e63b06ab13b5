"""Model cards of the networks that a training writes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from progan.config import Run
from progan.data.reader import Dataset
from progan.diagnosis.diagnose import diagnose
from progan.diagnosis.history import History, Row, read_rows
from progan.diagnosis.status import explain_status
from progan.errors import UserError
from progan.run_directory import METRIC_PREFIX, STATISTICS_FILE
from progan.runtime.devices import describe_device
from progan.runtime.files import hash_file_sha256, read_json_lines
from progan.runtime.text import PrintLine
from progan.sampling.model_card import (
    Measurement,
    ModelCard,
    Training,
    TrainingData,
    card_path,
    render_card,
    write_card,
)
from progan.sampling.snapshot_file import SOFTWARE, Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCardWriter:
    """Writes a model card beside a network file of a run.

    Metrics and statistics are read from the files of the run, up to the images seen of the
    network. Errors are logged and do not stop the training.
    """

    run: Run
    data: TrainingData
    machine: str
    directory: Path
    log: PrintLine

    def __call__(self, network: Path, snapshot: Snapshot) -> None:
        """Write the card of a network file, unless it was edited."""
        try:
            self._write(network, snapshot)
        except (OSError, UserError) as error:
            self.log(f"{network.name} has no card, training continues: {error}")

    def _write(self, network: Path, snapshot: Snapshot) -> None:
        rows = read_rows_until(self.directory / STATISTICS_FILE, snapshot.images_seen)
        training = Training(
            run=self.run,
            data=self.data,
            machine=self.machine,
            software=f"{SOFTWARE}, torch {torch.__version__}",
            seconds=rows[-1]["progress/hours"] * 3600 if rows else None,
            measurements=tuple(read_measurements_until(self.directory, snapshot.images_seen)),
            status=describe_diagnosis(rows, self.run),
        )
        digest = hash_file_sha256(network)
        card = ModelCard(file=network.name, sha256=digest, snapshot=snapshot, training=training)
        write_card(card_path(network), render_card(card))


def describe_training_data(dataset: Dataset) -> TrainingData:
    """Describe the part of a dataset that a training uses."""
    return TrainingData(
        name=dataset.info.name,
        count=len(dataset.training_rows),
        held_out=len(dataset.held_out_rows),
        size=dataset.info.top_size,
    )


def describe_machine(device: torch.device, processes: int) -> str:
    """Return e.g. 'cuda (NVIDIA H200), 2 processes'."""
    return f"{describe_device(device)}{f', {processes} processes' * (processes > 1)}"


def read_rows_until(path: Path, images_seen: int) -> list[Row]:
    """Read the rows of a stats.jsonl up to a number of images; none if it is damaged."""
    try:
        return [row for row in read_rows(path) if row["images_seen"] <= images_seen]
    except UserError:
        return []


def describe_diagnosis(rows: Sequence[Row], run: Run) -> str:
    """Return the training diagnosis after these ticks, with its meaning; '' without any."""
    if not rows:
        return ""
    found = diagnose(History.of_run(rows, run))
    if found.findings:
        return ", ".join(
            f"{each.severity}: {each.name} since kimg {each.since_kimg:.1f}"
            for each in found.findings
        )
    early = f"; {found.coverage.early}" if found.coverage.early else ""
    return f"{found.title} ({explain_status(found)}{early})"


def read_measurements_until(directory: Path, images_seen: int) -> Iterator[Measurement]:
    """Yield the newest line of each metric, up to a number of images."""
    for path in sorted(directory.glob(f"{METRIC_PREFIX}*.jsonl")):
        found = [
            each
            for line in read_json_lines(path)
            if (each := _parse_measurement(line)) and each.images_seen <= images_seen
        ]
        yield from found[-1:]


def _parse_measurement(line: dict[str, object]) -> Measurement | None:
    """Parse a line of metric-*.jsonl; None unless training wrote it."""
    match line:
        case {"images_seen": int(seen), "values": dict(values), "reals": dict(reals)}:
            count = line.get("num_images")
            return Measurement(
                images_seen=seen,
                num_images=count if isinstance(count, int) else None,
                values=_select_numbers(values),
                reals=_select_numbers(reals),
            )
    return None


def _select_numbers(values: dict[object, object]) -> dict[str, float]:
    return {
        str(column): value for column, value in values.items() if isinstance(value, (int, float))
    }
