"""Where images to be measured come from: a dataset, a folder, a zip file, or a network."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from metrics.samples import CACHE_FOLDER, NO_CACHE, Album, Cache, ImageSample, Rows, Size
from progan.data.format import INFO_FILE
from progan.data.image_source import UnreadableImage
from progan.data.importers.file_source import open_file_source
from progan.data.importers.pixels import convert_mode, count_native_channels, decode_srgb
from progan.data.reader import Dataset
from progan.data.splits import select_class as of_class
from progan.errors import UserError
from progan.images import Pixels, enlarge
from progan.interop.describe_file import describe
from progan.interop.load import is_network, load_snapshot
from progan.invocation import command_line
from progan.run_directory import list_states
from progan.runtime.files import zip_member_names
from progan.runtime.seeding import numpy_generator
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.network_choice import find_network
from progan.sampling.network_file import PREFIX, SUFFIX, Snapshot
from progan.sampling.render import render
from progan.sampling.state_file import INDEX

ADVICE = "Name a dataset, a folder or zip file of images, or a network."
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Images of one size, by number from 0.

    Attributes:
        description: Its path, for people and for the report.
        count: How many there are; None for a network, which draws as many as are asked for.
        draw: Numbers [n] -> the draw of these images; raises UserError for one that is no image.
        held_out: Numbers of the images that no training sees: the other side of the baseline.
    """

    description: str
    size: Size
    count: int | None
    draw: Callable[[Rows], ImageSample]
    held_out: Rows = field(default_factory=lambda: NO_ROWS)

    @property
    def trained_on(self) -> Rows:
        """Numbers of all images that are not held out."""
        return np.setdiff1d(np.arange(self.count or 0), self.held_out)


def open_source(
    path: Path, device: torch.device, size: Size | None = None, subset: str = ""
) -> Source:
    """Open a dataset, a folder or zip file of images, or a network; raises UserError otherwise.

    Args:
        device: Where a network draws.
        size: What a dataset shows, if it has a level of that size; its top level if None.
        subset: Class of a dataset that is taken alone, by name or index; '': all.
    """
    if not path.exists():
        raise UserError(f"There is no {path}. {ADVICE}")
    if subset and not (path / INFO_FILE).is_file():
        raise UserError(f"--subset {subset}: {path} is no dataset, and has no classes.")
    if path.suffix == SUFFIX or is_run(path) or is_network(path):
        return open_network(find_network(path), device)
    if (path / INFO_FILE).is_file():
        return open_dataset(path, size, subset)
    if path.is_dir() or _is_zip_of_files(path):
        return open_images(path)
    raise UserError(f"{path} {describe(path).what}. {ADVICE}")


def _is_zip_of_files(path: Path) -> bool:
    """Whether a file is a zip file, and none of PyTorch's."""
    return zipfile.is_zipfile(path) and not any(
        name.endswith(INDEX) for name in zip_member_names(path)
    )


def is_run(path: Path) -> bool:
    """Whether a folder has snapshots of a network, or training states."""
    return path.is_dir() and (any(path.glob(f"{PREFIX}*{SUFFIX}")) or bool(list_states(path)))


def open_pair(
    images: Path,
    reals: Path,
    device: torch.device,
    *,
    network: bool,
    resize: int | None = None,
    subset: str = "",
) -> tuple[Source, Source]:
    """Open the images and the reals that they are compared with; raises UserError.

    Datasets show the level that fits the other side.

    Args:
        network: The images come from a network, whatever its file is called.
        resize: Side in px that all images are brought to.
        subset: Class of the reals that is taken alone, by name or index.
    """
    wish = None if resize is None else Size(resize, resize, 0)
    first = open_network(images, device) if network else open_source(images, device, wish)
    second = open_source(reals, device, wish or first.size, subset)
    if second.count is None:
        raise UserError(
            f"{reals} is a network. Name the real images that it is compared with: a "
            "dataset, or a folder or zip file of images."
        )
    if second.size != first.size and not network:
        first = open_source(images, device, wish or second.size)
    if resize is not None:
        first, second = to_side(first, resize), to_side(second, resize)
    require_alike(first, second)
    return first, second


def require_alike(images: Source, reals: Source) -> None:
    """Raise UserError unless both have images of one size."""
    if images.size == reals.size:
        return
    both = (
        f"{images.description} has images of {images.size} (width, height, channels) and "
        f"{reals.description} of {reals.size}. "
    )
    if images.size.channels != reals.size.channels:
        raise UserError(
            both + "Compare images of one kind; "
            f"{command_line('dataset', 'create-from-images')} makes them alike with "
            "--channels."
        )
    side = min(*images.size[:2], *reals.size[:2])
    raise UserError(both + f"Compare images of one size: --resize {side} makes them alike.")


def to_side(source: Source, side: int) -> Source:
    """The same images, resized to side x side px."""
    size = Size(side, side, source.size.channels)
    if size == source.size:
        return source

    def draw(rows: Rows) -> ImageSample:
        drawn = source.draw(rows)
        return replace(drawn, size=size, read=lambda some: resize_images(drawn.read(some), side))

    return replace(source, size=size, draw=draw)


def mirrored(source: Source) -> Source:
    """The same images, half of them flipped left to right: what --mirror trains on."""
    assert source.count is not None, "networks mirror by themselves"
    flipped = numpy_generator("mirror").random(source.count) < 0.5

    def draw(rows: Rows) -> ImageSample:
        drawn = source.draw(rows)

        def read(some: Rows) -> Pixels:
            images = drawn.read(some)
            return np.where(flipped[some][:, None, None, None], images[:, :, ::-1], images)

        cache = replace(drawn.cache, content=f"{drawn.cache.content}-mirrored")
        return replace(drawn, read=read, cache=cache)

    return replace(source, draw=draw)


