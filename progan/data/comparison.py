"""Two datasets, image by image."""

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from progan.data.reader import Dataset
from progan.errors import UserError
from progan.runtime.text import format_count, pluralize

_CHUNK = 64  # images


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetDifference:
    """How two datasets of one shape differ.

    Attributes:
        count: Images in each.
        rows: Numbers of the images that differ in any pixel.
        largest: Greatest difference of two values, 0…255.
        mean: Mean absolute difference over all pixels of all images.
        labels: Numbers of the images that have another class name.
    """

    count: int
    rows: tuple[int, ...]
    largest: int
    mean: float
    labels: tuple[int, ...]


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
    mean = total / (len(first) * first.info.top_size.pixels * first.channels)
    return DatasetDifference(
        count=len(first),
        rows=tuple(differing),
        largest=largest,
        mean=mean,
        labels=_other_labels(first, second),
    )


def _other_labels(first: Dataset, second: Dataset) -> tuple[int, ...]:
    rows = np.arange(len(first))
    names = [
        np.array(each.label_names)[each.labels(rows)] if each.label_size else np.full(len(each), "")
        for each in (first, second)
    ]
    return tuple(rows[names[0] != names[1]].tolist())


def describe_difference(found: DatasetDifference) -> str:
    """The difference for people."""
    if not found.rows and not found.labels:
        return (
            "The image is equal."
            if found.count == 1
            else f"All {format_count(found.count, 'image')} are equal."
        )
    lines = []
    if found.rows:
        lines.append(
            f"{len(found.rows):,} of {format_count(found.count, 'image')} "
            f"{pluralize(len(found.rows), 'differs', 'differ')}, by {found.largest} at "
            f"most and {found.mean:.4g} in the mean of all pixels: {_some(found.rows)}"
        )
    if found.labels:
        lines.append(
            f"{format_count(len(found.labels), 'image')} "
            f"{pluralize(len(found.labels), 'has', 'have')} another class: "
            f"{_some(found.labels)}"
        )
    return "\n".join(lines)


def _some(rows: tuple[int, ...]) -> str:
    return ", ".join(map(str, rows[:10])) + " …" * (len(rows) > 10)
