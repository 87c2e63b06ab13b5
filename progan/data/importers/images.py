"""Any folder or zip file of images -> ImageSource."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from progan.config import require_resolution
from progan.data.importers.labels import Labels, folder_labels
from progan.data.importers.pixels import Crop, Filter, decoded, pixels
from progan.data.importers.preflight import (
    Header,
    common_channels,
    fitting_resolution,
    num_enlarged,
    readable_headers,
)
from progan.data.importers.tree import Tree, open_tree
from progan.data.source import ImageSource, OnError, Sample, chosen
from progan.errors import UserError

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOptions:
    """How images become a dataset; None leaves the choice to the images."""

    resolution: int | None = None
    channels: int | None = None
    crop: Crop = "center"
    resize_filter: Filter = "lanczos"
    labels: Literal["auto", "folders", "none"] = "auto"
    max_images: int | None = None
    seed: int | None = None
    on_error: OnError = "stop"


def import_images(source: Path, options: ImageOptions, say: Say) -> ImageSource:
    """Look through the images below `source` and tell how they will be read.

    Args:
        say: Receives one line for each choice that was made for the user.

    Raises:
        UserError: No images, unreadable ones, several kinds of them, or a wrong resolution.
    """
    if options.resolution is not None:
        require_resolution(options.resolution, "--resolution")
    tree, paths, num_others = open_tree(source)
    if num_others:
        say(f"{num_others} files that are not images are ignored.")
    taken = [paths[row] for row in chosen(len(paths), options.max_images, options.seed)]
    headers, unreadable = readable_headers(source, tree, taken, options.on_error)
    labels = _labels(headers, paths, options, say)
    resolution = _resolution(headers, options, say)
    reader = _Reader(tree, tuple(header.path for header in headers), resolution,
                     options.channels or common_channels(headers), options)
    return ImageSource(
        description=str(source.resolve()), resolution=resolution, channels=reader.channels,
        count=len(headers), read=reader, labels=labels.labels, label_names=labels.names,
        skipped=tuple(unreadable),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one image by its number."""

    tree: Tree
    paths: tuple[str, ...]
    resolution: int
    channels: int
    options: ImageOptions

    def __call__(self, row: int) -> Sample:
        path = self.paths[row]
        picture = decoded(self.tree.read(path), path)
        return Sample(pixels(
            picture, channels=self.channels, resolution=self.resolution,
            crop=self.options.crop, resize_filter=self.options.resize_filter))


def _resolution(headers: Sequence[Header], options: ImageOptions, say: Say) -> int:
    resolution = options.resolution
    if resolution is None:
        resolution = fitting_resolution(headers)
        say(f"Resolution {resolution}, the largest that no image has to be enlarged for.")
    enlarged = num_enlarged(headers, resolution, options.crop)
    if enlarged:
        say(f"{enlarged} of {len(headers)} images are smaller than {resolution}x{resolution} "
            "and will be enlarged.")
    return resolution


def _labels(
    headers: Sequence[Header], all_paths: Sequence[str], options: ImageOptions, say: Say
) -> Labels:
    if options.labels == "none":
        return Labels(None, ())
    found = folder_labels([header.path for header in headers], all_paths)
    if found.labels is not None:
        num_used = len(set(found.labels.tolist()))
        say(f"{len(found.names)} labels from the names of the folders "
            "(--labels none leaves them out).")
        if num_used < len(found.names):
            say(f"Only {num_used} of them are among the images taken: "
                "--seed 0 takes images from all over the source.")
    elif options.labels == "folders":
        raise UserError("--labels folders needs every image in a folder named after its class, "
                        "and at least two such folders. Sort the images so, or use --labels none.")
    return found
