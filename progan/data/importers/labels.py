"""Class labels of images: from folders, label files (CSV, JSON), or arrays of indices."""

import codecs
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from progan.data.format import SkippedImage
from progan.data.image_source import format_skipped
from progan.data.importers.file_source import FileSource, natural_order
from progan.data.importers.label_files import ImageNameIndex, parse_csv_rows
from progan.errors import UserError
from progan.runtime.text import escape_controls, format_count

_MOST_CLASSES = 1 << 20  # more are another kind of number, not classes


class Labels(NamedTuple):
    """Class of each image, int64 [n], and the names of the classes; None and () without."""

    labels: npt.NDArray[np.int64] | None
    names: tuple[str, ...]


def labels_from_folders(paths: Sequence[str], all_paths: Sequence[str]) -> Labels:
    """Label `paths` by the first folder in which `all_paths` differ.

    Every image has to be in such a folder, and there have to be two of them at least;
    otherwise there are no labels. The names come from all paths, so that a part of a source
    has the classes of the whole.
    """
    depth, class_folders = _class_folders(all_paths)
    if not class_folders:
        return Labels(None, ())
    merged, _ = merge_unicode_forms(class_folders)
    names = sorted(set(merged.values()), key=natural_order)
    index = {name: number for number, name in enumerate(names)}
    labels = [index[merged[path.split("/")[depth]]] for path in paths]
    return Labels(np.array(labels, dtype=np.int64), tuple(names))


def describe_merged_folders(all_paths: Sequence[str]) -> list[str]:
    """Lines that name the folders that are one class but for their Unicode composition."""
    return merge_unicode_forms(_class_folders(all_paths)[1])[1]


def _class_folders(paths: Sequence[str]) -> tuple[int, list[str]]:
    """The depth of the folders that are classes, and their names, for each path; [] if none."""
    folders = [path.split("/")[:-1] for path in paths]
    depth = _common_depth([[*map(normalize_nfc, parts)] for parts in folders])
    if any(len(parts) <= depth for parts in folders):
        return depth, []
    return depth, [parts[depth] for parts in folders]


def _common_depth(folders: Sequence[list[str]]) -> int:
    """How many folders all paths begin with."""
    first, last = min(folders), max(folders)  # they differ the earliest of all pairs
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth


def load_label_array(path: Path, count: int) -> Labels:
    """Read the labels of `count` images from a .npy file; raises UserError."""
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(
            f"Cannot read the labels {path}: {error}. Copy the file again, or move it "
            "away to do without labels."
        ) from error
    return labels_from_array(stored, count, str(path))


def labels_from_array(stored: npt.NDArray[np.generic], count: int, where: str) -> Labels:
    """Class indices of stored labels: [n] indices or [n,L] one-hot; none if L is 0.

    The classes are called '0' … 'L-1'. Raises UserError, naming `where`, if there are not
    `count` of them or they are no classes.
    """
    if len(stored.shape) not in (1, 2) or len(stored) != count:
        raise UserError(
            f"{where} has labels of the shape {stored.shape} for "
            f"{format_count(count, 'image')}. "
            "One number or one row for each image is needed."
        )
    if stored.ndim == 2 and stored.shape[1] == 0:
        return Labels(None, ())
    indices = _indices(stored)
    if indices is None:
        raise UserError(
            f"{where} holds no classes: each label has to be a number from 0 up, or a "
            "row of zeros with a single one."
        )
    num_classes = stored.shape[1] if stored.ndim == 2 else int(indices.max()) + 1
    return Labels(indices, tuple(map(str, range(num_classes))))


def _indices(stored: npt.NDArray[Any]) -> npt.NDArray[np.int64] | None:
    """int64 [n], or None if a label is no class."""
    if stored.dtype.kind not in "biuf":
        return None
    if stored.ndim == 2:
        ones = stored == 1
        single = (ones.sum(axis=1) == 1).all() and (ones | (stored == 0)).all()
        return ones.argmax(axis=1).astype(np.int64) if single else None
    if not ((stored >= 0) & (stored < _MOST_CLASSES)).all():  # NaN is in no range
        return None
    indices = stored.astype(np.int64)
    return indices if (indices == stored).all() else None


