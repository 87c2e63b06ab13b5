"""Read the header of every image before anything is written, and report all that is wrong."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from tqdm import tqdm

from progan.data.format import Skipped
from progan.data.importers.depth import Depth
from progan.data.importers.ignored import SIGNATURE_BYTES, is_heif
from progan.data.importers.inspection import Note, inspect_image
from progan.data.importers.pixels import Crop, band_width
from progan.data.importers.tree import Tree
from progan.data.source import OnError, UnreadableImage
from progan.data.unreadable import listed, require_readable
from progan.errors import UserError
from progan.runtime.worker_pool import in_order, worker_pool
from progan.sizes import MAX_LEVEL, MIN_LEVEL, Size, level_of

_KINDS = {1: "grey (1 channel)", 3: "colour (3 channels)", 4: "with transparency (4 channels)"}


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of an image without decoding it; its size is that of the upright image."""

    path: str
    width: int  # px, upright
    height: int
    channels: int
    digest: str  # SHA-256 of the file in hexadecimal
    depth: Depth
    notes: tuple[Note, ...]  # what is ignored or converted


def read_headers(tree: Tree, paths: Sequence[str]) -> tuple[list[Header], list[Skipped]]:
    """Return the headers in the order of the paths, and the files that have none."""
    workers = os.cpu_count() or 1
    with worker_pool(workers, in_processes=False) as pool:
        found = [*tqdm(in_order(pool, partial(_header_or_fault, tree), paths, ahead=4 * workers),
                       total=len(paths), unit="img", desc="checking", disable=None, leave=False)]
    return ([item for item in found if isinstance(item, Header)],
            [item for item in found if isinstance(item, Skipped)])


def _header_or_fault(tree: Tree, path: str) -> Header | Skipped:
    try:
        return read_header(tree.read(path), path)
    except UnreadableImage as error:
        return Skipped(error.path, error.reason)


def read_header(data: bytes, path: str) -> Header:
    """Read the header of one image file; raises UnreadableImage."""
    try:
        found = inspect_image(data, path)
    except UnreadableImage as error:
        if is_heif(data[:SIGNATURE_BYTES]):  # as telephones name them when they send them
            raise UnreadableImage(path, "a HEIC, HEIF or AVIF image that cannot be decoded, "
                                  "whatever its suffix; convert it to JPEG or PNG") from error
        raise
    return Header(path, *found.size, found.channels, sha256(data).hexdigest(), found.depth,
                  found.notes)


def readable_headers(
    source: Path, tree: Tree, paths: Sequence[str], on_error: OnError,
    fault: Callable[[Header], str] = lambda header: "",
) -> tuple[list[Header], list[Skipped]]:
    """Return the headers of all images that can be used, and the others.

    Args:
        fault: Says what is wrong with an image; '' if nothing.

    Raises:
        UserError: Some cannot be used, and errors are to stop; or none can.
    """
    headers, unreadable = read_headers(tree, paths)
    unreadable += [Skipped(header.path, reason) for header in headers if (reason := fault(header))]
    if on_error == "stop":
        require_readable(source, len(paths), unreadable)
    headers = [header for header in headers if not fault(header)]
    if not headers:
        raise UserError(f"None of the images in {source} can be read:\n{listed(unreadable)}")
    return headers, unreadable


def common_channels(headers: Sequence[Header]) -> int:
    """The number of channels that all images have; UserError if they differ."""
    examples = {header.channels: header.path for header in reversed(headers)}
    if len(examples) > 1:
        counts = {kind: sum(header.channels == kind for header in headers) for kind in examples}
        lines = "\n".join(f"  {counts[kind]} {_KINDS[kind]}, such as {examples[kind]}"
                          for kind in sorted(examples))
        raise UserError(f"The images are not all of one kind:\n{lines}\nMake them alike with "
                        "--channels 1, --channels 3 or --channels 4.")
    return headers[0].channels


def fitting_resolution(headers: Sequence[Header]) -> int:
    """The largest resolution, up to 1024, for which no image has to be enlarged."""
    smallest = min(headers, key=lambda header: min(header.width, header.height))
    side = min(smallest.width, smallest.height)
    if side < 2**MIN_LEVEL:
        raise UserError(f"{smallest.path} has only {smallest.width}x{smallest.height} pixels, "
                        f"less than the {2**MIN_LEVEL} of the smallest resolution. Remove it, or "
                        "name a --resolution to enlarge it to.")
    return int(2 ** min(level_of(side), MAX_LEVEL))


def num_enlarged(headers: Sequence[Header], size: Size, crop: Crop) -> int:
    """How many images have fewer pixels than the size asks for."""
    return sum(_is_enlarged(header.width, header.height, size, crop) for header in headers)


def _is_enlarged(width: int, height: int, size: Size, crop: Crop) -> bool:
    """Whether fewer px of an image than of `size` become its width or its height."""
    if crop == "wide":
        return band_width(width, height, size.width) < size.width
    lacking = width < size.width, height < size.height
    return all(lacking) if crop == "pad" else any(lacking)
