"""A dataset in an HDF5 file -> ImageSource at its largest resolution.

The official tools kept the levels as `data4x4`, `data8x8` …, uint8 [N,C,H,W], and the labels in a
file NAME-labels.npy beside NAME.h5. Any other array of images can be named. The package h5py is
needed, `pip install h5py`.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from progan.data.format import CHANNELS
from progan.data.image_source import (
    ImageSource,
    Sample,
    UnreadableImage,
    hash_file_samples,
    select_rows,
)
from progan.data.importers.label_arrays import Labels, labels_from_array, load_label_array
from progan.errors import UserError
from progan.sizes import MAX_LEVEL, MIN_LEVEL

_OFFICIAL_NAME = re.compile(r"data(\d+)x\1")


def import_hdf5(
    source: Path,
    *,
    key: str | None = None,
    labels_key: str | None = None,
    max_images: int | None = None,
    seed: int | None = None,
) -> ImageSource:
    """Read the images of an array in the file `source`.

    Args:
        key: Name of the images, uint8 [N,C,R,R], [N,R,R,C] or [N,R,R]; the largest dataRxR if
            not given.
        labels_key: Name of the labels in the same file, [N] or one-hot [N,L]; if not given, those
            of NAME-labels.npy, if it is there.

    Raises:
        UserError: No such file or names, other shapes, or the package h5py is missing.
    """
    file = _open_file(source)
    images = _get_array(file, source, key or _find_largest_level_name(file, source), "--key")
    layout = _read_layout(images, f"{source}: {images.name}")
    labels = _read_labels(file, source, labels_key, len(images))
    rows = select_rows(len(images), max_images, seed)

    def read(row: int) -> Sample:  # threads wait for each other
        try:
            stored = np.asarray(images[rows[row]], dtype=np.uint8)
        except OSError as error:
            raise UnreadableImage(f"{images.name}[{rows[row]}]", str(error)) from error
        if layout.channels_first:
            return Sample(stored.transpose(1, 2, 0))
        return Sample(stored.reshape(layout.resolution, layout.resolution, layout.channels))

    return ImageSource(
        description=f"HDF5, {source.resolve()}: {images.name}",
        resolution=layout.resolution,
        channels=layout.channels,
        count=len(rows),
        label_names=labels.names,
        read=read,
        identity=hash_file_samples(source),
        labels=None if labels.labels is None else labels.labels[rows],
    )


def _open_file(source: Path) -> Any:
    try:
        import h5py
    except ImportError as error:
        raise UserError("create-from-hdf5 needs the package h5py: pip install h5py") from error
    if not source.is_file():
        raise UserError(f"--source {source} is not a file. Name a file of HDF5, such as faces.h5.")
    try:
        return h5py.File(source, "r")
    except OSError as error:
        raise UserError(f"Cannot read {source} as HDF5: {error}. Copy it again.") from error


def _find_largest_level_name(file: Any, source: Path) -> str:
    """Return the name of the official level with the most pixels."""
    names: dict[int, str] = {
        int(match[1]): name for name in file if (match := _OFFICIAL_NAME.fullmatch(name))
    }
    if not names:
        raise UserError(
            f"{source} has no images called data4x4, data8x8 and so on. Name them with "
            f"--key; there are {_describe_arrays(file)}."
        )
    return names[max(names)]


def _get_array(file: Any, source: Path, name: str, option: str) -> Any:
    """Return an array of an HDF5 file; UserError, naming `option`, if there is none."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise UserError(
            f"{source} has no array {name!r}. Name another one with {option}; there "
            f"are {_describe_arrays(file)}."
        )
    return found


def _describe_arrays(file: Any) -> str:
    """Return 'data [5, 3, 8, 8], …' of all arrays at any depth, or 'none at all'."""
    import h5py

    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(f"{name} {list(item.shape)}")

    file.visititems(visit)
    return ", ".join(found) or "none at all"


class _Layout(NamedTuple):
    resolution: int
    channels: int
    channels_first: bool  # as in official files


def _read_layout(images: Any, where: str) -> _Layout:
    """Return the layout of an array of images; raises UserError if it is not such an array."""
    shape: tuple[int, ...] = images.shape or ()
    orders = {
        "NCHW": len(shape) == 4 and shape[1] in CHANNELS and shape[2] == shape[3],
        "NHWC": len(shape) == 4 and shape[3] in CHANNELS and shape[1] == shape[2],
        "NHW": len(shape) == 3 and shape[1] == shape[2],
    }
    order = next((order for order, fits in orders.items() if fits), None)
    if order is None or images.dtype != np.uint8 or not shape[0]:
        raise UserError(
            f"{where} has the shape {list(shape)} of {images.dtype}. Square images of "
            "uint8 are needed, [N,C,R,R], [N,R,R,C] or [N,R,R] with 1, 3 or 4 "
            "channels; name others with --key."
        )
    resolution = int(shape[2])
    if resolution & (resolution - 1) or not 2**MIN_LEVEL <= resolution <= 2**MAX_LEVEL:
        raise UserError(
            f"{where} has images of {resolution}x{resolution}, which is not a power of "
            f"two from {2**MIN_LEVEL} to {2**MAX_LEVEL}. Save them as image files; "
            "create-from-images resizes them."
        )
    channels = {"NCHW": shape[1], "NHWC": shape[-1], "NHW": 1}[order]
    return _Layout(resolution, int(channels), order == "NCHW")


def _read_labels(file: Any, source: Path, labels_key: str | None, count: int) -> Labels:
    beside = source.with_name(f"{source.stem}-labels.npy")
    if labels_key is not None:
        stored = _get_array(file, source, labels_key, "--labels-key")
        return labels_from_array(np.asarray(stored), count, f"{source}: {stored.name}")
    return load_label_array(beside, count) if beside.is_file() else Labels(None, ())
