"""Pictures of people -> images such as a network draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from progan.data.importers.pixels import decoded_srgb, pixels
from progan.data.source import UnreadableImage
from progan.errors import UserError
from progan.images import Pixels, to_signed
from progan.runtime.text import caseless
from progan.sampling.network_file import Snapshot


@dataclass(frozen=True, slots=True)
class Target:
    """A picture, cut and resized to what a network draws."""

    name: str  # of its file, without suffix
    pixels: Pixels  # [H, W, C]

    def image(self) -> Tensor:
        """[1, C, H, W] in [-1, 1]."""
        return to_signed(torch.from_numpy(self.pixels.transpose(2, 0, 1).copy()))[None]


def read_targets(paths: Sequence[Path], snapshot: Snapshot) -> list[Target]:
    """Read pictures, as `create-from-images` does: upright, the middle of them, by Lanczos.

    Raises UserError if one cannot be read, or if two have the same name.
    """
    stems: dict[str, list[str]] = {}
    for path in paths:
        stems.setdefault(caseless(path.stem), []).append(path.stem)  # one name on many disks
    for alike in stems.values():
        if len(alike) > 1:
            raise UserError(f"{len(alike)} pictures are called {' and '.join(sorted(set(alike)))}, "
                            "and what is made of them would have one name. Rename them, or name "
                            "another --outdir for each.")
    return [Target(path.stem, _read(path, snapshot)) for path in paths]


def _read(path: Path, snapshot: Snapshot) -> Pixels:
    config = snapshot.generator.config
    if path.exists() and not path.is_file():  # of a pipe there might come nothing, for ever
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'no file'}. Name pictures.")
    try:
        return pixels(decoded_srgb(path.read_bytes(), str(path)), channels=config.channels,
                      size=config.size(snapshot.level), crop="center", resize_filter="lanczos")
    except UnreadableImage as error:
        raise UserError(f"Cannot read {path}: {error.reason}. Name a picture that can be "
                        "opened.") from error