_MOST_NOTES = 5


def merge_unicode_forms(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Map names that are equal but for their Unicode composition to one of them.

    macOS stores 'é' as a letter and an accent (NFD), other systems as one character (NFC). A name
    that is written in one way only stays as it is; of several spellings the composed one counts.

    Returns:
        The name of the class for each spelling, and a line for each class with several.
    """
    groups = _groups(names, normalize_nfc)
    merged = {
        name: spellings[0] if len(spellings) == 1 else form
        for form, spellings in groups.items()
        for name in spellings
    }
    several = [form for form, spellings in groups.items() if len(spellings) > 1]
    return merged, _limited(
        [
            f"The name {form!r} is written with different Unicode compositions (NFC and NFD): "
            "this is one class."
            for form in sorted(several)
        ]
    )


def describe_case_variants(names: Iterable[str]) -> list[str]:
    """Lines that name the classes that differ by case only, which stay apart."""
    groups = [sorted(group) for group in _groups(names, _caseless).values() if len(group) > 1]
    return _limited(
        [
            f"{' and '.join(map(repr, group))} differ by case only and are "
            f"{format_count(len(group), 'class', 'classes')}: rename them if they are one."
            for group in sorted(groups)
        ]
    )


def _groups(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[key(name)].append(name)
    return groups


def _limited(lines: list[str]) -> list[str]:
    rest = len(lines) - _MOST_NOTES
    shown = [escape_controls(line) for line in lines[:_MOST_NOTES]]
    return [*shown, f"The same holds for {rest:,} more."] if rest > 0 else shown


def normalize_nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _caseless(name: str) -> str:
    return normalize_nfc(normalize_nfc(name).casefold())


STYLEGAN_FILE = "dataset.json"  # in the root of a folder or zip file of images
_MAX_LISTED = 10  # rows in a message
_WHOLE_FLOAT = re.compile(r"([+-]?\d+)\.0*")
_INTEGER = re.compile(r"[+-]?\d+")
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelTable:
    """The class of each image, as an index of the names; `where` it stands, for people.

    Attributes:
        class_of: By the path of the image in the source.
        names: Of the classes; none if the table says that there are no labels.
        strangers: Rows of images that the source does not have: name and label.
        notes: What was understood in a way that people should know.
    """

    where: str
    class_of: Mapping[str, int]
    names: tuple[str, ...]
    strangers: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def read_label_table(path: Path, paths: Sequence[str]) -> LabelTable:
    """Read FILE.csv, .tsv or .json for the images `paths`; raises UserError if it is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read the labels {path}: {error.strerror}. Name a file .csv, .tsv "
            "or .json, or use --labels auto, folders or none."
        ) from error
    if path.suffix.lower() != ".json":
        return parse_csv_table(data, str(path), paths)
    table = parse_stylegan_table(data, str(path), paths)
    if table is None or not table.names:
        raise UserError(
            f"{path} has no list of labels: "
            '{"labels": [["00000/img00000000.png", 6], …]} is needed.'
        )
    return table


def parse_csv_table(data: bytes, where: str, paths: Sequence[str]) -> LabelTable:
    """Rows of path and label, perhaps with a header. A label is the name of a class."""
    images = ImageNameIndex(paths)
    pairs, columns = parse_csv_rows(_text(data, where), where, images)
    labels = {label for _, label in pairs}
    notes = []
    if columns:
        notes.append(
            f"{where} has a header: the images are in column {columns[0]!r}, their "
            f"classes in column {columns[1]!r}."
        )
    whole = [_WHOLE_FLOAT.fullmatch(label) for label in labels]
    if any(whole) and all(
        match or _INTEGER.fullmatch(label) for label, match in zip(labels, whole, strict=True)
    ):
        notes.append(
            f"Labels of {where} such as "
            f"{next(match[0] for match in whole if match)!r} are taken as whole numbers."
        )
        pairs = [(path, _WHOLE_FLOAT.sub(r"\1", label)) for path, label in pairs]
    if negative := sorted(
        label
        for label in {label for _, label in pairs}
        if label.startswith("-") and _INTEGER.fullmatch(label)
    ):
        notes.append(
            f"{', '.join(map(repr, negative[:_MAX_LISTED]))} in {where} is the name of a "
            "class, as all labels are there. If it means that an image has none, remove "
            "the image and its row."
        )
    merged, merge_notes = merge_unicode_forms(label for _, label in pairs)
    pairs = [(path, merged[label]) for path, label in pairs]
    return _table(pairs, where, images, [*notes, *merge_notes])


