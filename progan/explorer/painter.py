"""Draws what is looked at, with generate.py's own code: one picture at a time."""

import io
import threading
from dataclasses import dataclass, field
from pathlib import Path

from progan.explorer.looks import Sight
from progan.explorer.places import latent_at
from progan.images import Pixels, as_image
from progan.sampling.latents import at_resolution, available_levels, class_of_seed, seed_labels
from progan.sampling.network_file import Snapshot
from progan.sampling.render import as_pixels, render_single
from progan.sizes import Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Painter:
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
    def kinds(self) -> tuple[str, ...]:
        """Names of the classes, or their numbers where they have no names; () without classes."""
        count = self.snapshot.generator.config.label_size
        names = self.snapshot.label_names
        return names if len(names) == count else tuple(map(str, range(count)))

    @property
    def latent_size(self) -> int:
        return self.snapshot.generator.config.latent_size

    def size(self, level: int) -> Size:
        return self.snapshot.generator.config.size(level)

    def knows(self, sight: Sight) -> bool:
        """Whether there is such a picture."""
        return sight.level in self.levels and (sight.kind is None or sight.kind < len(self.kinds))

    def kind_of(self, sight: Sight) -> int | None:
        """The index of its class; None without classes."""
        if not self.kinds:
            return None
        return sight.kind if sight.kind is not None else class_of_seed(
            sight.place.seed, len(self.kinds), self.snapshot.untrained_classes)

    def pixels(self, sight: Sight) -> Pixels:
        """uint8 [H, W, C], exactly generate.py's."""
        network = at_resolution(self.snapshot, 1 << sight.level)
        latent = latent_at(sight.place, self.latent_size)
        label = seed_labels([self.kind_of(sight) or 0], len(self.kinds))
        with self._turn:
            (image,) = render_single(network, latent, label)
            return as_pixels(image)

    def png(self, sight: Sight) -> bytes:
        """A PNG file."""
        file = io.BytesIO()
        as_image(self.pixels(sight)).save(file, "png", compress_level=1)
        return file.getvalue()
