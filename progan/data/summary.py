"""Describe a dataset as text or as a contact sheet, and compare two datasets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from progan.data.format import DatasetInfo
from progan.data.image_source import select_rows
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.runtime.files import format_bytes
from progan.runtime.text import escape_controls, format_count, pluralize
from progan.sizes import SQUARE

_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
_NUM_CLASSES = 20
_NUM_SKIPPED = 10
_GAP = 2  # px between two images


def describe_dataset(dataset: Dataset) -> str:
    """Describe a dataset for people: fields on the left, values on the right."""
    info = dataset.info
    named = "" if info.base == SQUARE else f", which options call {info.resolution}"
    values = {key: "not given" if value is None else value for key, value in info.options.items()}
    options = [f"{key}: {value}" for key, value in values.items()]
    rows: list[tuple[str, str | list[str]]] = [
        ("name", info.name),
        ("path", str(dataset.path)),
        ("images", f"{info.count:,}"),
        ("resolution", f"{info.top_size}{named}"),
        ("channels", f"{info.channels} ({_KINDS[info.channels]})"),
        ("levels", _describe_levels(info)),
        ("labels", _describe_classes(dataset)),
        ("landmarks", "5 points for each image" if info.has_landmarks else "none"),
        ("held out", format_count(info.holdout_count, "image") if info.holdout_count else "none"),
        ("skipped", _describe_skipped(info)),
        ("source", info.source),
        ("options", options),
        ("size on disk", format_bytes(info.num_bytes)),
        ("fingerprint", info.fingerprint),
    ]
    return "\n".join(_align_columns(rows))


def find_empty_classes(dataset: Dataset) -> list[int]:
    """Return the indices of the classes that no image has; [] without labels."""
    return np.flatnonzero(_count_per_class(dataset) == 0).tolist() if dataset.label_size else []


def _count_per_class(dataset: Dataset) -> npt.NDArray[np.int64]:
    """Return the number of images of each class: int64 [label_size]."""
    return np.bincount(dataset.labels(np.arange(len(dataset))), minlength=dataset.label_size)


def describe_empty_classes(dataset: Dataset, indices: Sequence[int], purpose: str = "") -> str:
    """Describe the classes at `indices`, at least one: '1 of 3 classes has no image: 'cat'.'"""
    names = [escape_controls(repr(dataset.label_names[index])) for index in indices[:_NUM_CLASSES]]
    more = len(indices) - len(names)
    return (
        f"{len(indices):,} of {format_count(dataset.label_size, 'class', 'classes')} "
        f"{'has' if len(indices) == 1 else 'have'} no image{' ' * bool(purpose)}{purpose}: "
        f"{', '.join(names)}{f' and {more:,} more' if more else ''}."
    )


def _describe_levels(info: DatasetInfo) -> list[str]:
    """Return a line for each level: number, size, bytes, and files if there are several."""
    lines = []
    for level in info.levels:
        files = info.list_level_files(level)
        size = format_bytes(sum(file.num_bytes for file in files))
        shards = f"  in {len(files)} files" if len(files) > 1 else ""
        lines.append(f"{level:2}  {str(info.size(level)):9}  {size:>10}{shards}")
    return lines


def _describe_classes(dataset: Dataset) -> str | list[str]:
    """Return a line for each of the first classes with its count; 'none' without labels."""
    if not dataset.label_size:
        return "none"
    counts = _count_per_class(dataset)
    names = map(escape_controls, dataset.label_names)
    shown = list(zip(names, counts.tolist(), strict=True))[:_NUM_CLASSES]
    width = max(len(name) for name, _ in shown)
    lines = [f"{index:2}  {name:{width}}  {count:,}" for index, (name, count) in enumerate(shown)]
    empty = int((counts == 0).sum())
    return (
        lines
        + _describe_remainder(dataset.label_size, _NUM_CLASSES, "class", "classes")
        + [f"{format_count(empty, 'class has', 'classes have')} no image"] * bool(empty)
    )


def _describe_skipped(info: DatasetInfo) -> str | list[str]:
    """Return the first images that were left out, with reasons; 'none' if none was."""
    if not info.skipped:
        return "none"
    lines = [f"{item.path}: {item.reason}" for item in info.skipped[:_NUM_SKIPPED]]
    return lines + _describe_remainder(len(info.skipped), _NUM_SKIPPED, "image", "images")


def _describe_remainder(total: int, shown: int, noun: str, plural: str) -> list[str]:
    """Return ['and 5 more images'], or [] if all are shown."""
    more = format_count(total - shown, f"more {noun}", f"more {plural}")
    return [f"and {more}"] * (total > shown)


def _align_columns(rows: Sequence[tuple[str, str | list[str]]]) -> list[str]:
    """Return lines with names on the left; several values of one name go below each other."""
    width = max(len(name) for name, _ in rows)
    lines = []
    for name, value in rows:
        values = [value] if isinstance(value, str) else value or ["none"]
        lines += [
            f"{label:{width}}  {escape_controls(text)}"
            for label, text in zip([name] + [""] * (len(values) - 1), values, strict=True)
        ]
    return lines


def make_contact_sheet(images: npt.NDArray[np.uint8]) -> Image.Image:
    """Lay images uint8 [n,h,w,C], n >= 1, in rows on a nearly square page."""
    num, height, width, channels = images.shape
    down, across = height + _GAP, width + _GAP
    columns = min(math.ceil(math.sqrt(num * down / across)), num)
    rows = math.ceil(num / columns)
    page = np.zeros((rows * down - _GAP, columns * across - _GAP, channels), dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * down, index % columns * across
        page[top : top + height, left : left + width] = image
    return Image.fromarray(page[:, :, 0] if channels == 1 else page)


def select_display_rows(count: int, num: int, seed: int | None) -> npt.NDArray[np.int64]:
    """Return `num` of `count` rows, ascending: evenly spread, or drawn with a seed.

    Images of one class often stand together, so that the first rows would show one class.
    """
    if seed is not None:
        return select_rows(count, num, seed)
    num = min(num, count)
    return np.arange(num, dtype=np.int64) * count // num


_CHUNK = 64  # images


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetDifference:
    count: int  # images in each
    rows: tuple[int, ...]  # numbers of the images that differ in any pixel
    largest: int  # largest difference of two values, 0…255
    mean: float  # mean absolute difference over all pixels of all images
    labels: tuple[int, ...]  # numbers of the images that have another class name


def compare_datasets(first: Dataset, second: Dataset) -> DatasetDifference:
    """Compare the top levels and the classes; raises UserError unless they have one shape."""
    shapes = [
        f"{format_count(len(each), 'image')} of {each.info.top_size}x{each.channels}"
        for each in (first, second)
    ]
    if shapes[0] != shapes[1]:
        raise UserError(
            f"{first.path} has {shapes[0]}, {second.path} has {shapes[1]}: only "
            "datasets of one shape can be compared."
        )
    level = first.info.levels[-1]
    differing: list[int] = []
    largest, total = 0, 0
    for start in tqdm(range(0, len(first), _CHUNK), unit="chunk", disable=None, leave=False):
        rows = np.arange(start, min(start + _CHUNK, len(first)))
        pair = [each.images(level, rows).astype(np.int16) for each in (first, second)]
        difference = np.abs(pair[0] - pair[1])
        differing += rows[difference.any(axis=(1, 2, 3))].tolist()
        largest, total = max(largest, int(difference.max())), total + int(difference.sum())
    differs = _get_class_name_per_image(first) != _get_class_name_per_image(second)
    return DatasetDifference(
        count=len(first),
        rows=tuple(differing),
        largest=largest,
        mean=total / (len(first) * first.info.top_size.pixels * first.channels),
        labels=tuple(np.flatnonzero(differs).tolist()),
    )


def _get_class_name_per_image(dataset: Dataset) -> npt.NDArray[np.str_]:
    """Return the class name of each image, [count]; '' without labels."""
    if not dataset.label_size:
        return np.full(len(dataset), "")
    return np.array(dataset.label_names)[dataset.labels(np.arange(len(dataset)))]


def describe_difference(found: DatasetDifference) -> str:
    """Describe for people how many images and classes differ, and which."""
    if not found.rows and not found.labels:
        if found.count == 1:
            return "The image is equal."
        return f"All {format_count(found.count, 'image')} are equal."
    lines = []
    if found.rows:
        lines.append(
            f"{len(found.rows):,} of {format_count(found.count, 'image')} "
            f"{pluralize(len(found.rows), 'differs', 'differ')}, by {found.largest} at "
            f"most and {found.mean:.4g} in the mean of all pixels: {_format_first_rows(found.rows)}"
        )
    if found.labels:
        lines.append(
            f"{format_count(len(found.labels), 'image')} "
            f"{pluralize(len(found.labels), 'has', 'have')} another class: "
            f"{_format_first_rows(found.labels)}"
        )
    return "\n".join(lines)


def _format_first_rows(rows: tuple[int, ...]) -> str:
    """Join the first ten numbers with commas; ' …' stands for more."""
    return ", ".join(map(str, rows[:10])) + " …" * (len(rows) > 10)
