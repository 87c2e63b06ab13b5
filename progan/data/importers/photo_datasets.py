"""CelebA (aligned), CUB-200-2011 and LSUN in their original files -> ImageSource."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from progan.data.image_source import (
    ImageSource,
    OnError,
    Sample,
    UnreadableImage,
    hash_file_samples,
    select_rows,
)
from progan.data.importers.file_source import FolderSource, open_file_source
from progan.data.importers.ignored_files import describe_ignored
from progan.data.importers.image_headers import hash_headers, read_usable_headers
from progan.data.importers.pixels import (
    FILTERS,
    Filter,
    convert_and_resize,
    convert_mode,
    decode_image,
)
from progan.errors import UserError
from progan.runtime.text import PrintLine
from progan.sizes import Size, require_resolution

CELEBA_WIDTH, CELEBA_HEIGHT = 178, 218  # px, of every aligned image
CELEBA_RESOLUTION = 128
CELEBA_CENTER_X, CELEBA_CENTER_Y = 89, 121  # px, of the official crop
CELEBA_PLACES = (
    "img_align_celeba",
    "img_align_celeba.zip",
    "img_align_celeba_png",
    "celeba/img_align_celeba",
    "celeba/img_align_celeba.zip",
)
CUB200_FOLDER = "CUB_200_2011"
CUB200_PADDING = 0.25
_CUB200_HINT = f"Name the unpacked folder {CUB200_FOLDER}, which has images.txt and images/."
_LSUN_HINT = "Name the folder of one category, such as bedroom_train_lmdb, that data.mdb is in."


def import_celeba(
    source: Path,
    *,
    print_line: PrintLine,
    cx: int = CELEBA_CENTER_X,
    cy: int = CELEBA_CENTER_Y,
    max_images: int | None = None,
    seed: int | None = None,
    on_error: OnError = "stop",
) -> ImageSource:
    """Read aligned images at 128x128, cropped as the official tool does it.

    Args:
        source: The folder img_align_celeba, its zip file, or a folder that has one of them.
        print_line: Receives one line about what was found.
        cx: Middle of the crop in px from the left, 64 … 114.
        cy: The same from the top, 64 … 154.

    Raises:
        UserError: No images, unreadable ones, or images of another size.
    """
    assert 64 <= cx <= CELEBA_WIDTH - 64 and 64 <= cy <= CELEBA_HEIGHT - 64, (cx, cy)
    place = next((path for name in CELEBA_PLACES if (path := source / name).exists()), source)
    tree, paths, ignored = open_file_source(place)
    for line in describe_ignored(ignored):
        print_line(line)
    taken = [paths[row] for row in select_rows(len(paths), max_images, seed)]
    headers, unreadable = read_usable_headers(
        place, tree, taken, on_error, lambda header: _describe_celeba_size(*header.size)
    )
    left, top = cx - CELEBA_RESOLUTION // 2, cy - CELEBA_RESOLUTION // 2

    def read(row: int) -> Sample:
        path = headers[row].path
        image = convert_mode(decode_image(tree.read(path), path), 3)
        if fault := _describe_celeba_size(*image.size):  # as EXIF can turn it
            raise UnreadableImage(path, fault)
        crop = np.s_[top : top + CELEBA_RESOLUTION, left : left + CELEBA_RESOLUTION]
        return Sample(np.asarray(image)[crop])

    return ImageSource(
        description=f"CelebA, {place.resolve()}",
        resolution=CELEBA_RESOLUTION,
        channels=3,
        count=len(headers),
        read=read,
        identity=hash_headers(headers),
        skipped=tuple(unreadable),
    )


def _describe_celeba_size(width: int, height: int) -> str:
    """Describe how an image's size differs from that of aligned images; '' if it does not."""
    wanted = f"{CELEBA_WIDTH}x{CELEBA_HEIGHT}"
    if f"{width}x{height}" == wanted:
        return ""
    return f"it has {width}x{height} pixels, not the {wanted} of aligned CelebA images"


