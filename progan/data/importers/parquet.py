"""Images in Parquet files, as hubs of datasets serve them -> ImageSource.

A column has the bytes of image files, alone or in a struct of `bytes` and `path`; another may
have their labels. Names of classes are in the schema's metadata, under "huggingface". The package
pyarrow is needed.
"""

import errno
import json
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np

from progan.data.image_source import ImageSource, UnreadableImage
from progan.data.importers.file_source import make_natural_sort_key
from progan.data.importers.ignored_files import IgnoredFile, describe_ignored, split_hidden
from progan.data.importers.images import ImageOptions, import_tree
from progan.data.importers.label_arrays import (
    MAX_CLASSES,
    Labels,
    labels_from_array,
    labels_from_names,
)
from progan.data.importers.remote import Url, copy_all_to_temporary, copy_to_temporary, name_by_url
from progan.errors import UserError
from progan.runtime.files import name_file_in_errors
from progan.runtime.text import PrintLine, format_count

SUFFIX = ".parquet"
MAX_GROUP_BYTES = 1 << 28  # larger row groups are copied to a file instead of held in memory
_HELD_GROUPS = 2
_BATCH_ROWS = 64  # rows copied at a time
_USUAL_LABELS = ("label", "labels", "class", "fine_label")


def import_parquet(
    source: Path | Url,
    options: ImageOptions,
    print_line: PrintLine,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
) -> ImageSource:
    """Read the images in a Parquet file, or in all of a folder.

    Args:
        image_column: If not given, the only one that can hold images.
        label_column: If not given, the one that the metadata call a class label, or the one of a
            usual name; 'none' for no labels.

    Raises:
        UserError: No such files or columns, files of different schemas, or pyarrow is missing.
    """
    path = _fetch(source)
    with name_by_url(path, source):
        tree = ParquetSource(path, image_column)
    for line in describe_ignored(tree.ignored):
        print_line(line)
    column = _choose_label_column(tree, label_column)
    with name_by_url(path, source):
        labels = _read_labels(tree, column, print_line) if column else Labels(None, ())
    print_line(f"Images are in the column {tree.column!r}.")
    if labels.labels is not None:
        print_line(f"{format_count(len(labels.names), 'label')} from the column {column!r} "
            "(--label-column none leaves them out).")  # fmt: skip

    def label(kept: Sequence[str], _: int) -> Labels:
        if labels.labels is None:
            return Labels(None, ())
        return Labels(labels.labels[[tree.row_of(path) for path in kept]], labels.names)

    return import_tree(source, tree, tree.list_paths(), label, options, print_line)


def _fetch(source: Path | Url) -> Path:
    """Return the path of a source; copies one of another machine."""
    if not isinstance(source, Url):
        return source
    if source.name.endswith(SUFFIX):
        return copy_to_temporary(source)
    return copy_all_to_temporary(source, (SUFFIX,))


class _Group(NamedTuple):
    """A row group of a file, and the number of its first row among those of all files."""

    file: int
    group: int
    first_row: int


class ParquetSource:
    """The images of Parquet files as a tree; the path of one names its file and its row."""

    def __init__(self, source: Path, image_column: str | None) -> None:
        self.paths, self.ignored = _list_files(source)
        self.root = source if source.is_dir() else source.parent
        self.files = [_open_file(path) for path in self.paths]
        _require_equal_schemas(self.paths, self.files)
        self.schema: Any = self.files[0].schema_arrow
        self.column = _choose_image_column(self.schema, image_column, source)
        self.groups: list[_Group] = []
        self.first_rows: dict[str, int] = {}  # by the path of the file below the root
        row = 0
        for number, (path, file) in enumerate(zip(self.paths, self.files, strict=True)):
            self.first_rows[path.relative_to(self.root).as_posix()] = row
            for index in range(file.num_row_groups):
                self.groups.append(_Group(number, index, row))
                row += file.metadata.row_group(index).num_rows
        if not row:
            raise UserError(f"No rows in {source}. Name Parquet files that have images.")
        self._group_starts = np.array([group.first_row for group in self.groups])
        self._held: OrderedDict[int, Any] = OrderedDict()  # column, or place of each row in a file
        self._lock = threading.Lock()

    def list_paths(self) -> list[str]:
        """Return a path for each row: 'train-00000.parquet#17'."""
        return [
            f"{name}#{row}"
            for name, file in zip(self.first_rows, self.files, strict=True)
            for row in range(file.metadata.num_rows)
        ]

    def row_of(self, path: str) -> int:
        """Return the number of a row among those of all files."""
        name, _, row = path.rpartition("#")
        return self.first_rows[name] + int(row)

    def read(self, path: str) -> bytes:
        """Return the bytes of one image; raises UnreadableImage, or OSError of a disk."""
        row = self.row_of(path)
        number = int(np.searchsorted(self._group_starts, row, side="right")) - 1
        file = self.paths[self.groups[number].file]
        try:
            # One at a time: pyarrow decodes a whole group, in threads of its own.
            with self._lock, _convert_to_damage(file):
                content = self._load_group(number)(row - self.groups[number].first_row)
        except _Damage as error:
            raise UnreadableImage(path, f"damaged in the Parquet file ({error})") from error
        if content is None:
            raise UnreadableImage(path, "has no bytes, at most the path of a file elsewhere")
        return cast(bytes, content)

    def _load_group(self, number: int) -> Any:
        """Return a function from the row in a group to the bytes of its image, or None."""
        if number not in self._held:
            group = self.groups[number]
            file = self.files[group.file]
            if file.metadata.row_group(group.group).total_byte_size > MAX_GROUP_BYTES:
                self._held[number] = _copy_group(file, group.group, self.column)
            else:
                table = file.read_row_group(group.group, columns=[self.column])
                column = _get_bytes(table.column(0).combine_chunks())
                self._held[number] = lambda row: column[row].as_py()
            if len(self._held) > _HELD_GROUPS:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


