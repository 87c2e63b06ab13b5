"""Procedurally generated portraits, without any download -> ImageSource."""

from dataclasses import dataclass

from progan.data.image_source import ImageSource, Sample
from progan.data.portraits.painting import draw
from progan.errors import UserError
from progan.sizes import require_resolution


def import_demo(*, resolution: int, num_images: int, seed: int) -> ImageSource:
    """Portraits number 0 to num_images - 1 of a seed, with their landmarks."""
    require_resolution(resolution, "--resolution")
    if num_images < 1:
        raise UserError(f"--num-images must be at least 1, not {num_images}.")
    return ImageSource(
        description=f"drawn portraits, seed {seed}",
        resolution=resolution,
        channels=3,
        count=num_images,
        read=_Reader(resolution, seed),
        has_landmarks=True,
        in_processes=True,
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    resolution: int
    seed: int

    def __call__(self, index: int) -> Sample:
        portrait = draw(index, self.resolution, self.seed)
        return Sample(portrait.image, portrait.landmarks)
