"""Where images to be measured come from: a dataset, a folder, a zip file, or a network."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from metrics.draws import Draw, Rows, Size, direct, kept
from progan.config import level_of
from progan.data.format import INFO_FILE
from progan.data.importers.pixels import converted, decoded, native_channels
from progan.data.importers.tree import open_tree
from progan.data.reader import Dataset
from progan.data.source import UnreadableImage
from progan.errors import UserError
from progan.images import Pixels
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.network_file import PREFIX, SUFFIX, find_network, load_network
from progan.sampling.render import render


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Images of one size, by number from 0.

    Attributes:
        description: Its path, for people and for the report.
        count: How many there are; None for a network, which draws as many as are asked for.
        read: Numbers [n] -> uint8 [n, H, W, C]; raises UserError for an image that is no image.
        cheap: Reading an image again costs next to nothing.
    """

    description: str
    size: Size
    count: int | None
    read: Callable[[Rows], Pixels]
    cheap: bool

    def draw(self, rows: Rows) -> Draw:
        """The images of these numbers [count], in this order, to be read again and again."""
        if self.cheap:
            return direct(self.read, rows, self.size)
        return kept(self.read, rows, self.size, f"reading {self.description}")


def open_source(path: Path, device: torch.device, size: Size | None = None) -> Source:
    """Open whatever `path` is; raises UserError if it is none of the four.

    Args:
        device: Where a network draws.
        size: What a dataset shows, if it has a level of that size; its top level if None.
    """
    if not path.exists():
        raise UserError(f"There is no {path}. Name a dataset, a folder or zip file of images, or "
                        "a network.")
    if path.suffix == SUFFIX or (path.is_dir() and any(path.glob(f"{PREFIX}*{SUFFIX}"))):
        return open_network(path, device)
    if (path / INFO_FILE).is_file():
        return open_dataset(path, size)
    if path.is_dir() or zipfile.is_zipfile(path):
        return open_images(path)
    raise UserError(f"{path} is neither a zip file nor a network file ({SUFFIX}). Name a dataset, "
                    "a folder or zip file of images, or a network.")


def open_pair(
    images: Path, reals: Path, device: torch.device, *, network: bool
) -> tuple[Source, Source]:
    """Open the images and the reals that they are compared with; raises UserError.

    Datasets show the level that fits the other side.

    Args:
        network: The images come from a network, whatever its file is called.
    """
    first = open_network(images, device) if network else open_source(images, device)
    second = open_source(reals, device, first.size)
    if second.size != first.size and not network:
        first = open_source(images, device, second.size)
    if second.count is None:
        raise UserError(f"{reals} is a network. Name the real images that it is compared with: a "
                        "dataset, or a folder or zip file of images.")
    if second.size != first.size:
        raise UserError(f"{images} has images of {first.size} (height, width, channels) and "
                        f"{reals} of {second.size}. Compare images of one size; dataset_tool.py "
                        "create-from-images makes them alike with --resolution and --channels.")
    return first, second


def open_network(path: Path, device: torch.device) -> Source:
    """Picture k is the one of seed k, as generate.py draws it, at the level that was trained."""
    file = find_network(path)
    snapshot = load_network(file, device)
    config = snapshot.generator.config

    def read(rows: Rows) -> Pixels:
        seeds = rows.tolist()
        return render(snapshot.generator, seed_latents(seeds, config.latent_size),
                      seed_labels(seeds, config.label_size), snapshot.level, snapshot.alpha)

    side = 1 << snapshot.level
    return Source(description=str(file), size=Size(side, side, config.channels), count=None,
                  read=read, cheap=False)


def open_dataset(path: Path, size: Size | None) -> Source:
    """The level of `size`, or else the top one, of a dataset."""
    dataset = Dataset.open(path)
    sides = [1 << level for level in dataset.info.levels]
    wish = size.height if size is not None and size.height == size.width else 0
    side = wish if wish in sides else dataset.resolution
    return Source(description=str(path), size=Size(side, side, dataset.channels),
                  count=len(dataset), read=lambda rows: dataset.images(level_of(side), rows),
                  cheap=True)


def open_images(path: Path) -> Source:
    """All images of a folder or a zip file; the first one says of which size they are."""
    tree, names, _ = open_tree(path)

    def read(rows: Rows) -> Pixels:
        return np.stack([pixels(row, size) for row in rows])

    def pixels(row: int, size: Size | None) -> Pixels:
        name = names[row]
        try:
            picture = decoded(tree.read(name), name)
            channels = native_channels(picture, name)
        except UnreadableImage as error:
            raise UserError(f"Cannot read {name} in {path}: {error.reason}. Repair or remove "
                            "it.") from error
        found = Size(picture.height, picture.width, channels)
        if found != (size or found):
            raise UserError(
                f"The images in {path} are not alike: {names[0]} is {size} (height, width, "
                f"channels), {name} is {found}. Make them alike, or make a dataset of them with "
                "dataset_tool.py create-from-images.")
        return np.asarray(converted(picture, channels), np.uint8).reshape(found)

    size = Size(*pixels(0, None).shape)
    return Source(description=str(path), size=size, count=len(names), read=read, cheap=False)
