"""What was found, as files: latents, pictures beside their targets, a film of the way."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels, save_png
from progan.projection.search import Found
from progan.projection.targets import Target
from progan.runtime.files import make_folder
from progan.runtime.text import sanitize_line
from progan.sampling.image_files import replace_undecodable, save_array
from progan.sampling.network_file import Snapshot
from progan.sampling.options import MAX_SECONDS, VideoTiming
from progan.sampling.render import as_pixels, render_single
from progan.sampling.video import frame_of, frame_size, write_video
from progan.sizes import Size

LATENTS_FILE = "projected.npy"
HOLD_SECONDS = 1.0  # how long a film rests on what was found


@dataclass(frozen=True, slots=True)
class Projected:
    """A target, and where the search for it led."""

    target: Target
    found: Found

    def picture(self, snapshot: Snapshot) -> Pixels:
        """[H, W, C], what `generate.py --latents` draws."""
        (image,) = render_single(snapshot, self.found.latents[-1:], self.found.label[None])
        return as_pixels(image)

    def class_name(self, snapshot: Snapshot) -> str:
        """What it was drawn as, of a network with classes."""
        return snapshot.label_names[int(self.found.label.argmax())]


def files_of(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """What is written for a picture: its target, what was found, and the latent of that."""
    return (folder / f"{name}-target.png", folder / f"{name}-projected.png",
            folder / f"{name}-projected.npy")


def write_one(folder: Path, snapshot: Snapshot, projected: Projected, text: Mapping[str, str]
              ) -> str:
    """Write what was found of one picture; return a line on how near it is."""
    make_folder(folder)
    drawn, target = projected.picture(snapshot), projected.target
    aim, picture, latent = files_of(folder, target.name)
    save_png(aim, target.pixels, {})
    save_png(picture, drawn, {**text, "Target": replace_undecodable(target.name)})
    _save_latents(latent, [projected])
    named = (f", class {sanitize_line(projected.class_name(snapshot))}"
             if snapshot.label_names else "")
    return f"{picture}  {off_by(drawn, target.pixels):.1f} of 255 off{named}"


def write_all(folder: Path, all_of_it: Sequence[Projected]) -> Path:
    """Write the latents of all pictures in one file."""
    _save_latents(folder / LATENTS_FILE, all_of_it)
    return folder / LATENTS_FILE


def _save_latents(path: Path, some: Sequence[Projected]) -> None:
    """As generate.py takes them: float32 [N, latent_size]."""
    latents = torch.stack([each.found.latents[-1] for each in some])
    save_array(path, latents.cpu().numpy())


def off_by(image: Pixels, other: Pixels) -> float:
    """Root mean square of the difference, in levels of 0…255."""
    return float(np.sqrt(np.mean((image.astype(float) - other) ** 2)))


def film_timing(steps: int, fps: float) -> VideoTiming:
    """A frame for each step, and a rest at the end; raises UserError if that is too long."""
    seconds = (steps + 1) / fps + HOLD_SECONDS
    if not seconds <= MAX_SECONDS:
        raise UserError(f"--steps {steps} at --fps {fps:g} make a film of {seconds:.0f} s, and "
                        f"{MAX_SECONDS} are the most. Ask for more --fps.")
    return VideoTiming(seconds, fps)


def film_size(cell: Size, count: int) -> Size:
    """Of the frames: for each picture a row of its target and what is drawn."""
    return frame_size(cell, 2, count)


def write_film(path: Path, snapshot: Snapshot, all_of_it: Sequence[Projected], timing: VideoTiming,
               text: Mapping[str, str]) -> None:
    """The way of each picture, right of its target."""
    bar = tqdm(_frames(snapshot, all_of_it, timing), total=timing.frames, unit="frame",
               desc=path.name, disable=None, leave=False)
    write_video(path, bar, timing, text)


def _frames(snapshot: Snapshot, all_of_it: Sequence[Projected], timing: VideoTiming
            ) -> Iterator[Pixels]:
    labels = torch.stack([each.found.label for each in all_of_it])
    ways = torch.stack([each.found.latents for each in all_of_it], dim=1)
    for latents in ways:
        drawn = map(as_pixels, render_single(snapshot, latents, labels))
        cells = [image for each, picture in zip(all_of_it, drawn, strict=True)
                 for image in (each.target.pixels, picture)]
        frame = frame_of(np.stack(cells), 2, len(all_of_it))
        yield frame
    for _ in range(timing.frames - len(ways)):
        yield frame
