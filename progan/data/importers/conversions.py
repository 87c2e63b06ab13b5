"""What create-from-images says, before it writes, of all that it converts or ignores."""

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from progan.data.importers.depth import (
    Depth,
    PartialRange,
    find_partial_range,
    is_bright,
)
from progan.data.importers.inspection import read_peak, summary_lines
from progan.data.importers.preflight import Header
from progan.data.importers.tree import Tree
from progan.data.source import UnreadableImage

_MOST_BRIGHT = 0.1  # share of bright images from which no set is dark, whatever the others are


def conversion_lines(
    headers: Sequence[Header], tree: Tree, channels: int | None, background: str,
    white_level: float | None,
) -> Iterator[str]:
    """Yield one line for each kind of conversion or neglect, with the number of images.

    16-bit images are decoded for it, until it is certain that they are no set of fewer bits.
    """
    yield from summary_lines([(item.path, item.notes) for item in headers], len(headers))
    transparent = sum(item.channels == 4 for item in headers)
    if transparent and channels in (1, 3):
        yield f"{transparent} of {len(headers)} images: transparency is laid on {background}."
    if white_level is not None:
        yield from _clipped_lines(headers, tree, white_level)
    kinds: tuple[Depth, ...] = ("colour",) if white_level is not None else ("grey", "colour")
    for kind in kinds:
        paths = [item.path for item in headers if item.depth == kind]
        found = find_partial_range(kind, _peaks(tree, paths, until_bright=True))
        if found is not None:
            yield _dark_line(found)


def _dark_line(found: PartialRange) -> str:
    what = "16-bit grey" if found.kind == "grey" else "16-bit colour"
    others = found.total - len(found.paths)
    apart = f" Import the other {others} apart from them." if others else ""
    return (f"{len(found.paths)} of {found.total} {what} images: {found.explanation}, such as "
            f"{found.paths[0]}. To mend it: {found.remedy}.{apart}")


def _clipped_lines(headers: Sequence[Header], tree: Tree, white: float) -> Iterator[str]:
    """Say how many images have values above the white level, or that it is for none of them."""
    paths = [item.path for item in headers if item.depth in ("grey", "float")]
    if not paths:
        yield "--white-level has no effect: no image has one channel of more than 8 bits."
        return
    peaks = _peaks(tree, paths)
    above = {path: peak for path, peak in peaks.items() if peak > white}
    if above:
        path = max(above, key=above.__getitem__)
        yield (f"{len(above)} of {len(paths)} images have values above --white-level {white:g}, "
               f"which become white too, such as {path} with {above[path]:g}.")
    if max(peaks.values(), default=white) < white / 4:
        yield (f"The largest value of these images is {max(peaks.values()):g}, far below "
               f"--white-level {white:g}: they become dark.")


def _peaks(tree: Tree, paths: Sequence[str], until_bright: bool = False) -> dict[str, float]:
    """{path: largest value} of images that can be decoded."""
    peaks: dict[str, float] = {}
    num_bright = 0
    for path in tqdm(paths, unit="img", desc="checking", disable=None, leave=False):
        try:
            peaks[path] = read_peak(tree.read(path), path)
        except UnreadableImage:
            continue  # named when the images are written
        num_bright += is_bright(peaks[path])
        if until_bright and num_bright > _MOST_BRIGHT * len(paths):
            break
    return peaks