def parse_stylegan_table(data: bytes, where: str, paths: Sequence[str]) -> LabelTable | None:
    """The pairs [path, label] of `labels`, or None if the document is about something else.

    Labels are indices, whose classes are called '0', '1' …, or names of classes. A document
    whose `labels` are null says that there are none: then the table is empty.
    """
    try:
        document = json.loads(_text(data, where))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{where} is no JSON: {error}. Mend it, or use --labels folders or none."
        ) from error
    if not isinstance(document, dict) or "labels" not in document:
        return None
    pairs = document["labels"]
    if pairs is None:
        return LabelTable(where, {}, ())
    if not isinstance(pairs, list):
        raise UserError(f"{where}: labels is {pairs!r:.50}, not a list. Mend it.")
    for pair in pairs:
        if not (
            isinstance(pair, list)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and (pair[1] is None or _is_class(pair[1]))
        ):
            raise UserError(
                f"{where} has the entry {json.dumps(pair):.80}, not a path and its "
                "class, a number from 0 up. Mend it, or use --labels folders or none."
            )
    known = [
        (path, int(label) if isinstance(label, float) else label)
        for path, label in pairs
        if label is not None
    ]
    return _table(known, where, ImageNameIndex(paths), [])


def labels_from_table(table: LabelTable, paths: Sequence[str]) -> Labels:
    """Look the paths up; raises UserError that lists those without a label.

    An empty table gives no labels at all.
    """
    if not table.names:
        return Labels(None, ())
    missing = [SkippedImage(path, "no label") for path in paths if path not in table.class_of]
    if missing:
        have = "has" if len(missing) == 1 else "have"
        others = "".join(f"\n{line}" for line in describe_unmatched_rows(table))
        raise UserError(
            f"{len(missing)} of {format_count(len(paths), 'image')} {have} no label in "
            f"{table.where}:\n{format_skipped(missing)}{others}\nAdd them there, as paths "
            "from the root of --source; or remove these images, or leave all labels "
            "out with --labels none."
        )
    labels = np.array([table.class_of[path] for path in paths], dtype=np.int64)
    return Labels(labels, table.names)


def describe_unmatched_rows(table: LabelTable) -> list[str]:
    """Lines that name the rows of images that the source does not have."""
    count = len(table.strangers)
    if not count:
        return []
    lines = [escape_controls(f"  {name}: {label}") for name, label in table.strangers[:_MAX_LISTED]]
    return [
        f"{format_count(count, 'row')} of {table.where} {'names' if count == 1 else 'name'} no "
        f"image of the source, and {'makes' if count == 1 else 'make'} no class:",
        *lines,
        *([f"  and {count - _MAX_LISTED:,} more"] if count > _MAX_LISTED else []),
    ]


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16_MARKS) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not text in UTF-8: {error}. Save it so.") from error


def _is_class(label: object) -> bool:
    if isinstance(label, str):
        return True
    whole = type(label) is int or isinstance(label, float) and label.is_integer()
    return whole and 0 <= label < _MOST_CLASSES  # type: ignore[operator]


def _table(
    rows: Iterable[tuple[str, str | int]], where: str, images: ImageNameIndex, notes: Sequence[str]
) -> LabelTable:
    label_of: dict[str, str | int] = {}
    strangers: dict[str, str | int] = {}
    differences: Counter[str] = Counter()
    for name, label in rows:
        match = images.find(name)
        known, path = (label_of, match.path) if match else (strangers, name)
        if known.setdefault(path, label) != label:
            raise UserError(
                f"{where} gives {path} two labels, {known[path]} and {label}. An "
                "image has one class: remove one of them."
            )
        if match and match.difference:
            differences[match.difference] += 1
    if not label_of and not strangers:
        raise UserError(f"{where} has no label. Mend it, or use --labels folders or none.")
    if 0 not in label_of.values() and 1 in label_of.values():
        notes = [*notes, f"The labels of {where} count from 1: class 0 has no image."]
    names = _class_names(set(label_of.values()) or set(strangers.values()))
    index = {name: number for number, name in enumerate(names)}
    return LabelTable(
        where,
        {path: index[str(label)] for path, label in label_of.items()},
        names,
        tuple((name, str(label)) for name, label in strangers.items()),
        (*notes, *(_difference_note(where, *each) for each in differences.items())),
    )


