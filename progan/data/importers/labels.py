"""Class labels of image files: from their folders, or from label files (CSV, TSV, JSON)."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from progan.data.format import SkippedImage
from progan.data.image_source import SourceFailure, UnreadableImage, format_skipped
from progan.data.importers.file_source import FileReader, FileSource, make_natural_sort_key
from progan.data.importers.label_arrays import Labels
from progan.data.importers.label_files import (
    ImageNameIndex,
    load_json,
    parse_csv_labels,
    parse_stylegan_labels,
)
from progan.errors import UserError
from progan.runtime.text import PrintLine, escape_controls, format_count, pluralize

STYLEGAN_FILE = "dataset.json"  # in the root of a source of images
_MAX_LISTED = 10  # rows in a message
_MAX_NOTES = 5


class LabelTable(NamedTuple):
    """The labels in a file, matched with the images of a source."""

    where: str  # name of the file for messages
    class_of: Mapping[str, int]  # class index by the path of the image in the source
    names: tuple[str, ...]  # class names; empty if the file says that there are no labels
    unmatched: tuple[tuple[str, str], ...] = ()  # name and label in rows without an image
    notes: tuple[str, ...] = ()  # lines for people about choices made while parsing


def label_images(
    tree: FileSource,
    paths: Sequence[str],
    all_paths: Sequence[str],
    option: str,
    print_line: PrintLine,
    num_taken: int | None = None,
    seed: int | None = None,
) -> Labels:
    """Label `paths`, a part of `all_paths`, by --labels; UserError if an image has no label.

    Args:
        option: 'none'; 'folders'; a file, .csv, .tsv or .json; or 'auto': dataset.json in the
            root of the tree if it has labels, else folders if all images are in such.
        num_taken: Number of images asked for, of which `paths` can be read; None: all.
        seed: Seed that selected them; None: they are the first ones.
    """
    if option == "none":
        return Labels(None, ())
    table = _find_label_table(tree, option, all_paths)
    if table is None:
        where, found = "the names of the folders", labels_from_folders(paths, all_paths)
        in_source = collect_used_classes(labels_from_folders(all_paths, all_paths))
        notes = merge_unicode_forms(_find_class_folders(all_paths)[1])[1]
        if found.labels is None and option == "folders":
            raise UserError(
                "--labels folders needs every image in a folder named after its class, and at "
                "least two such folders. Sort the images so, or use --labels none."
            )
    else:
        where, found = table.where, labels_from_table(table, paths)
        notes = [*table.notes, *_describe_unmatched_rows(table)]
        in_source = set(table.class_of.values())
    if found.labels is None:
        if outside := _list_images_without_class(table, all_paths):
            print_line(
                f"No labels: {len(outside):,} of {format_count(len(all_paths), 'image')} "
                f"{pluralize(len(outside), 'lies', 'lie')} in no folder of a class, such as "
                f"{escape_controls(outside[0])}. Sort them like the others, or use --labels none."
            )
        return found
    notes += describe_case_variants(found.names)
    notes += describe_missing_classes(found, in_source, num_taken, len(all_paths), seed)
    count = format_count(len(found.names), "label")
    for line in (f"{count} from {where} (--labels none leaves them out).", *notes):
        print_line(line)
    return found


def find_label_faults(tree: FileSource, paths: Sequence[str]) -> tuple[str, list[str]]:
    """Find why the images of a source do not all get labels by --labels auto.

    Returns:
        What is wrong with its dataset.json, '' if nothing; and, where folders are the classes,
        the images that are in none.
    """
    try:
        table = _find_label_table(tree, "auto", paths)
        if table is not None:
            labels_from_table(table, paths)
    except SourceFailure:
        raise
    except UserError as error:
        return str(error), []
    return "", _list_images_without_class(table, paths)


def _list_images_without_class(table: LabelTable | None, paths: Sequence[str]) -> list[str]:
    """Return the images because of which folders give no labels; [] if a table gives them."""
    return list_images_outside_of_classes(paths) if table is None else []


def _find_label_table(tree: FileSource, option: str, paths: Sequence[str]) -> LabelTable | None:
    """Read the labels that --labels names, or dataset.json for 'auto'; None: use the folders."""
    if option not in ("auto", "folders"):
        return read_label_table(Path(option), paths)
    if option == "auto" and tree.has(STYLEGAN_FILE):
        return parse_stylegan_table(read_label_member(tree, STYLEGAN_FILE), STYLEGAN_FILE, paths)
    return None


def read_label_member(tree: FileReader, path: str) -> bytes:
    """Read a file with labels in a source; raises UserError if it is unreadable."""
    try:
        return tree.read(path)
    except UnreadableImage as error:
        raise UserError(
            f"Cannot read the labels in {path}: {error.reason}. Repair the file, or leave the "
            "labels out."
        ) from error


def describe_missing_classes(
    found: Labels, in_source: set[int], num_taken: int | None, num_images: int, seed: int | None
) -> list[str]:
    """Describe how many classes of the source no taken image has, and the remedy; [] if none.

    Args:
        in_source: Class indices that occur among all `num_images`.
        num_taken: Number of images asked for; None: all.
        seed: Seed that selected them; None: they are the first ones.
    """
    num_missing = len(in_source - collect_used_classes(found))
    if not num_missing:
        return []
    remedy = _choose_missing_class_remedy(num_taken or num_images, num_images, len(in_source), seed)
    return [
        f"{format_count(num_missing, 'class', 'classes')} of the source "
        f"{pluralize(num_missing, 'has', 'have')} no image among those taken: {remedy}"
    ]


def _choose_missing_class_remedy(
    num_taken: int, num_images: int, num_classes: int, seed: int | None
) -> str:
    """Return the remedy for classes that no taken image has."""
    if num_taken == num_images:
        return "their images cannot be read."
    if seed is None and num_taken >= num_classes:
        return "--seed 0 takes images from all over the source."
    return "take more images with --max-images."


def collect_used_classes(labels: Labels) -> set[int]:
    """Return the class indices that occur; empty without labels."""
    return set() if labels.labels is None else set(labels.labels.tolist())


def labels_from_folders(paths: Sequence[str], all_paths: Sequence[str]) -> Labels:
    """Label `paths` by the first folder in which `all_paths` differ.

    Every image has to be in such a folder, and there have to be two of them at least;
    otherwise there are no labels. The names come from all paths, so that a part of a source
    has the classes of the whole.
    """
    depth, class_folders = _find_class_folders(all_paths)
    if not class_folders:
        return Labels(None, ())
    merged = merge_unicode_forms(class_folders)[0]
    names = sorted(set(merged.values()), key=make_natural_sort_key)
    index = {name: number for number, name in enumerate(names)}
    labels = [index[merged[path.split("/")[depth]]] for path in paths]
    return Labels(np.array(labels, dtype=np.int64), tuple(names))


def list_images_outside_of_classes(paths: Sequence[str]) -> list[str]:
    """Return the images in no class folder, for which no image gets a label from its folder.

    Empty if all images lie in such folders, or if there are not even two.
    """
    folders = {path: path.split("/")[:-1] for path in paths}
    depth = _find_class_folders(paths)[0]
    inside = {parts[depth] for parts in folders.values() if len(parts) > depth}
    outside = [path for path, parts in folders.items() if len(parts) <= depth]
    return outside if len(inside) > 1 else []


def _find_class_folders(paths: Sequence[str]) -> tuple[int, list[str]]:
    """Return (depth of the class folders, class folder of each path); [] if there are none."""
    folders = [path.split("/")[:-1] for path in paths]
    forms = [[*map(_normalize_nfc, parts)] for parts in folders]
    first, last = min(forms), max(forms)  # they differ the earliest of all pairs
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    if any(len(parts) <= depth for parts in folders):
        return depth, []
    return depth, [parts[depth] for parts in folders]


def merge_unicode_forms(names: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Map names that differ only in Unicode composition to one name; notes on each such name.

    macOS stores 'é' as a letter and an accent (NFD), other systems as one character (NFC). A name
    that is written in one way only stays as it is; of several spellings the composed one counts.

    Returns:
        The name of the class for each spelling, and a line for each class with several.
    """
    groups = _group_distinct_names(names, _normalize_nfc)
    merged = {
        name: spellings[0] if len(spellings) == 1 else form
        for form, spellings in groups.items()
        for name in spellings
    }
    lines = [
        f"The name {form!r} is written with different Unicode compositions (NFC and NFD): "
        "this is one class."
        for form, spellings in sorted(groups.items())
        if len(spellings) > 1
    ]
    return merged, _shorten_notes(lines)