def _copy_group(file: Any, index: int, column: str) -> Any:
    """Copy the images of a large row group into a temporary file, a few rows at a time."""
    folder = Path(tempfile.gettempdir())
    copy = cast(BinaryIO, tempfile.TemporaryFile(prefix="progan-"))
    places: list[tuple[int, int] | None] = []
    batches = file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[index], columns=[column])
    for batch in batches:
        for content in _get_bytes(batch.column(0)).to_pylist():
            places.append(None if content is None else (copy.tell(), len(content)))
            with name_file_in_errors(folder):
                copy.write(content or b"")
    with name_file_in_errors(folder):
        copy.flush()

    def read(row: int) -> bytes | None:
        place = places[row]
        if place is None:
            return None
        copy.seek(place[0])
        return copy.read(place[1])

    return read


def _get_bytes(column: Any) -> Any:
    """Return the bytes of a column, which may be structs of bytes and path."""
    import pyarrow

    return column.field("bytes") if pyarrow.types.is_struct(column.type) else column


def _list_files(source: Path) -> tuple[list[Path], list[IgnoredFile]]:
    """Return the Parquet file, or those below a folder, in natural order; and hidden ones."""
    if source.is_file():
        return [source], []
    if not source.is_dir():
        raise UserError(f"--source {source} does not exist. Name a Parquet file or a folder of it.")
    found, hidden = split_hidden(
        (path for path in source.rglob(f"*{SUFFIX}") if path.is_file()), source
    )
    if not found:
        raise UserError(f"No files *{SUFFIX} in {source}. Name a folder of Parquet files.")
    return sorted(found, key=lambda path: make_natural_sort_key(path.as_posix())), hidden


def _open_file(path: Path) -> Any:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UserError(
            'create-from-parquet needs the package pyarrow: pip install "progan[parquet]"'
        ) from error
    try:
        with _convert_to_damage(path):
            return parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    except _Damage as error:
        raise UserError(f"Cannot read {path} as Parquet: {error}. Fetch it again.") from error


class _Damage(Exception):
    """An error of pyarrow about the content of a file."""


@contextmanager
def _convert_to_damage(path: Path) -> Iterator[None]:
    """Raise _Damage for errors about the content of a file, of which pyarrow has many kinds.

    Those of a disk or of the system, such as a full one, stay what they are.
    """
    import pyarrow

    try:
        with name_file_in_errors(path):
            yield
    except (OSError, ValueError, NotImplementedError, pyarrow.ArrowException) as error:
        is_of_system = getattr(error, "errno", None) not in (None, errno.EINVAL)
        if is_of_system or isinstance(error, MemoryError):  # EINVAL: of a wrong offset
            raise
        raise _Damage(str(error).rstrip(".")) from error


def _require_equal_schemas(paths: Sequence[Path], files: Sequence[Any]) -> None:
    """Raise UserError if files have different columns."""
    first = files[0].schema_arrow
    for path, file in zip(paths, files, strict=True):
        if not file.schema_arrow.equals(first):
            raise UserError(
                f"{path} has other columns than {paths[0]}: {_describe_columns(file.schema_arrow)} "
                f"instead of {_describe_columns(first)}. Import the files of one dataset only, "
                "without its other tables."
            )
        for column in first.names:
            names, wanted = (
                _read_class_names(schema, column) for schema in (file.schema_arrow, first)
            )
            if names != wanted:
                raise UserError(
                    f"{path} has other classes in the column {column!r} than {paths[0]}: {names} "
                    f"instead of {wanted}. Import the files of one dataset only."
                )