def _difference_note(where: str, difference: str, count: int) -> str:
    differ = "differs from its image" if count == 1 else "differ from their images"
    return (
        f"{format_count(count, 'name')} in {where} {differ} in {difference} only, and "
        f"{'was' if count == 1 else 'were'} matched."
    )


def _class_names(labels: set[str | int]) -> tuple[str, ...]:
    """Of indices, all numbers up to the highest; else the names in natural order."""
    numbers = [label for label in labels if isinstance(label, int)]
    if len(numbers) == len(labels):
        return tuple(map(str, range(max(numbers) + 1)))
    return tuple(sorted(set(map(str, labels)), key=natural_order))


def label_images(
    tree: FileSource,
    paths: Sequence[str],
    all_paths: Sequence[str],
    wish: str,
    say: Say,
    num_taken: int | None = None,
    seed: int | None = None,
) -> Labels:
    """Label `paths`, a part of `all_paths`, as `--labels` wishes.

    Args:
        wish: 'none'; 'folders'; a file, .csv, .tsv or .json; or 'auto': dataset.json in the
            root of the tree if there is one with labels, else folders if all images are in such.
        num_taken: How many images were asked for, of which `paths` can be read; None: all.
        seed: What they were drawn with; None: they are the first ones.

    Raises:
        UserError: The wish cannot be met, or an image has no label in the table.
    """
    if wish == "none":
        return Labels(None, ())
    table = _find_table(tree, wish, all_paths)
    if table is None:
        found = labels_from_folders(paths, all_paths)
        if found.labels is None and wish == "folders":
            raise UserError(
                "--labels folders needs every image in a folder named after its class, "
                "and at least two such folders. Sort the images so, or use --labels "
                "none."
            )
        in_source = _used(labels_from_folders(all_paths, all_paths))
        notes, where = describe_merged_folders(all_paths), "the names of the folders"
    else:
        found, where = labels_from_table(table, paths), table.where
        notes, in_source = (
            [*table.notes, *describe_unmatched_rows(table)],
            set(table.class_of.values()),
        )
    if found.labels is not None:
        say(
            f"{format_count(len(found.names), 'label')} from {where} "
            "(--labels none leaves them out)."
        )
        num_taken = len(all_paths) if num_taken is None else num_taken
        advice = _advice(num_taken, len(all_paths), len(in_source), seed)
        for line in [
            *notes,
            *describe_case_variants(found.names),
            *_missed(found, in_source, advice),
        ]:
            say(line)
    return found


def _find_table(tree: FileSource, wish: str, paths: Sequence[str]) -> LabelTable | None:
    if wish not in ("auto", "folders"):
        return read_label_table(Path(wish), paths)
    if wish == "auto" and tree.has(STYLEGAN_FILE):
        return parse_stylegan_table(tree.read(STYLEGAN_FILE), STYLEGAN_FILE, paths)
    return None


def _missed(found: Labels, in_source: set[int], advice: str) -> list[str]:
    """A line if classes of the source have no image among those that are taken."""
    num_missed = len(in_source - _used(found))
    have = "has" if num_missed == 1 else "have"
    classes = format_count(num_missed, "class", "classes")
    return (
        [f"{classes} of the source {have} no image among those taken: {advice}"]
        if num_missed
        else []
    )


def _advice(num_taken: int, num_images: int, num_classes: int, seed: int | None) -> str:
    """Why classes of the source may be missing, or what takes images of them."""
    if num_taken == num_images:
        return "their images cannot be read."
    if seed is None and num_taken >= num_classes:
        return "--seed 0 takes images from all over the source."
    return "take more images with --max-images."


def _used(labels: Labels) -> set[int]:
    return set() if labels.labels is None else set(labels.labels.tolist())
