"""Export a dataset as PNG files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from progan.data.importers.labels import STYLEGAN_FILE
from progan.data.reader import Dataset
from progan.runtime.files import (
    cleared_before_and_on_failure,
    require_free_space,
    staging_directory,
)
from progan.runtime.text import escape_controls, format_count, make_distinct_file_names
from progan.runtime.workers import map_in_order, worker_pool

_CHUNK = 64  # images that a worker takes at a time
_MAX_LISTED = 10  # classes in a message


class ExtractionResult(NamedTuple):
    """The number of images written, and the classes whose folders have other names."""

    num_images: int
    renamed: tuple[tuple[str, str], ...]  # class, folder


def extract_images(dataset: Dataset, dest: Path, level: int, workers: int) -> ExtractionResult:
    """Write every image as DEST/<number>.png, or DEST/<class>/<number>.png.

    The pixels are those of the dataset, and `create-from-images` makes a dataset of the same
    images of them, where they are not square with their --size; with classes in the order of
    their names, and images in the order of the classes. Where the names of folders cannot be
    those of the classes, DEST/dataset.json has the latter, which that command reads.

    Args:
        level: One that the dataset has.
        workers: Threads that compress.
    """
    folders = make_distinct_file_names(dataset.label_names, "class")
    labels = dataset.labels(np.arange(len(dataset))).tolist() if dataset.label_size else None
    paths = _make_png_paths(folders, labels, len(dataset))
    used = sorted(set(labels or ()))
    names = [(dataset.label_names[label], folders[label]) for label in used]
    renamed = tuple((name, folder) for name, folder in names if name != folder)

    def write(rows: npt.NDArray[np.int64]) -> int:
        for row, pixels in zip(rows, dataset.images(level, rows), strict=True):
            image = Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels)
            image.save(directory / paths[row])
        return len(rows)

    # PNG never takes much more than the pixels themselves.
    num_bytes = len(dataset) * dataset.info.size(level).pixels * dataset.channels
    with staging_directory(dest) as directory, cleared_before_and_on_failure(directory):
        require_free_space(dest, num_bytes, f"The folder {dest}")
        for label in used:
            (directory / folders[label]).mkdir()
        if renamed or len(used) == 1:  # folders alone would lose these classes
            classes = [dataset.label_names[label] for label in labels or ()]
            document = {"labels": list(zip(paths, classes, strict=True))}
            (directory / STYLEGAN_FILE).write_text(json.dumps(document, indent=0), "utf-8")
        with (
            worker_pool(workers, in_processes=False) as pool,
            tqdm(total=len(dataset), unit="img", desc=str(dest), disable=None) as progress,
        ):
            rows = np.arange(len(dataset))
            chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
            for count in map_in_order(pool, write, chunks, ahead=2 * workers):
                progress.update(count)
    return ExtractionResult(len(dataset), renamed)


def describe_renamed_folders(extracted: ExtractionResult, dest: Path) -> list[str]:
    """List the classes whose folders have other names, for people; [] without any."""
    if not extracted.renamed:
        return []
    classes = format_count(len(extracted.renamed), "class", "classes")
    lines = [
        f"The names of {classes} cannot be used for folders on every file system. Their folders:"
    ]
    for name, folder in extracted.renamed[:_MAX_LISTED]:
        lines.append(f"  {escape_controls(repr(name))}: {folder}")
    if (more := len(extracted.renamed) - _MAX_LISTED) > 0:
        lines.append(f"  and {more:,} more")
    return [*lines, f"{dest / STYLEGAN_FILE} keeps the names, and create-from-images reads it."]


def _make_png_paths(folders: Sequence[str], labels: Sequence[int] | None, count: int) -> list[str]:
    """Return the relative path of each image: '07.png', or 'class/07.png' with labels."""
    digits = len(str(count - 1))
    files = [f"{row:0{digits}d}.png" for row in range(count)]
    if labels is None:
        return files
    return [f"{folders[label]}/{file}" for label, file in zip(labels, files, strict=True)]
