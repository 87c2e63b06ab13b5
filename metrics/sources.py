"""Sources of images to be measured: a dataset, a folder, a zip file, or a network."""

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from metrics.options import MOST_RESIZE, SourceOptions
from metrics.samples import CACHE_FOLDER, NO_CACHE, Cache, ImageCache, ImageSample, ImageShape, Rows
from progan.data.format import INFO_FILE
from progan.data.image_source import UnreadableImage
from progan.data.importers.file_source import open_file_source
from progan.data.importers.pixels import convert_mode, count_native_channels, decode_srgb
from progan.data.reader import Dataset, open_dataset
from progan.errors import UserError
from progan.images import Pixels, enlarge_by_repeating_pixels
from progan.interop.describe_file import describe_file
from progan.interop.load import is_loadable_network, load_snapshot
from progan.invocation import command_line
from progan.run_directory import list_states
from progan.runtime.seeding import numpy_generator
from progan.runtime.zip_files import list_zip_members
from progan.sampling.checkpoint_format import PICKLE_NAME
from progan.sampling.find_network import find_network
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render
from progan.sampling.snapshot_file import NETWORK_SUFFIX, Snapshot, list_snapshots

ADVICE = "Name a dataset, a folder or zip file of images, or a network."
MIRRORED = " (half of them mirrored)"
RGB = 3  # channels that images of any kind can be converted to
HELD_OUT = "held-out images of "
DESCRIBED_REALS = re.compile(
    rf"(?P<before>{HELD_OUT})?(?P<path>.*?)(?P<after>( \(class .*\))?({re.escape(MIRRORED)})?)",
    re.DOTALL,
)
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleSource:
    """Images of one size, by number from 0.

    Attributes:
        description: Its path, for messages and results.
        count: Number of images; None for a network, which generates any number.
        sample: Numbers [n] -> these images; raises UserError for a file that is not an image.
        held_out: Numbers of the images held out of training: the other side of the baseline.
    """

    description: str
    size: ImageShape
    count: int | None
    sample: Callable[[Rows], ImageSample]
    held_out: Rows = field(default_factory=lambda: NO_ROWS)

    @property
    def training_rows(self) -> Rows:
        """Numbers of the images that are not held out."""
        return np.setdiff1d(np.arange(self.count or 0), self.held_out)


def open_source(
    path: Path,
    device: torch.device,
    size: ImageShape | None = None,
    subset: str = "",
    resize: int | None = None,
    *,
    can_resize: bool = True,
) -> SampleSource:
    """Open a dataset, a folder or zip file of images, or a network; raises UserError otherwise.

    Args:
        device: Where a network generates.
        size: Level of a dataset to take, if it has one of that size; else its top level.
        subset: Class of a dataset that is taken alone, by name or index; '': all.
        resize: Side in px to which the files of a folder or zip file are resized as they are
            read, so that their sizes may differ; None: they may not.
        can_resize: The command has --resize, so that messages may name it.
    """
    if not path.exists():
        raise UserError(f"No such file or directory: {path}. {ADVICE}")
    if subset and not (path / INFO_FILE).is_file():
        raise UserError(f"--subset {subset}: {path} is not a dataset and has no classes.")
    is_run = path.is_dir() and bool(list_snapshots(path) or list_states(path))
    if path.suffix == NETWORK_SUFFIX or is_run or is_loadable_network(path):
        return open_network_source(find_network(path), device)
    if (path / INFO_FILE).is_file():
        return open_dataset_source(path, size, subset)
    if path.is_dir() or _is_zip_of_files(path):
        return open_image_files(path, resize, can_resize=can_resize)
    raise UserError(f"{path} {describe_file(path).what}. {ADVICE}")


def _is_zip_of_files(path: Path) -> bool:
    """True for a zip file that is none of PyTorch's."""
    return zipfile.is_zipfile(path) and not any(
        name.endswith(PICKLE_NAME) for name in list_zip_members(path)
    )


def open_pair(
    options: SourceOptions, images: Path, device: torch.device
) -> tuple[SampleSource, SampleSource]:
    """Open images and the reals that the options compare them with; raises UserError.

    Of a dataset, the level that fits the other side is taken.

    Args:
        images: A network if the options name one, whatever its file is called.
    """
    is_network, resize, reals = options.network is not None, options.resize, options.reals
    can_resize = options.can_resize
    wanted = None if resize is None else ImageShape(resize, resize, 0)
    if is_network:
        first = open_network_source(images, device)
    else:
        first = open_source(images, device, wanted, resize=resize, can_resize=can_resize)
    second = open_source(
        reals, device, wanted or first.size, options.subset, resize, can_resize=can_resize
    )
    if second.count is None:
        raise UserError(
            f"{reals} is a network. Name the real images that it is compared with: a "
            "dataset, or a folder or zip file of images."
        )
    if second.size != first.size and not is_network:
        first = open_source(
            images, device, wanted or second.size, resize=resize, can_resize=can_resize
        )
    if resize is not None:
        first, second = resize_source(first, resize), resize_source(second, resize)
    if can_resize:
        require_same_size(first, second)
    else:
        require_size_of_network(first, second)
    return first, second


