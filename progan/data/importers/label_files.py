"""Read rows of image name and label from CSV, TSV and StyleGAN JSON files."""

import codecs
import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from progan.data.importers.label_arrays import MAX_CLASSES
from progan.data.importers.pixels import list_image_extensions
from progan.errors import UserError

_MAX_LISTED = 10  # labels in a message
_DELIMITER_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a |"}
_NUM_SAMPLED = 1000  # rows that the delimiter is found by
# Names of columns, the usual ones first, without anything that is not a letter.
_LABEL_WORDS = """label labels class classname labelname category categoryname target species breed
    classes tag classid labelid categoryid y"""
_PATH_WORDS = """path filename file filepath imagepath image imagename imagefile imageid img imgpath
    imgname name id"""
_LABEL_COLUMNS, _PATH_COLUMNS = _LABEL_WORDS.split(), _PATH_WORDS.split()
_NO_CLASS = re.compile(r"-\d+|nan|none|null", re.IGNORECASE)  # most often in tables
_WHOLE_NUMBER = re.compile(r"[+-]?\d+(\.0*)?")
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Key = Callable[[str], str | None]
_image_extensions = cache(list_image_extensions)


class Match(NamedTuple):
    """An image that a name in a label file means."""

    path: str
    difference: str  # between path and name: 'case', 'extension', …; '' if equal


class ImageNameIndex:
    """Find image paths by the names in a label file.

    A name that is not a path of an image is compared without regard to Unicode normalization, then
    to case, and, where it has no extension, then to extensions; it counts only if it means a
    single image.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._index = cache(self._make_index)

    def find(self, name: str) -> Match | None:
        """Return the image of a name, or None if there are no or several candidates."""
        for difference, key in _COMPARISONS:
            wanted = key(name)
            path = None if wanted is None else self._index(key).get(wanted)
            if path is not None:
                return Match(path, difference)
        return None

    def _make_index(self, key: Key) -> dict[str, str | None]:
        """Return the paths by their keys; None where several have the same."""
        index: dict[str, str | None] = {}
        for path in self._paths:
            if key is _fold_case_without_extension:
                path_key = _fold_case(path.removesuffix(PurePosixPath(path).suffix))
            else:
                path_key = str(key(path))
            index[path_key] = None if path_key in index else path
        return index


def _has_image_extension(name: str) -> bool:
    return PurePosixPath(name.strip()).suffix.lower() in _image_extensions()


def _normalize_path(name: str) -> str:
    """'.\\a//b ' -> 'a/b'."""
    parts = name.strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def _normalize_unicode(name: str) -> str:
    """Normalize a path, and compose its characters (NFC)."""
    return unicodedata.normalize("NFC", _normalize_path(name))


def _fold_case(name: str) -> str:
    """Normalize a path, and fold its case."""
    return unicodedata.normalize("NFC", _normalize_unicode(name).casefold())


def _fold_case_without_extension(name: str) -> str | None:
    """Return the case-folded name; None for one with an image extension, not compared so."""
    return None if _has_image_extension(name) else _fold_case(name)


_COMPARISONS: tuple[tuple[str, Key], ...] = (
    ("", str),
    ("", _normalize_path),
    ("Unicode normalization", _normalize_unicode),
    ("case", _fold_case),
    ("extension", _fold_case_without_extension),
)


class LabelRows(NamedTuple):
    """Pairs of image name and label, and notes on how the file was understood."""

    pairs: list[tuple[str, str]]
    notes: list[str]


class _Line(NamedTuple):
    number: int  # number of its last line in the file
    cells: list[str]  # without blanks around them


def parse_csv_labels(data: bytes, where: str, images: ImageNameIndex) -> LabelRows:
    """Parse a CSV or TSV file with one image and its class name in each row.

    The delimiter, a header and the column of file names are found by what names images. Raises
    UserError that names the file, `where`, and the line.
    """
    text = decode_text(data, where)
    delimiter = _find_delimiter(text, where, images)
    try:
        lines = [line for line in _read_lines(text, delimiter) if any(line.cells)]
    except csv.Error as error:
        raise UserError(
            f"{where} cannot be read as CSV: {error}. Correct its quotation marks."
        ) from error
    lines = _drop_empty_columns(lines)
    header = lines[0].cells if lines and _is_header(lines[0].cells, images) else None
    body = lines[1:] if header else lines
    if not body:
        return LabelRows([], [])
    path, label = _find_columns(header, lines, images, where, delimiter)
    for line in body:
        if len(line.cells) != len(lines[0].cells):
            raise _make_column_error(line, where, delimiter)
        if not line.cells[path]:
            raise UserError(
                f"{where}: line {line.number} has no file name. Fill it in, or remove the row."
            )
        if not line.cells[label]:
            raise UserError(
                f"{where}: line {line.number} has no label for {line.cells[path]}. Fill it "
                "in, or remove the image and its row."
            )
    pairs, notes = _convert_numbers([(line.cells[path], line.cells[label]) for line in body], where)
    if header:
        columns = f"column {header[path]!r}, their classes in column {header[label]!r}"
        notes.insert(0, f"{where} has a header: the images are in {columns}.")
    return LabelRows(pairs, notes)


def _convert_numbers(pairs: list[tuple[str, str]], where: str) -> LabelRows:
    """Write whole numbers such as '3.0', '03' and '+3' as '3', if all labels are whole numbers."""
    labels = sorted({label for _, label in pairs})
    notes = []
    if all(_WHOLE_NUMBER.fullmatch(label) for label in labels):
        number_of = {label: str(int(label.partition(".")[0])) for label in labels}
        if others := [label for label in labels if number_of[label] != label]:
            notes.append(f"Labels of {where} such as {others[0]!r} are taken as whole numbers.")
        pairs = [(path, number_of[label]) for path, label in pairs]
        labels = sorted({label for _, label in pairs})
    if likely_none := [label for label in labels if _NO_CLASS.fullmatch(label)]:
        notes.append(
            f"{', '.join(map(repr, likely_none[:_MAX_LISTED]))} in {where} is the name of a "
            "class, as all labels are there. If it means that an image has none, remove "
            "the image and its row."
        )
    return LabelRows(pairs, notes)


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark; raises UserError."""
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not text in UTF-8: {error}. Save it so.") from error


