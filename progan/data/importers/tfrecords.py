"""The official multi-resolution TFRecords -> ImageSource at their largest resolution.

A file NAME-rNN.tfrecords for each level 2^NN holds `Example`s with `shape` [C,H,W] and `data`,
uint8; NAME-rxx.labels, a .npy file, holds the labels of all. TensorFlow is not needed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from progan.data.format import CHANNELS
from progan.data.importers.examples import image_of
from progan.data.importers.label_arrays import load_label_file
from progan.data.importers.labels import Labels
from progan.data.importers.records import Record, index_records, place, read_record, require_crc32c
from progan.data.source import ImageSource, Sample, UnreadableImage, chosen
from progan.errors import UserError
from progan.sizes import MAX_LEVEL, MIN_LEVEL

_FILE_NAME = re.compile(r"(.+)-r(\d\d)\.tfrecords")
_WANTED = "Name the folder with the files NAME-rNN.tfrecords, which the official tool wrote."


def import_tfrecords(
    source: Path, *, max_images: int | None = None, seed: int | None = None
) -> ImageSource:
    """Look through the largest of the files in `source`; raises UserError if files are amiss."""
    require_crc32c()
    path, name, level = _largest(source)
    if not MIN_LEVEL <= level <= MAX_LEVEL:
        raise UserError(f"{path} is of the level {level}, which is none from {MIN_LEVEL} to "
                        f"{MAX_LEVEL}. {_WANTED}")
    records = index_records(path)
    if not records:
        raise UserError(f"{path} is empty. Copy it again.")
    labels_file = source / f"{name}-rxx.labels"
    labels = load_label_file(labels_file, len(records)) if labels_file.is_file() else (
        Labels(None, ()))
    channels = _channels(path, records[0], 2**level)
    rows = chosen(len(records), max_images, seed)
    return ImageSource(
        description=f"TFRecords, {path.resolve()}", resolution=2**level, channels=channels,
        count=len(rows),
        read=_Reader(path, tuple(records[row] for row in rows), (channels, 2**level, 2**level)),
        labels=None if labels.labels is None else labels.labels[rows], label_names=labels.names,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path
    records: tuple[Record, ...]
    shape: tuple[int, int, int]  # [C,R,R]

    def __call__(self, row: int) -> Sample:
        record = self.records[row]
        image = _image(self.path, record)
        if image.shape != self.shape:
            raise UnreadableImage(place(self.path, record), f"its shape is {image.shape}, not "
                                  f"{self.shape} as that of the others")
        return Sample(image.transpose(1, 2, 0))


def _image(path: Path, record: Record) -> npt.NDArray[np.uint8]:
    """The image [C,H,W] of a record; raises UnreadableImage."""
    data = read_record(path, record)
    try:
        return image_of(data)
    except ValueError as error:
        raise UnreadableImage(place(path, record), f"it holds no image: {error}") from error


def _channels(path: Path, first: Record, resolution: int) -> int:
    """The channels of the first image, which has to be what the name of the file says."""
    channels, height, width = map(int, _image(path, first).shape)
    if (height, width) != (resolution, resolution) or channels not in CHANNELS:
        raise UserError(f"{place(path, first)} has the shape [{channels}, {height}, {width}]; by "
                        f"the name of the file it should be {resolution}x{resolution}, with 1, 3 "
                        "or 4 channels in front. Give the file its own name back, or copy it "
                        "again.")
    return channels


def _largest(source: Path) -> tuple[Path, str, int]:
    """The file of the highest level, the name of its dataset, and the level."""
    if not source.is_dir():
        raise UserError(f"--source {source} is no folder. {_WANTED}")
    found = [(int(match[2]), match[1], path) for path in source.iterdir()
             if (match := _FILE_NAME.fullmatch(path.name))]
    if not found:
        raise UserError(f"There is no file NAME-rNN.tfrecords in --source {source}. {_WANTED}")
    names = sorted({name for _, name, _ in found})
    if len(names) > 1:
        raise UserError(f"--source {source} holds several datasets: {', '.join(names)}. Move each "
                        "into a folder of its own.")
    level, name, path = max(found)
    return path, name, level