def of_held_out(reals: Source) -> Source:
    """The reals with training images and held-out ones exchanged; raises UserError without any.

    Images then meet what no training has seen, where learning by heart gains nothing.
    """
    if not len(reals.held_out):
        raise UserError(
            f"--held-out: {reals.description} has no images that were held out. "
            f"{command_line('dataset')} keeps some with --holdout 0.1."
        )
    return replace(
        reals, description=f"held-out images of {reals.description}", held_out=reals.trained_on
    )


def open_network(path: Path, device: torch.device) -> Source:
    """A network file of any program: picture k is the one of seed k, as generate.py draws it."""
    return of_network(load_snapshot(path, device), str(path))


def of_network(snapshot: Snapshot, description: str) -> Source:
    """The pictures of seeds, enlarged to the final resolution where it still grows.

    So the whole run has one size, and one meaning of each level, as in the official code.
    """
    config = snapshot.generator.config

    def draw(rows: Rows) -> ImageSample:
        first = int(rows.min())
        album = Album(
            lambda places: picture(places + first),
            int(rows.max()) + 1 - first,
            size,
            f"drawing with {description}",
        )
        album.prepare(rows - first)
        return ImageSample(
            description=description,
            rows=rows,
            size=size,
            read=lambda some: album.read(some - first),
        )

    def picture(seeds: Rows) -> Pixels:
        latents = seed_latents(seeds.tolist(), config.latent_size)
        labels = seed_labels(seeds.tolist(), config.label_size, snapshot.untrained_classes)
        images = render(snapshot.generator, latents, labels, snapshot.level, snapshot.alpha)
        return enlarge(images, min(size[:2]))

    size = Size(*config.size(config.max_level), config.channels)
    return Source(description=description, size=size, count=None, draw=draw)


def open_dataset(path: Path, size: Size | None, subset: str = "") -> Source:
    """The level of `size`, or else the top one, of a dataset or of one class of it."""
    dataset = of_class(Dataset.open(path), subset) if subset else Dataset.open(path)
    levels = {tuple(dataset.info.size(level)): level for level in dataset.info.levels}
    top = dataset.info.levels[-1]
    return of_dataset(dataset, top if size is None else levels.get(size[:2], top))


def of_dataset(dataset: Dataset, level: int) -> Source:
    """The images of one level of a dataset."""
    size = Size(*dataset.info.size(level), dataset.channels)
    cache = Cache(dataset.path / CACHE_FOLDER, dataset.fingerprint)

    def draw(rows: Rows) -> ImageSample:
        return ImageSample(
            description=str(dataset.path),
            rows=rows,
            size=size,
            cache=cache,
            read=lambda some: dataset.images(level, some),
        )

    return Source(
        description=str(dataset.path),
        size=size,
        count=len(dataset),
        draw=draw,
        held_out=dataset.held_out_rows,
    )


def open_images(path: Path) -> Source:
    """All images of a folder or a zip file; the first one says of which size they are."""
    tree, names, _ = open_file_source(path)

    def pixels(row: int, size: Size | None) -> Pixels:
        name = names[row]
        try:
            picture = decode_srgb(tree.read(name), name)
            channels = count_native_channels(picture, name)
        except UnreadableImage as error:
            raise UserError(
                f"Cannot read {name} in {path}: {error.reason}. Repair or remove it."
            ) from error
        found = Size(picture.height, picture.width, channels)
        if found != (size or found):
            raise UserError(
                f"The images in {path} are not alike: {names[0]} is {size} (width, height, "
                f"channels), {name} is {found}. Make them alike, or make a dataset of them with "
                f"{command_line('dataset', 'create-from-images')}."
            )
        return np.asarray(convert_mode(picture, channels), np.uint8).reshape(found)

    size = Size(*pixels(0, None).shape)
    album = Album(
        lambda rows: np.stack([pixels(row, size) for row in rows]),
        len(names),
        size,
        f"reading {path}",
    )

    def draw(rows: Rows) -> ImageSample:
        album.prepare(rows)
        return ImageSample(
            description=str(path), rows=rows, size=size, read=album.read, cache=NO_CACHE
        )

    return Source(description=str(path), size=size, count=len(names), draw=draw)


def resize_images(images: Pixels, side: int) -> Pixels:
    """uint8 [N, H, W, C] -> uint8 [N, side, side, C].

    Pixels are repeated or averaged where the sides are multiples of each other, so that an image
    enlarged and brought back is itself; all else is Lanczos.
    """
    height, width = images.shape[1:3]
    if height == width and side % height == 0:
        return enlarge(images, side)
    if height % side == 0 and width % side == 0:
        return _box_average(images, side)
    return np.stack([_resample(image, side) for image in images])


def _box_average(images: Pixels, side: int) -> Pixels:
    """Exact box averages, rounded once: what the lower levels of a dataset are."""
    count, height, width, channels = images.shape
    boxes = images.reshape(count, side, height // side, side, width // side, channels)
    averages: Pixels = np.rint(boxes.mean((2, 4))).astype(np.uint8)
    return averages


def _resample(image: Pixels, side: int) -> Pixels:
    squeezed = image.squeeze(-1) if image.shape[-1] == 1 else image
    small = Image.fromarray(squeezed).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8).reshape(side, side, image.shape[-1])