def _describe_columns(schema: Any) -> str:
    return ", ".join(f"{field.name} ({field.type})" for field in schema)


def _holds_bytes(kind: Any) -> bool:
    """True if a type is bytes, or a struct with a field of bytes."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _holds_bytes(kind.field(index).type)
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))


def _choose_image_column(schema: Any, name: str | None, source: Path) -> str:
    """Return the column of images; raises UserError that lists the columns."""
    candidates = [field.name for field in schema if _holds_bytes(field.type)]
    declared = [
        column for column, feature in _read_features(schema).items()
        if feature.get("_type") == "Image" and column in candidates
    ]  # fmt: skip
    if name is None and len(declared or candidates) == 1:
        return (declared or candidates)[0]
    if name in candidates:
        return cast(str, name)
    columns = _describe_columns(schema)
    if name is not None:
        raise UserError(f"{source} has no images in a column {name!r}. Columns: {columns}.")
    if not candidates:
        raise UserError(
            f"{source} has no column of images, which are bytes or structs with bytes. "
            f"Columns: {columns}."
        )
    raise UserError(
        f"{source} has several columns that may hold images: {', '.join(candidates)}. Name one "
        "with --image-column."
    )


def _read_features(schema: Any) -> dict[str, Any]:
    """Return what the metadata say of the columns, {column: description}."""
    try:
        info = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        features = info.get("info", {}).get("features", {})
    except (ValueError, AttributeError):
        return {}
    if not isinstance(features, dict):
        return {}
    return {name: each for name, each in features.items() if isinstance(each, dict)}


def _read_class_names(schema: Any, column: str) -> list[str]:
    """Return the names of classes that the metadata give for a column; [] if none."""
    names = _read_features(schema).get(column, {}).get("names")
    return list(map(str, names)) if isinstance(names, list) else []


def _read_labels(tree: ParquetSource, column: str, print_line: PrintLine) -> Labels:
    """Return the labels of all rows; raises UserError for a column that cannot hold them."""
    import pyarrow

    files = zip(tree.paths, tree.files, strict=True)
    chunks = [chunk for each in files for chunk in _read_label_chunks(*each, column)]
    values = pyarrow.chunked_array(chunks)
    if values.null_count:
        raise UserError(
            f"The column {column!r} has no label in {format_count(values.null_count, 'row')}. "
            "--label-column none leaves labels out."
        )
    if pyarrow.types.is_dictionary(values.type):  # categories of pandas
        values = values.cast(values.type.value_type)
    kind = values.type
    if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind):
        return labels_from_names(values.to_pylist())
    if not pyarrow.types.is_integer(kind):
        raise UserError(
            f"The column {column!r} holds {kind}; labels are whole numbers or text. Name another "
            "column with --label-column, or none."
        )
    numbers = values.to_numpy().astype(np.int64)
    if numbers.min() < 0 or numbers.max() >= MAX_CLASSES:
        raise UserError(
            f"The column {column!r} holds numbers from {numbers.min()} to {numbers.max()}, which "
            "are not classes (a test set often has -1). --label-column none leaves them out."
        )
    names = _read_class_names(tree.schema, column)
    if len(names) > numbers.max():
        return Labels(numbers, tuple(names))
    if names:
        print_line(
            f"The {format_count(len(names), 'name')} of classes of the column {column!r} are not "
            f"used: it has labels up to {numbers.max()}."
        )
    return labels_from_array(numbers, len(numbers), f"The column {column!r}")


def _read_label_chunks(path: Path, file: Any, column: str) -> list[Any]:
    """Return the arrays that a column of a file consists of; raises UserError for damage."""
    try:
        with _convert_to_damage(path):
            return list(file.read([column]).column(0).chunks)
    except _Damage as error:
        raise UserError(
            f"Cannot read the labels in the column {column!r} of {path}: {error}. Fetch it again, "
            "or leave them out with --label-column none."
        ) from error


def _choose_label_column(tree: ParquetSource, name: str | None) -> str:
    """Return the column of labels, '' for none."""
    columns = tree.schema.names
    if name == "none":
        return ""
    if name is not None:
        if name not in columns:
            raise UserError(
                f"No column {name!r} for --label-column. Columns: {_describe_columns(tree.schema)}."
            )
        return name
    declared = [
        column for column, feature in _read_features(tree.schema).items()
        if feature.get("_type") == "ClassLabel" and column in columns
    ]  # fmt: skip
    if len(declared) > 1:
        raise UserError(
            f"Several columns hold labels: {', '.join(declared)}. Name one with --label-column, "
            "or none."
        )
    usual = [column for column in _USUAL_LABELS if column in columns]
    return next(iter([*declared, *usual]), "")