def require_same_size(images: SampleSource, reals: SampleSource) -> None:
    """Raise UserError unless both sources have images of one size."""
    if images.size == reals.size:
        return
    both = (
        f"{images.description} has images of {images.size} (width, height, channels) and "
        f"{reals.description} of {reals.size}. "
    )
    if images.size.channels != reals.size.channels:
        channels = images.size.channels if images.count is None else RGB
        creation = command_line("dataset", "create-from-images", "--channels", channels)
        raise UserError(
            both + f"Compare images of one kind: {creation} makes a dataset of each that has "
            "other channels."
        )
    side = min(*images.size[:2], *reals.size[:2], MOST_RESIZE)
    raise UserError(both + f"Compare images of one size: --resize {side} makes them alike.")


def require_size_of_network(network: SampleSource, reals: SampleSource) -> None:
    """Raise UserError unless reals have the size of a network, for commands without --resize."""
    size = network.size
    if reals.size == size:
        return
    side = ("--resolution", size.width) if size.width == size.height else (
        "--size", f"{size.width}x{size.height}"
    )  # fmt: skip
    creation = command_line("dataset", "create-from-images", *side, "--channels", size.channels)
    raise UserError(
        f"{network.description} makes images of {size} (width, height, channels) and "
        f"{reals.description} has images of {reals.size}. Make a dataset of them in the size of "
        f"the network with {creation} and name it with --data."
    )


def resize_source(source: SampleSource, side: int) -> SampleSource:
    """Resize the images of a source to side x side px."""
    size = ImageShape(side, side, source.size.channels)
    if size == source.size:
        return source

    def sample(rows: Rows) -> ImageSample:
        original = source.sample(rows)
        return replace(
            original, size=size, read=lambda some: resize_images(original.read(some), side)
        )

    return replace(source, size=size, sample=sample)


def describe_reals(path: str, class_name: str, *, mirror: bool) -> str:
    """Return the description of reals: their path, with the class, and that they are mirrored."""
    return f"{path}{f' (class {class_name})' if class_name else ''}{MIRRORED if mirror else ''}"


def split_reals(description: str) -> tuple[Path, str]:
    """Split the description of reals into their path and all else, how they were selected."""
    found = DESCRIBED_REALS.fullmatch(description)
    assert found, "it matches any text"
    return Path(found["path"]), f"{found['before'] or ''}…{found['after']}"


def resolve_reals(description: str) -> str:
    """Return the description of reals with their absolute path, which holds in any folder."""
    found = DESCRIBED_REALS.fullmatch(description)
    assert found, "it matches any text"
    return f"{found['before'] or ''}{Path(found['path']).resolve()}{found['after']}"


def flip_half_of_source(source: SampleSource) -> SampleSource:
    """Flip half of the images of a source left to right, as --mirror does in training."""
    assert source.count is not None, "networks mirror by themselves"
    flipped = numpy_generator("mirror").random(source.count) < 0.5

    def sample(rows: Rows) -> ImageSample:
        original = source.sample(rows)

        def read(some: Rows) -> Pixels:
            images = original.read(some)
            return np.where(flipped[some][:, None, None, None], images[:, :, ::-1], images)

        cache = replace(original.cache, content=f"{original.cache.content}-mirrored")
        return replace(original, read=read, cache=cache)

    return replace(source, description=f"{source.description}{MIRRORED}", sample=sample)


def swap_held_out(reals: SampleSource) -> SampleSource:
    """Swap training images and held-out ones of the reals; raises UserError if none are held out.

    Images are then compared with held-out ones, where memorising gains nothing.
    """
    if not len(reals.held_out):
        raise UserError(
            f"--held-out: {reals.description} has no held-out images. "
            f"{command_line('dataset')} holds some out with --holdout 0.1."
        )
    return replace(
        reals, description=f"{HELD_OUT}{reals.description}", held_out=reals.training_rows
    )


def open_network_source(path: Path, device: torch.device) -> SampleSource:
    """Open a network file of any program; image k is that of seed k in generate.py."""
    return network_source(load_snapshot(path, device), str(path))