class Box(NamedTuple):
    """A rectangle in px; fractions are possible."""

    left: float
    top: float
    width: float
    height: float


def import_cub200(
    source: Path,
    *,
    resolution: int = 64,
    padding: float = CUB200_PADDING,
    resize_filter: Filter = "box",
    max_images: int | None = None,
    seed: int | None = None,
    on_error: OnError = "stop",
) -> ImageSource:
    """Read Caltech-UCSD Birds 2011, each bird cropped around its bounding box.

    Args:
        source: `CUB_200_2011` or the folder that it is in.
        padding: Growth of the longer side of the bounding box, as a fraction of it.

    Raises:
        UserError: Missing or damaged tables, or images that cannot be read.
    """
    require_resolution(resolution, "--resolution")
    root = source / CUB200_FOLDER if (source / CUB200_FOLDER).is_dir() else source
    if not (root / "images.txt").is_file():
        raise UserError(f"No images.txt in --source {source}. {_CUB200_HINT}")
    tables, tree = _read_cub200_tables(root), FolderSource(root / "images")
    rows = select_rows(len(tables.paths), max_images, seed).tolist()
    number_of = {tables.paths[row]: row for row in rows}
    headers, unreadable = read_usable_headers(tree.root, tree, list(number_of), on_error)
    kept = [number_of[header.path] for header in headers]

    def read(row: int) -> Sample:
        path, box = headers[row].path, tables.boxes[kept[row]]
        image = convert_mode(decode_image(tree.read(path), path), 3)
        width, height = image.size
        if not (box.left + box.width / 2 < width and box.top + box.height / 2 < height):
            fault = f"its bounding box {tuple(box)} is beside its {width}x{height} pixels"
            raise UnreadableImage(path, fault)
        bird = image.crop(compute_crop_box(box, width, height, padding))
        return Sample(np.asarray(bird.resize((resolution, resolution), FILTERS[resize_filter])))

    return ImageSource(
        description=f"Caltech-UCSD Birds, {root.resolve()}",
        resolution=resolution,
        channels=3,
        count=len(kept),
        read=read,
        identity=hash_headers(headers),
        labels=np.array(tables.labels, np.int64)[kept],
        label_names=tables.label_names,
        skipped=tuple(unreadable),
    )


def compute_crop_box(
    box: Box, width: int, height: int, padding: float
) -> tuple[int, int, int, int]:
    """Compute left, top, right and bottom of the crop in an image of width x height px.

    The crop is that of the Keras example "Data-efficient GANs with adaptive discriminator
    augmentation": a square around the bounding box, a quarter larger, within the image; the
    caller stretches what is less than a square.
    """
    x, y = box.left + box.width / 2, box.top + box.height / 2
    size = (1 + padding) * max(box.width, box.height)
    left, right = _compute_crop_range(x, size, width)
    top, bottom = _compute_crop_range(y, size, height)
    return left, top, right, bottom


def _compute_crop_range(center: float, size: float, limit: int) -> tuple[int, int]:
    """Return first px and the one after the last: `size` long, or less to stay in 0 … limit."""
    inside = min(size, 2 * center, 2 * (limit - center))
    start = max(0, min(round(center - inside / 2), limit - 1))
    return start, min(start + max(1, round(inside)), limit)


class _Cub200Tables(NamedTuple):
    """Path, bounding box and class index of each image, and the names of the classes."""

    paths: list[str]
    boxes: list[Box]
    labels: list[int]
    label_names: tuple[str, ...]


def _read_cub200_tables(root: Path) -> _Cub200Tables:
    images = _read_cub200_table(root / "images.txt", 1)
    classes = _read_cub200_table(root / "classes.txt", 1)
    boxes = _read_cub200_table(root / "bounding_boxes.txt", 4)
    class_of = _read_cub200_table(root / "image_class_labels.txt", 1)
    index = {number: row for row, number in enumerate(classes)}
    try:
        return _Cub200Tables(
            [path for (path,) in images.values()],
            [_parse_box(boxes[number]) for number in images],
            [index[class_of[number][0]] for number in images],
            tuple(name for (name,) in classes.values()),
        )
    except KeyError as error:
        raise UserError(
            f"The tables in {root} do not agree: one of them has no line of the number "
            f"{error}. Fetch the dataset again."
        ) from error
    except ValueError as error:
        raise UserError(
            f"{root / 'bounding_boxes.txt'} is damaged: {error}. Fetch the dataset again."
        ) from error


