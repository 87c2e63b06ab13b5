"""Rows of file name and label from CSV or TSV files, and the images that they name."""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from progan.data.importers.pixels import image_extensions
from progan.errors import UserError

Key = Callable[[str], str | None]
_DELIMITERS = (",", ";", "\t", "|")
_DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a |"}
_SAMPLE = 1000  # rows that the delimiter is found by
# Names of columns, the usual ones first, without anything that is no letter.
_LABELS = (
    "label",
    "labels",
    "class",
    "classname",
    "labelname",
    "category",
    "categoryname",
    "target",
    "species",
    "breed",
    "classes",
    "tag",
    "classid",
    "labelid",
    "categoryid",
    "y",
)
_PATHS = (
    "path",
    "filename",
    "file",
    "filepath",
    "imagepath",
    "image",
    "imagename",
    "imagefile",
    "imageid",
    "img",
    "imgpath",
    "imgname",
    "name",
    "id",
)
_NOT_A_LETTER = re.compile(r"[\W\d_]+")


class Match(NamedTuple):
    """An image, and in what its path differs from the name in the table; '' if in nothing."""

    path: str
    difference: str


class ImageNameIndex:
    """The paths of all images of a source, to be looked up by the names of a table.

    A name that is no path of an image is compared without regard to Unicode normalization, then
    to case, and, where it has no extension, then to extensions; it counts only if it means a
    single image.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._index = cache(self._make_index)

    def find(self, name: str) -> Match | None:
        """The image of a name, or None if there is none, or more than one."""
        for difference, key in _SPELLINGS:
            wanted = key(name)
            path = None if wanted is None else self._index(key).get(wanted)
            if path is not None:
                return Match(path, difference)
        return None

    def _make_index(self, key: Key) -> dict[str, str | None]:
        """Paths by key; None where several have the same."""
        index: dict[str, str | None] = {}
        for path in self._paths:
            found = _without_extension(path) if key is _extensionless else key(path)
            if found is not None:
                index[found] = None if found in index else path
        return index


def has_image_extension(name: str) -> bool:
    """Whether a name ends like a file of an image."""
    return PurePosixPath(name.strip()).suffix.lower() in _extensions()


@cache
def _extensions() -> set[str]:
    return image_extensions()


def _exact(name: str) -> str:
    return name


def _relative(name: str) -> str:
    """With slashes, and without blanks around it and parts that mean nothing: './a//b'."""
    parts = name.strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", _relative(name))


def _caseless(name: str) -> str:
    return unicodedata.normalize("NFC", _composed(name).casefold())


def _extensionless(name: str) -> str | None:
    """Only a name that has no extension of an image may go without."""
    return None if has_image_extension(name) else _caseless(name)


def _without_extension(path: str) -> str:
    return _caseless(path.removesuffix(PurePosixPath(path).suffix))


_SPELLINGS: tuple[tuple[str, Key], ...] = (
    ("", _exact),
    ("", _relative),
    ("Unicode normalization", _composed),
    ("case", _caseless),
    ("extension", _extensionless),
)


class Line(NamedTuple):
    """Cells, without blanks around them, and the number of the last line that they stand in."""

    number: int
    cells: list[str]


class CsvRows(NamedTuple):
    """Pairs of file name and label, and the names of their columns if the file has a header."""

    pairs: list[tuple[str, str]]
    columns: tuple[str, str] | None


def parse_csv_rows(text: str, where: str, images: ImageNameIndex) -> CsvRows:
    """Read the text of a CSV or TSV file; raises UserError that names the line.

    The delimiter, a header and the column of file names are found by what names images.
    """
    delimiter = _delimiter(text, where, images)
    try:
        lines = [line for line in _lines(text, delimiter) if any(line.cells)]
    except csv.Error as error:
        raise UserError(f"{where} cannot be read as CSV: {error}. Mend its quotation marks.") from (
            error
        )
    lines = _without_empty_columns(lines)
    header = lines[0].cells if lines and _is_header(lines[0].cells, images) else None
    body = lines[1:] if header else lines
    if not body:
        return CsvRows([], None)
    path, label = _columns(header, lines, body, images, where, delimiter)
    for line in body:
        if len(line.cells) != len(lines[0].cells):
            raise _misfit(line, where, delimiter)
        _require_filled(line, path, label, where)
    return CsvRows(
        [(line.cells[path], line.cells[label]) for line in body],
        (header[path], header[label]) if header else None,
    )


def _lines(text: str, delimiter: str) -> Iterator[Line]:
    # The reader needs line ends as they are: names in quotation marks may hold some.
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    for cells in reader:
        yield Line(reader.line_num, [cell.strip() for cell in cells])


def _delimiter(text: str, where: str, images: ImageNameIndex) -> str:
    """The one with which the most rows name an image."""
    usual = "\t" if where.lower().endswith((".tsv", ".tab")) else ","
    candidates = [each for each in (usual, *_DELIMITERS) if each in text]
    return max(candidates, default=usual, key=lambda each: _num_named(text, each, images))


def _num_named(text: str, delimiter: str, images: ImageNameIndex) -> int:
    try:
        sample = list(islice(_lines(text, delimiter), _SAMPLE))
    except csv.Error:
        return -1
    return sum(len(line.cells) > 1 and any(map(images.find, line.cells)) for line in sample)


def _without_empty_columns(lines: list[Line]) -> list[Line]:
    """Spreadsheets leave empty columns at the right."""
    widths = {len(line.cells) for line in lines}
    if len(widths) != 1:
        return lines
    width = max(
        (index + 1 for line in lines for index, cell in enumerate(line.cells) if cell), default=0
    )
    return [Line(line.number, line.cells[: max(width, 2)]) for line in lines]


def _is_header(cells: Sequence[str], images: ImageNameIndex) -> bool:
    words = [_word(cell) for cell in cells]
    if any(word in _LABELS for word in words) and all(
        word in ("", *_LABELS, *_PATHS) for word in words
    ):
        return True
    return len(cells) > 1 and not any(
        cell and (has_image_extension(cell) or images.find(cell)) for cell in cells
    )


def _columns(
    header: Sequence[str] | None,
    lines: Sequence[Line],
    body: Sequence[Line],
    images: ImageNameIndex,
    where: str,
    delimiter: str,
) -> tuple[int, int]:
    """Which columns hold the file names and the labels."""
    width = len(lines[0].cells)
    words = [_word(cell) for cell in header or [""] * width]
    if width < 2 or width > 2 and not header:
        raise _misfit(lines[0], where, delimiter)
    counts = [
        _num_images({line.cells[column] for line in body if column < len(line.cells)}, images)
        for column in range(width)
    ]
    path = max(
        range(width),
        key=lambda column: (
            counts[column],
            words[column] in _PATHS,
            words[column] not in _LABELS,
            -column,
        ),
    )
    if width == 2:
        return path, 1 - path
    labels = sorted(
        (_LABELS.index(word), column)
        for column, word in enumerate(words)
        if word in _LABELS and column != path
    )
    if not labels:
        raise UserError(
            f"{where} has {width} columns, {', '.join(map(repr, header or ()))}, and "
            "none is called 'label' or 'class'. Call the one with the classes so, or "
            "remove all but it and the file names."
        )
    return path, labels[0][1]


def _num_images(cells: set[str], images: ImageNameIndex) -> tuple[int, int]:
    """How many of the cells are paths as they stand, and how many name an image at all."""
    found = [match for match in map(images.find, cells) if match]
    return sum(not match.difference for match in found), len(found)


def _word(cell: str) -> str:
    return _NOT_A_LETTER.sub("", cell.casefold())


def _require_filled(line: Line, path: int, label: int, where: str) -> None:
    """Raise UserError if a row lacks its file name or its label."""
    if not line.cells[label] and line.cells[path]:
        raise UserError(
            f"{where}: line {line.number} has no label for {line.cells[path]}. Fill it "
            "in, or remove the image and its row."
        )
    if not line.cells[path]:
        raise UserError(
            f"{where}: line {line.number} has no file name. Fill it in, or remove the row."
        )


def _misfit(line: Line, where: str, delimiter: str) -> UserError:
    return UserError(
        f"{where}: line {line.number} is {delimiter.join(line.cells)!r}, not a path "
        f"and a label with {_DELIMITER_NAMES[delimiter]} between them, or as many "
        "columns as a header names. Put names that hold such a character, or a "
        "line break, into quotation marks."
    )