def network_source(snapshot: Snapshot, description: str) -> SampleSource:
    """Generate images of seeds, enlarged to the final resolution while the network grows.

    So the whole run has one size, and one meaning of each level, as in the official code.
    """
    config = snapshot.generator.config

    def sample(rows: Rows) -> ImageSample:
        first = int(rows.min())
        cache = ImageCache(
            lambda places: generate(places + first),
            int(rows.max()) + 1 - first,
            size,
            f"generating with {description}",
        )
        cache.fill(rows - first)
        return ImageSample(
            description=description,
            rows=rows,
            size=size,
            read=lambda some: cache.read(some - first),
        )

    def generate(seeds: Rows) -> Pixels:
        latents = seed_latents(seeds.tolist(), config.latent_size)
        labels = seed_labels(seeds.tolist(), config.label_size, snapshot.untrained_classes)
        images = render(snapshot.generator, latents, labels, snapshot.level, snapshot.alpha)
        return enlarge_by_repeating_pixels(images, min(size[:2]))

    size = ImageShape(*config.size(config.max_level), config.channels)
    return SampleSource(description=description, size=size, count=None, sample=sample)


def open_dataset_source(path: Path, size: ImageShape | None, subset: str = "") -> SampleSource:
    """Open the level of `size`, or else the top one, of a dataset or of one class of it."""
    dataset = open_dataset(path, subset)
    levels = {tuple(dataset.info.size(level)): level for level in dataset.info.levels}
    top = dataset.info.levels[-1]
    source = dataset_source(dataset, top if size is None else levels.get(size[:2], top))
    return replace(source, description=describe_reals(str(path), subset, mirror=False))


def dataset_source(dataset: Dataset, level: int) -> SampleSource:
    """Return the images of one level of a dataset as a source."""
    size = ImageShape(*dataset.info.size(level), dataset.channels)
    cache = Cache(dataset.path / CACHE_FOLDER, dataset.fingerprint)

    def sample(rows: Rows) -> ImageSample:
        return ImageSample(
            description=str(dataset.path),
            rows=rows,
            size=size,
            cache=cache,
            read=lambda some: dataset.images(level, some),
        )

    return SampleSource(
        description=str(dataset.path),
        size=size,
        count=len(dataset),
        sample=sample,
        held_out=dataset.held_out_rows,
    )


def open_image_files(
    path: Path, resize: int | None = None, *, can_resize: bool = True
) -> SampleSource:
    """Open all images of a folder or a zip file; the first one sets their size.

    Args:
        resize: Side in px to resize each to; None: they must be of one size.
        can_resize: The command has --resize, so that messages may name it.
    """
    tree, names, _ = open_file_source(path)

    def pixels(row: int, size: ImageShape | None) -> Pixels:
        name = names[row]
        try:
            image = decode_srgb(tree.read(name), name)
            channels = count_native_channels(image, name)
        except UnreadableImage as error:
            raise UserError(
                f"Cannot read {name} in {path}: {error.reason}. Repair or remove it."
            ) from error
        array = np.asarray(convert_mode(image, channels), np.uint8)
        array = array.reshape(image.height, image.width, channels)
        if resize is not None:
            array = resize_images(array[None], resize)[0]
        found = ImageShape(*array.shape)
        if size is None or found == size:
            return array
        is_one_kind = found.channels == size.channels
        if can_resize and is_one_kind:
            remedy = "--resize SIDE makes them alike."
        else:
            words = () if is_one_kind else ("--channels", RGB)
            creation = command_line("dataset", "create-from-images", *words)
            remedy = f"{creation} makes a dataset of them."
        raise UserError(
            f"The images in {path} are not alike: {names[0]} is {size} (width, height, "
            f"channels), {name} is {found}. {remedy}"
        )

    size = ImageShape(*pixels(0, None).shape)
    cache = ImageCache(
        lambda rows: np.stack([pixels(row, size) for row in rows]),
        len(names),
        size,
        f"reading {path}",
    )

    def sample(rows: Rows) -> ImageSample:
        cache.fill(rows)
        return ImageSample(
            description=str(path), rows=rows, size=size, read=cache.read, cache=NO_CACHE
        )

    return SampleSource(description=str(path), size=size, count=len(names), sample=sample)


def resize_images(images: Pixels, side: int) -> Pixels:
    """Resize uint8 [N, H, W, C] -> uint8 [N, side, side, C].

    Pixels of squares are repeated, and those of any images averaged, where the sides are multiples
    of each other, so that a square enlarged and brought back is itself; all else is Lanczos.
    """
    height, width = images.shape[1:3]
    if height == width and side % height == 0:
        return enlarge_by_repeating_pixels(images, side)
    if height % side == 0 and width % side == 0:
        return _box_average(images, side)
    return np.stack([_resample_lanczos(image, side) for image in images])


def _box_average(images: Pixels, side: int) -> Pixels:
    """Average boxes exactly and round once, as the lower levels of a dataset are made."""
    count, height, width, channels = images.shape
    boxes = images.reshape(count, side, height // side, side, width // side, channels)
    averages: Pixels = np.rint(boxes.mean((2, 4))).astype(np.uint8)
    return averages


def _resample_lanczos(image: Pixels, side: int) -> Pixels:
    squeezed = image.squeeze(-1) if image.shape[-1] == 1 else image
    small = Image.fromarray(squeezed).resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(small, np.uint8).reshape(side, side, image.shape[-1])
