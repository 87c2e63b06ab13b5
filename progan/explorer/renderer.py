"""Render the images of the explorer one at a time as generate.py does, and save them."""

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from progan.explorer.view_state import (
    MAX_PERCENT,
    MAX_TRUNCATION,
    ImageSpec,
    compute_latent,
    describe_latent,
)
from progan.images import Pixels, save_png, to_pil
from progan.invocation import command_line
from progan.runtime.files import make_folder
from progan.sampling.image_files import replace_undecodable, save_array
from progan.sampling.latents import (
    available_levels,
    choose_class_of_seed,
    seed_labels,
    select_resolution,
)
from progan.sampling.render import render_single, to_uint8_pixels
from progan.sampling.snapshot_file import Snapshot
from progan.sampling.truncation import find_centres, truncate
from progan.sizes import Size

IMAGE_PATH = "/image"  # where the server has the images


@dataclass(frozen=True, kw_only=True, slots=True)
class Renderer:
    """A network that renders images of a spec.

    Attributes:
        file: The network file.
        fingerprint: Hash of its content.
        _centres: Centres of truncation that were found, by class and level.
    """

    snapshot: Snapshot
    file: Path
    fingerprint: str
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _centres: dict[tuple[int | None, int], Tensor] = field(default_factory=dict)

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels that the network can generate at, lowest first."""
        return tuple(available_levels(self.snapshot).values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their indices if they have none; () without classes."""
        count = self.snapshot.generator.config.label_size
        names = self.snapshot.label_names
        return names if len(names) == count else tuple(map(str, range(count)))

    @property
    def latent_size(self) -> int:
        return self.snapshot.generator.config.latent_size

    def size(self, level: int) -> Size:
        return self.snapshot.generator.config.size(level)

    def can_render(self, spec: ImageSpec) -> bool:
        """True if the network has the level and the class, and the truncation is allowed."""
        return (
            spec.level in self.levels
            and spec.truncation <= MAX_TRUNCATION
            and (spec.class_index is None or spec.class_index < len(self.class_names))
        )

    def class_of(self, spec: ImageSpec) -> int | None:
        """Return the index of an image's class; None without classes."""
        if not self.class_names:
            return None
        if spec.class_index is not None:
            return spec.class_index
        untrained = self.snapshot.untrained_classes
        return choose_class_of_seed(spec.latent.seed, len(self.class_names), untrained)

    def pixels(self, spec: ImageSpec) -> Pixels:
        """Generate uint8 [H, W, C], equal to the image of generate.py."""
        network = select_resolution(self.snapshot, 1 << spec.level)
        latent = compute_latent(spec.latent, self.latent_size)
        label = seed_labels([self.class_of(spec) or 0], len(self.class_names))
        with self._lock:
            if spec.truncation != MAX_PERCENT:
                key = self.class_of(spec), spec.level
                if key not in self._centres:  # finding it takes 1,024 small images
                    self._centres[key] = find_centres(network, label)[0]
                centre = self._centres[key]
                latent = truncate(latent, centre, spec.truncation / MAX_PERCENT)
            (image,) = render_single(network, latent, label)
            return to_uint8_pixels(image)

    def png(self, spec: ImageSpec) -> bytes:
        """Generate the content of a PNG file."""
        file = io.BytesIO()
        to_pil(self.pixels(spec)).save(file, "png", compress_level=1)
        return file.getvalue()


class SavedFiles(NamedTuple):
    """An image, its latent, and the command that generates the image from the latent."""

    image: Path
    latent: Path
    command: str


def save_image_and_latent(
    renderer: Renderer, spec: ImageSpec, folder: Path, text: Mapping[str, str]
) -> SavedFiles:
    """Write an image as PNG and its latent as .npy, float32 [1, latent_size].

    Args:
        text: Provenance, written into the PNG file with the latent's name and the command.
    """
    pixels, latent = renderer.pixels(spec), compute_latent(spec.latent, renderer.latent_size)
    make_folder(folder)
    with _reserve_png_with_latent(folder, file_stem(renderer, spec)) as image:
        path = _latent_path(image)
        command = reproduce_command(renderer, spec, path)
        save_array(path, latent.numpy())
        again = {"Latent": describe_latent(spec.latent), "Again": replace_undecodable(command)}
        save_png(image, pixels, {**text, **again})
    return SavedFiles(image, path, command)


def file_stem(renderer: Renderer, spec: ImageSpec) -> str:
    """Return e.g. seed0007-3steps-class2-trunc70-16px; parts but the seed only if they differ."""
    steps, index = len(spec.latent.steps), spec.class_index
    parts = [f"seed{spec.latent.seed:04d}"]
    if steps:
        parts.append(f"{steps}step{'s' * (steps > 1)}")
    if index is not None:
        parts.append(f"class{index}")
    if spec.truncation != MAX_PERCENT:
        parts.append(f"trunc{spec.truncation}")
    if spec.level != renderer.levels[-1]:
        parts.append(f"{1 << spec.level}px")
    return "-".join(parts)


def reproduce_command(renderer: Renderer, spec: ImageSpec, latent: Path) -> str:
    """Return the command that generates the same image from the file of its latent."""
    index, folder = renderer.class_of(spec), latent.parent / "again"
    words = ["--network", renderer.file, "--latents", latent]
    words += [] if index is None else ["--class", renderer.class_names[index]]
    words += [] if spec.level == renderer.levels[-1] else ["--resolution", 1 << spec.level]
    words += [] if spec.truncation == MAX_PERCENT else ["--trunc", spec.truncation / MAX_PERCENT]
    return command_line("generate", *words, "--outdir", folder, portable=True)


def _latent_path(image: Path) -> Path:
    """Return NAME-latent.npy; generate.py --float uses NAME.npy for the image itself."""
    return image.with_name(f"{image.stem}-latent.npy")


@contextmanager
def _reserve_png_with_latent(folder: Path, name: str) -> Iterator[Path]:
    """Create an empty .png with an unused name, also of its latent; delete both on failure."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    image = next(path for each in names if _create_empty_png(path := folder / f"{each}.png"))
    try:
        yield image
    except BaseException:
        for path in (image, _latent_path(image)):
            path.unlink(missing_ok=True)
        raise


def _create_empty_png(image: Path) -> bool:
    """Create an empty file; return False if it or its latent exists."""
    if _latent_path(image).exists():
        return False
    try:
        image.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
