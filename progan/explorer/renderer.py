"""Render what the page shows, one image at a time as generate.py does, and save it."""

import io
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import NamedTuple

from progan.explorer.view_state import ImageSpec, describe_latent, latent_at
from progan.images import Pixels, as_image, save_png
from progan.invocation import command_line
from progan.runtime.files import make_folder
from progan.sampling.image_files import save_array
from progan.sampling.latents import at_resolution, available_levels, class_of_seed, seed_labels
from progan.sampling.network_file import Snapshot
from progan.sampling.render import as_pixels, render_single
from progan.sizes import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Renderer:
    """A network that draws.

    Attributes:
        file: That it was read from.
        fingerprint: Of the file's content.
    """

    snapshot: Snapshot
    file: Path
    fingerprint: str
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @property
    def levels(self) -> tuple[int, ...]:
        """That it can draw at, lowest first."""
        return tuple(available_levels(self.snapshot).values())

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers where they have no names; () without classes."""
        count = self.snapshot.generator.config.label_size
        names = self.snapshot.label_names
        return names if len(names) == count else tuple(map(str, range(count)))

    @property
    def latent_size(self) -> int:
        return self.snapshot.generator.config.latent_size

    def size(self, level: int) -> Size:
        return self.snapshot.generator.config.size(level)

    def can_render(self, spec: ImageSpec) -> bool:
        """Whether there is such a picture."""
        return spec.level in self.levels and (
            spec.class_index is None or spec.class_index < len(self.class_names)
        )

    def class_of(self, spec: ImageSpec) -> int | None:
        """The index of its class; None without classes."""
        if not self.class_names:
            return None
        return (
            spec.class_index
            if spec.class_index is not None
            else class_of_seed(
                spec.latent.seed, len(self.class_names), self.snapshot.untrained_classes
            )
        )

    def pixels(self, spec: ImageSpec) -> Pixels:
        """uint8 [H, W, C], exactly generate.py's."""
        network = at_resolution(self.snapshot, 1 << spec.level)
        latent = latent_at(spec.latent, self.latent_size)
        label = seed_labels([self.class_of(spec) or 0], len(self.class_names))
        with self._turn:
            (image,) = render_single(network, latent, label)
            return as_pixels(image)

    def png(self, spec: ImageSpec) -> bytes:
        """A PNG file."""
        file = io.BytesIO()
        as_image(self.pixels(spec)).save(file, "png", compress_level=1)
        return file.getvalue()


class SavedFiles(NamedTuple):
    """Two files, and the command that draws the first one from the second."""

    image: Path
    latent: Path
    command: str


def save_image_and_latent(
    renderer: Renderer, spec: ImageSpec, folder: Path, text: Mapping[str, str]
) -> SavedFiles:
    """Write the picture as PNG and its latent as .npy, float32 [1, latent_size].

    Args:
        text: Where pictures come from, to be written into them; this adds which one it is.
    """
    pixels, latent = renderer.pixels(spec), latent_at(spec.latent, renderer.latent_size)
    make_folder(folder)
    with _reserve_file(folder, file_stem(renderer, spec)) as picture:
        path = _latent_path(picture)
        command = reproduce_command(renderer, spec, path)
        save_array(path, latent.numpy())
        save_png(
            picture, pixels, {**text, "Latent": describe_latent(spec.latent), "Again": command}
        )
    return SavedFiles(picture, path, command)


def file_stem(renderer: Renderer, spec: ImageSpec) -> str:
    """'seed0007-3steps-class2-16px': only the seed is always there."""
    steps, kind, top = len(spec.latent.steps), spec.class_index, renderer.levels[-1]
    return "-".join(
        [
            f"seed{spec.latent.seed:04d}",
            *[f"{steps}step{'s' * (steps > 1)}"] * bool(steps),
            *[f"class{kind}"] * (kind is not None),
            *[f"{1 << spec.level}px"] * (spec.level != top),
        ]
    )


def reproduce_command(renderer: Renderer, spec: ImageSpec, latent: Path) -> str:
    """What draws the same picture from its latent."""
    kind, folder = renderer.class_of(spec), latent.parent / "again"
    words = ["--network", renderer.file, "--latents", latent]
    words += [] if kind is None else ["--class", renderer.class_names[kind]]
    words += [] if spec.level == renderer.levels[-1] else ["--resolution", 1 << spec.level]
    return command_line("generate", *words, "--outdir", folder, portable=True)


def _latent_path(picture: Path) -> Path:
    """Not just .npy for .png: so generate.py --float calls a picture's own numbers."""
    return picture.with_name(f"{picture.stem}-latent.npy")


@contextmanager
def _reserve_file(folder: Path, name: str) -> Iterator[Path]:
    """A .png that nobody has, nor its latent: it is taken, and given back after a failure."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    picture = next(path for each in names if _create_file(path := folder / f"{each}.png"))
    try:
        yield picture
    except BaseException:
        for path in (picture, _latent_path(picture)):
            path.unlink(missing_ok=True)
        raise


def _create_file(picture: Path) -> bool:
    """Make the file, empty; False if there is one already."""
    if _latent_path(picture).exists():
        return False
    try:
        picture.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