def _parse_box(numbers: Sequence[str]) -> Box:
    """Parse left, top, width, height; ValueError unless it is a rectangle of 1 px at least."""
    box = Box(*map(float, numbers))
    if not (box.left >= 0 and box.top >= 0 and box.width >= 1 and box.height >= 1):
        raise ValueError(f"{' '.join(numbers)} is not a rectangle")
    return box


def _read_cub200_table(path: Path, num_values: int) -> dict[str, list[str]]:
    """Read lines 'number value …' as number -> values, in their order; raises UserError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {_CUB200_HINT}") from error
    rows = {}
    for number, line in enumerate(lines, 1):
        key, *values = line.split() or [""]
        if len(values) != num_values:
            raise UserError(
                f"{path} is damaged: line {number} is {line!r}, not a number and "
                f"{num_values} more. Fetch the dataset again."
            )
        rows[key] = values
    if not rows:
        raise UserError(f"{path} is empty. Fetch the dataset again.")
    return rows


def import_lsun(
    source: Path,
    *,
    resolution: int = 256,
    resize_filter: Filter = "lanczos",
    max_images: int | None = None,
    seed: int | None = None,
) -> ImageSource:
    """Read the middle of each photograph of one category, an LMDB folder; needs the package lmdb.

    Raises:
        UserError: No database, an empty one, or the package lmdb is missing.
    """
    require_resolution(resolution, "--resolution")
    database, keys = _open_lmdb(source, max_images, seed)
    size = Size(resolution, resolution)

    def read(row: int) -> Sample:
        name = keys[row].decode("latin1")
        try:
            with database.begin() as transaction:  # threads may read at the same time
                data = transaction.get(keys[row])
        except Exception as error:  # lmdb.Error
            raise UnreadableImage(name, f"damaged in the database ({error})") from error
        image = decode_image(data or b"", name)
        return Sample(
            convert_and_resize(
                image, channels=3, size=size, crop="center", resize_filter=resize_filter
            )
        )

    return ImageSource(
        description=f"LSUN, {source.resolve()}",
        resolution=resolution,
        channels=3,
        count=len(keys),
        read=read,
        identity=hash_file_samples(source / "data.mdb"),
    )


def _open_lmdb(source: Path, max_images: int | None, seed: int | None) -> tuple[Any, list[bytes]]:
    """Open a database, lmdb.Environment, and list the keys of the images to take."""
    try:
        import lmdb
    except ImportError as error:
        raise UserError("create-lsun needs the package lmdb: pip install lmdb") from error
    if not (source / "data.mdb").is_file():
        raise UserError(f"No data.mdb in --source {source}. {_LSUN_HINT}")
    try:
        database = lmdb.open(str(source), readonly=True, lock=False, readahead=False)
        with database.begin() as transaction:
            rows = select_rows(database.stat()["entries"], max_images, seed)
            keys = _list_keys(transaction.cursor(), set(rows.tolist()))
    except lmdb.Error as error:
        raise UserError(f"Cannot read {source / 'data.mdb'}: {error}. Fetch it again.") from error
    if not keys:
        raise UserError(f"The database {source} is empty. {_LSUN_HINT}")
    return database, keys


def _list_keys(cursor: Any, rows: Collection[int]) -> list[bytes]:
    """List the keys with these numbers, in the order of the database, without reading images."""
    found, last = [], max(rows, default=-1)
    for row, key in enumerate(cursor.iternext(keys=True, values=False)):
        if row > last:
            break
        if row in rows:
            found.append(bytes(key))
    return found
