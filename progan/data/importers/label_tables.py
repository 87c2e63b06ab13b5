"""Class labels from a table: a CSV file of path and label, or StyleGAN's dataset.json."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from progan.data.format import Skipped
from progan.data.importers.labels import Labels
from progan.data.importers.tree import natural_order
from progan.data.unreadable import listed
from progan.errors import UserError

STYLEGAN_FILE = "dataset.json"  # in the root of a folder or zip file of images
_MOST_CLASSES = 1 << 20  # more are another kind of number, not classes


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The class of each path, as an index of the names; `where` it stands, for people."""

    where: str
    class_of: Mapping[str, int]
    names: tuple[str, ...]


def read_table(path: Path) -> LabelTable:
    """Read FILE.csv or FILE.json; raises UserError if it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the labels {path}: {error.strerror}. Name a file .csv or "
                        ".json, or use --labels auto, folders or none.") from error
    if path.suffix.lower() != ".json":
        return csv_table(data, str(path))
    table = stylegan_table(data, str(path))
    if table is None or not table.names:
        raise UserError(f"{path} has no list of labels: "
                        '{"labels": [["00000/img00000000.png", 6], …]} is needed.')
    return table


def csv_table(data: bytes, where: str) -> LabelTable:
    """Rows `path,label`, perhaps with that as their head. A label is the name of a class."""
    rows = []
    for number, row in enumerate(csv.reader(_text(data, where).splitlines()), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or number == 1 and [cell.lower() for cell in cells] == ["path", "label"]:
            continue
        if len(cells) != 2 or not all(cells):
            raise UserError(f"{where}: line {number} is {','.join(row)!r}, not a path and a label "
                            "with a comma between them. Mend it.")
        rows.append((cells[0], cells[1]))
    return _table(rows, where)


def stylegan_table(data: bytes, where: str) -> LabelTable | None:
    """The pairs [path, label] of `labels`, or None if the document is about something else.

    Labels are indices, whose classes are called '0', '1' …, or names of classes. A document
    whose `labels` are null says that there are none: then the table is empty.
    """
    try:
        document = json.loads(_text(data, where))
    except ValueError as error:
        raise UserError(f"{where} is no JSON: {error}. Mend it, or use --labels folders or "
                        "none.") from error
    if not isinstance(document, dict) or "labels" not in document:
        return None
    pairs = document["labels"]
    if pairs is None:
        return LabelTable(where, {}, ())
    if not isinstance(pairs, list):
        raise UserError(f"{where}: labels is {pairs!r:.50}, not a list. Mend it.")
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
                and (pair[1] is None or _is_class(pair[1]))):
            raise UserError(f"{where} has the entry {json.dumps(pair):.80}, not a path and its "
                            "class, a number from 0 up. Mend it, or use --labels folders or none.")
    return _table([(path, label) for path, label in pairs if label is not None], where)


def table_labels(table: LabelTable, paths: Sequence[str]) -> Labels:
    """Look the paths up; raises UserError that lists those without a label.

    An empty table gives no labels at all.
    """
    if not table.names:
        return Labels(None, ())
    missing = [Skipped(path, "no label") for path in paths if path not in table.class_of]
    if missing:
        raise UserError(f"{len(missing)} of {len(paths)} images have no label in {table.where}:\n"
                        f"{listed(missing)}\nAdd them there, as paths from the root of --source; "
                        "or remove these images, or leave all labels out with --labels none.")
    labels = np.array([table.class_of[path] for path in paths], dtype=np.int64)
    return Labels(labels, table.names)


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not text in UTF-8: {error}. Save it so.") from error


def _is_class(label: object) -> bool:
    if isinstance(label, str):
        return True
    return type(label) is int and 0 <= label < _MOST_CLASSES


def _table(rows: Iterable[tuple[str, str | int]], where: str) -> LabelTable:
    label_of: dict[str, str | int] = {}
    for path, label in rows:
        path = path.replace("\\", "/").removeprefix("./")
        if label_of.setdefault(path, label) != label:
            raise UserError(f"{where} gives {path} two labels, {label_of[path]} and {label}. An "
                            "image has one class: remove one of them.")
    labels = set(label_of.values())
    if not labels:
        raise UserError(f"{where} has no label. Mend it, or use --labels folders or none.")
    numbers = [label for label in labels if isinstance(label, int)]
    if len(numbers) == len(labels):
        names = tuple(map(str, range(max(numbers) + 1)))
    else:
        names = tuple(sorted(map(str, labels), key=natural_order))
    index = {name: number for number, name in enumerate(names)}
    return LabelTable(where, {path: index[str(label)] for path, label in label_of.items()}, names)