def describe_case_variants(names: Iterable[str]) -> list[str]:
    """List the classes that differ by case only, which stay apart, for people."""
    groups = _group_distinct_names(
        names, lambda name: _normalize_nfc(_normalize_nfc(name).casefold())
    )
    lines = [
        f"{' and '.join(map(repr, group))} differ by case only and are "
        f"{format_count(len(group), 'class', 'classes')}: rename them if they are one."
        for group in sorted(map(sorted, groups.values()))
        if len(group) > 1
    ]
    return _shorten_notes(lines)


def _group_distinct_names(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    """Return {key: its distinct names in their order}."""
    groups = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[key(name)].append(name)
    return groups


def _shorten_notes(lines: list[str]) -> list[str]:
    """Return the first notes, controls escaped, and a line with the number of the others."""
    rest = len(lines) - _MAX_NOTES
    shown = [escape_controls(line) for line in lines[:_MAX_NOTES]]
    return [*shown, f"The same holds for {rest:,} more."] if rest > 0 else shown


def _normalize_nfc(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def read_label_table(path: Path, paths: Sequence[str]) -> LabelTable:
    """Read FILE.csv, .tsv or .json for the images `paths`; raises UserError if it has no labels."""
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
    """Parse rows of image and class name, and match them with the images `paths`."""
    images = ImageNameIndex(paths)
    pairs, notes = parse_csv_labels(data, where, images)
    merged, merge_notes = merge_unicode_forms(label for _, label in pairs)
    rows = [(name, merged[label]) for name, label in pairs]
    return _match_rows_with_images(rows, where, images, [*notes, *merge_notes])


def parse_stylegan_table(data: bytes, where: str, paths: Sequence[str]) -> LabelTable | None:
    """Parse the `labels` of a JSON document, or return None if it is about something else.

    Labels are indices, whose classes are called '0', '1' …, or names of classes. A document
    whose `labels` are null says that there are none: then the table is empty.
    """
    document = load_json(data, where)
    if not isinstance(document, dict) or "labels" not in document:
        return None
    if document["labels"] is None:
        return LabelTable(where, {}, ())
    pairs = parse_stylegan_labels(document["labels"], where)
    return _match_rows_with_images(pairs, where, ImageNameIndex(paths), [])


def _match_rows_with_images(
    rows: Iterable[tuple[str, str | int]], where: str, images: ImageNameIndex, notes: list[str]
) -> LabelTable:
    """Match rows (name, label) with images; UserError for two labels of one image or none."""
    label_of: dict[str, str | int] = {}
    unmatched: dict[str, str | int] = {}
    differences: Counter[str] = Counter()
    for name, label in rows:
        match = images.find(name)
        known, path = (label_of, match.path) if match else (unmatched, name)
        if str(known.setdefault(path, label)) != str(label):  # 1 and '1' are one class
            raise UserError(
                f"{where} gives {path} two labels, {known[path]} and {label}. An "
                "image has one class: remove one of them."
            )
        if match and match.difference:
            differences[match.difference] += 1
    if not label_of and not unmatched:
        raise UserError(f"{where} has no label. Correct it, or use --labels folders or none.")
    notes = list(notes)
    if 0 not in label_of.values() and 1 in label_of.values():
        notes.append(f"The labels of {where} count from 1: class 0 has no image.")
    for difference, count in differences.items():
        differ = pluralize(count, "differs from its image", "differ from their images")
        notes.append(
            f"{format_count(count, 'name')} in {where} {differ} in {difference} only, and "
            f"{pluralize(count, 'was', 'were')} matched."
        )
    names = _derive_class_names(set(label_of.values()) or set(unmatched.values()))
    index = {name: number for number, name in enumerate(names)}
    return LabelTable(
        where,
        {path: index[str(label)] for path, label in label_of.items()},
        names,
        tuple((name, str(label)) for name, label in unmatched.items()),
        tuple(notes),
    )


def _derive_class_names(labels: set[str | int]) -> tuple[str, ...]:
    """Return '0' … up to the highest index if all are numbers, else names in natural order."""
    numbers = [label for label in labels if isinstance(label, int)]
    if len(numbers) == len(labels):
        return tuple(map(str, range(max(numbers) + 1)))
    return tuple(sorted(set(map(str, labels)), key=make_natural_sort_key))


def labels_from_table(table: LabelTable, paths: Sequence[str]) -> Labels:
    """Look the paths up; raises UserError that lists those without a label.

    An empty table gives no labels at all.
    """
    if not table.names:
        return Labels(None, ())
    missing = [SkippedImage(path, "no label") for path in paths if path not in table.class_of]
    if missing:
        others = "".join(f"\n{line}" for line in _describe_unmatched_rows(table))
        raise UserError(
            f"{len(missing)} of {format_count(len(paths), 'image')} "
            f"{pluralize(len(missing), 'has', 'have')} no label in "
            f"{table.where}:\n{format_skipped(missing, lister='')}{others}\nAdd them "
            "there, as paths from the root of --source; or remove these images, or leave all "
            "labels out with --labels none."
        )
    labels = np.array([table.class_of[path] for path in paths], dtype=np.int64)
    return Labels(labels, table.names)


def _describe_unmatched_rows(table: LabelTable) -> list[str]:
    """List the rows that name no image of the source, the first ones in full; [] if all match."""
    count = len(table.unmatched)
    if not count:
        return []
    lines = [escape_controls(f"  {name}: {label}") for name, label in table.unmatched[:_MAX_LISTED]]
    if count > _MAX_LISTED:
        lines.append(f"  and {count - _MAX_LISTED:,} more")
    return [
        f"{format_count(count, 'row')} of {table.where} {pluralize(count, 'names', 'name')} no "
        f"image of the source, and {pluralize(count, 'makes', 'make')} no class:",
        *lines,
    ]