def _read_lines(text: str, delimiter: str) -> Iterator[_Line]:
    """Yield the rows of a CSV text with their line numbers; cells are stripped."""
    # csv needs line ends as they are: quoted names may contain some.
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
    for cells in reader:
        yield _Line(reader.line_num, [cell.strip() for cell in cells])


def _find_delimiter(text: str, where: str, images: ImageNameIndex) -> str:
    """Return the delimiter with which most rows name an image."""
    usual = "\t" if where.lower().endswith((".tsv", ".tab")) else ","
    candidates = [each for each in (usual, *_DELIMITER_NAMES) if each in text]

    def count_named(delimiter: str) -> int:
        try:
            lines = list(islice(_read_lines(text, delimiter), _NUM_SAMPLED))
        except csv.Error:
            return -1
        return sum(len(line.cells) > 1 and any(map(images.find, line.cells)) for line in lines)

    return max(candidates, default=usual, key=count_named)


def _drop_empty_columns(lines: list[_Line]) -> list[_Line]:
    """Remove the empty columns that spreadsheets leave at the right."""
    if len({len(line.cells) for line in lines}) != 1:
        return lines
    filled = [index + 1 for line in lines for index, cell in enumerate(line.cells) if cell]
    width = max([2, *filled])
    return [_Line(line.number, line.cells[:width]) for line in lines]


def _is_header(cells: Sequence[str], images: ImageNameIndex) -> bool:
    """True if the first row names columns, or has no cell that can be an image."""
    words = {_keep_letters_only(cell) for cell in cells}
    if words & {*_LABEL_COLUMNS} and words <= {"", *_LABEL_COLUMNS, *_PATH_COLUMNS}:
        return True
    return len(cells) > 1 and not any(
        cell and (_has_image_extension(cell) or images.find(cell)) for cell in cells
    )


def _find_columns(
    header: Sequence[str] | None,
    lines: Sequence[_Line],
    images: ImageNameIndex,
    where: str,
    delimiter: str,
) -> tuple[int, int]:
    """Return the columns of image names and of labels, by header or content; UserError."""
    width, body = len(lines[0].cells), lines[1:] if header else lines
    if width < 2 or width > 2 and not header:
        raise _make_column_error(lines[0], where, delimiter)
    words = [_keep_letters_only(cell) for cell in header or [""] * width]

    def score_as_path(column: int) -> tuple[int, int, bool, bool, int]:
        cells = {line.cells[column] for line in body if column < len(line.cells)}
        found = [match for match in map(images.find, cells) if match]
        num_exact = sum(not match.difference for match in found)
        is_path, is_label = words[column] in _PATH_COLUMNS, words[column] in _LABEL_COLUMNS
        return num_exact, len(found), is_path, not is_label, -column

    path = max(range(width), key=score_as_path)
    if width == 2:
        return path, 1 - path
    labels = [
        (_LABEL_COLUMNS.index(word), column)
        for column, word in enumerate(words)
        if word in _LABEL_COLUMNS and column != path
    ]
    if not labels:
        raise UserError(
            f"{where} has {width} columns, {', '.join(map(repr, header or ()))}, and "
            "none is called 'label' or 'class'. Call the one with the classes so, or "
            "remove all but it and the file names."
        )
    return path, min(labels)[1]


def _keep_letters_only(cell: str) -> str:
    """Return the letters of a cell, lower-case: 'Class_ID 2' -> 'classid'."""
    return re.sub(r"[\W\d_]+", "", cell.casefold())


def _make_column_error(line: _Line, where: str, delimiter: str) -> UserError:
    """Return the error for a line that is not a path and label."""
    return UserError(
        f"{where}: line {line.number} is {delimiter.join(line.cells)!r}, not a path and a label "
        f"with {_DELIMITER_NAMES[delimiter]} between them, or as many columns as a header names. "
        "Put names that hold such a character, or a line break, into quotation marks."
    )


def load_json(data: bytes, where: str) -> Any:
    """Parse JSON; raises UserError."""
    try:
        return json.loads(decode_text(data, where))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is not JSON: {error}. Correct it, or use --labels folders or none."
        ) from error


def parse_stylegan_labels(pairs: Any, where: str) -> list[tuple[str, str | int]]:
    """Check the pairs [path, class] of StyleGAN's dataset.json; those without a class are dropped.

    A class is an index or a name. Raises UserError.
    """
    if not isinstance(pairs, list):
        raise UserError(f"{where}: labels is {pairs!r:.50}, not a list. Correct it.")
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and (pair[1] is None or isinstance(pair[1], str) or _is_class_index(pair[1]))
        ):
            raise UserError(
                f"{where} has the entry {json.dumps(pair):.80}, not a path and its "
                "class, a number from 0 up. Correct it, or use --labels folders or none."
            )
    return [
        (path, int(label) if isinstance(label, float) else label)
        for path, label in pairs
        if label is not None
    ]


def _is_class_index(label: object) -> bool:
    is_whole = type(label) is int or (isinstance(label, float) and label.is_integer())
    return is_whole and 0 <= label < MAX_CLASSES  # type: ignore[operator]
