"""One category of LSUN in its original LMDB -> ImageSource: the middle of each photograph.

The package lmdb is needed, `pip install lmdb`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from progan.data.image_source import ImageSource, Sample, UnreadableImage, select_rows
from progan.data.importers.pixels import Filter, convert_and_resize, decode_image
from progan.errors import UserError
from progan.sizes import Size, require_resolution

_WANTED = "Name the folder of one category, such as bedroom_train_lmdb, that data.mdb is in."


def import_lsun(
    source: Path,
    *,
    resolution: int = 256,
    resize_filter: Filter = "lanczos",
    max_images: int | None = None,
    seed: int | None = None,
) -> ImageSource:
    """List the images of the database `source`; they are decoded when they are written.

    Raises:
        UserError: No database, an empty one, or the package lmdb is missing.
    """
    require_resolution(resolution, "--resolution")
    try:
        import lmdb
    except ImportError as error:
        raise UserError("create-lsun needs the package lmdb: pip install lmdb") from error
    if not (source / "data.mdb").is_file():
        raise UserError(f"There is no data.mdb in --source {source}. {_WANTED}")
    try:
        database = lmdb.open(str(source), readonly=True, lock=False, readahead=False)
        with database.begin() as transaction:
            rows = select_rows(database.stat()["entries"], max_images, seed)
            keys = _keys(transaction.cursor(), set(rows.tolist()))
    except lmdb.Error as error:
        raise UserError(f"Cannot read {source / 'data.mdb'}: {error}. Fetch it again.") from error
    if not keys:
        raise UserError(f"The database {source} is empty. {_WANTED}")
    return ImageSource(
        description=f"LSUN, {source.resolve()}",
        resolution=resolution,
        channels=3,
        count=len(keys),
        read=_Reader(database, keys, Size(resolution, resolution), resize_filter),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    database: Any = field(repr=False)  # lmdb.Environment; threads may read at the same time
    keys: tuple[bytes, ...]
    size: Size
    resize_filter: Filter

    def __call__(self, row: int) -> Sample:
        key = self.keys[row]
        name = key.decode("latin1")
        try:
            with self.database.begin() as transaction:
                data = transaction.get(key)
        except Exception as error:  # lmdb.Error, whose package is imported only when needed
            raise UnreadableImage(name, f"damaged in the database ({error})") from error
        image = decode_image(data or b"", name)
        return Sample(
            convert_and_resize(
                image, channels=3, size=self.size, crop="center", resize_filter=self.resize_filter
            )
        )


def _keys(cursor: Any, rows: Collection[int]) -> tuple[bytes, ...]:
    """The keys with these numbers, in the order of the database; no image is read for it."""
    last = max(rows, default=-1)
    keys = []
    for row, key in enumerate(cursor.iternext(keys=True, values=False)):
        if row > last:
            break
        if row in rows:
            keys.append(bytes(key))
    return tuple(keys)
