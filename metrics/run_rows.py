"""Rows of `python -m metrics` that are kept with the run that was measured."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from progan.run_directory import CONFIG_FILE, METRIC_PREFIX
from progan.runtime.files import json_objects, write_atomically
from progan.sampling.network_file import images_seen_of

FILE = f"{METRIC_PREFIX}measured.jsonl"
RESULTS = ("values", "progan")  # all else says what was measured, and how


def run_of(network: Path) -> Path | None:
    """The directory of the run that a network file belongs to; None if it belongs to none."""
    return network.parent if (network.parent / CONFIG_FILE).is_file() else None


def of_network(records: Sequence[Mapping[str, Any]], network: Path) -> list[dict[str, Any]]:
    """The records of a network by its name, with the images that it has seen.

    --resume takes such rows back if it goes on from before that network, which is written anew.
    """
    return [{**record, "row": network.stem, "images_seen": images_seen_of(network)}
            for record in records]


def store(directory: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Add records to those of a run; the same measurement replaces the earlier one."""
    path = directory / FILE
    lines = {_identity(line): line for line in json_objects(path)}
    for record in records:
        lines.pop(_identity(record), None)
        lines[_identity(record)] = dict(record)
    write_atomically(path, "".join(f"{json.dumps(line, allow_nan=False)}\n"
                                   for line in lines.values()))


def _identity(record: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in record.items() if name not in RESULTS},
                      sort_keys=True)
