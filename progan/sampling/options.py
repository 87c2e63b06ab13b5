"""Parse and check generate.py's options (seeds, grid, video) without importing torch."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from progan.errors import UserError

MAX_SEEDS = 1_000_000
SECONDS, FPS = 10.0, 30.0  # defaults
MAX_SECONDS = 600
MAX_FRAMES = 36_000
MP4 = ".mp4"
NPY = "npy"  # an output format beside image formats
MAX_FPS = {MP4: 240, ".gif": 50, ".webp": 50}  # viewers slow down frames below 20 ms


def parse_seeds(text: str) -> list[int]:
    """Parse '0-3,7' -> [0, 1, 2, 3, 7]; raises UserError for anything else."""
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,10})(?:\s*-\s*([0-9]{1,10}))?\s*", part)
        if not match:
            raise UserError(f"--seeds {text!r} is not a list of seeds such as 0-15,20.")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= 2**32:
            raise UserError(f"--seeds {part.strip()}: ranges run upwards, to {2**32 - 1} at most.")
        if len(seeds) + last - first >= MAX_SEEDS:
            raise UserError(
                f"--seeds {text} names more than {MAX_SEEDS:,} images. Use several calls."
            )
        seeds.extend(range(first, last + 1))
    return seeds


def parse_grid(text: str, count: int) -> tuple[int, int]:
    """Parse '8x4' -> (8, 4), columns and rows; raises UserError if `count` images do not fit."""
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    if not match or not int(match[1]) * int(match[2]):
        raise UserError(f"--grid {text!r} is not COLSxROWS such as 8x4.")
    columns, rows = int(match[1]), int(match[2])
    if columns * rows < count:
        plural = "s" * (columns * rows > 1)
        raise UserError(
            f"--grid {text} has {columns * rows} cell{plural}, too few for {count} images."
        )
    return columns, rows


@dataclass(frozen=True, slots=True)
class VideoTiming:
    """Length and frame rate of a video; raises UserError for invalid values."""

    seconds: float = SECONDS
    fps: float = FPS  # frames per second

    def __post_init__(self) -> None:
        for option, value in (("--seconds", self.seconds), ("--fps", self.fps)):
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{option} {value:g} must be above 0.")
        if self.seconds > MAX_SECONDS:
            raise UserError(f"--seconds {self.seconds:g} is above the maximum of {MAX_SECONDS}.")
        frames = self.seconds * self.fps
        what = f"--seconds {self.seconds:g} --fps {self.fps:g}"
        if frames > MAX_FRAMES:
            raise UserError(
                f"{what} makes {frames:,.0f} frames; the maximum is {MAX_FRAMES:,}. Lower either."
            )
        if round(frames) < 1:
            raise UserError(f"{what} makes no frame. Raise either.")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """Options of generate.py; the help texts in `progan.cli.generate` say what the fields mean."""

    network: Path
    device: str
    seeds: str | None
    latents: Path | None
    class_name: str | None
    resolution: int | None
    grid: str | None
    outdir: Path | None
    sheet: bool
    kind: str
    as_floats: bool
    batch: int | None
    video: Path | None
    seconds: float
    fps: float
    walk: int | None
    smoothing: float | None
    growth: bool
    explore: bool
    port: int | None
    trunc: float = 1.0

    @property
    def timing(self) -> VideoTiming:
        return VideoTiming(self.seconds, self.fps)

    @property
    def image_format(self) -> str:
        """A key of IMAGE_SUFFIXES, or NPY."""
        return NPY if self.as_floats else self.kind


def require_video_format(path: Path, timing: VideoTiming) -> None:
    """Raise UserError if no video with this suffix and frame rate can be written."""
    suffix = path.suffix.lower()
    if suffix not in MAX_FPS:
        raise UserError(f"--video {path} must end in {', '.join(MAX_FPS)}.")
    if suffix == MP4:
        import_pyav()
    if timing.fps > MAX_FPS[suffix]:
        other = timing.fps <= MAX_FPS[MP4]
        raise UserError(
            f"--fps {timing.fps:g} is above the maximum of {MAX_FPS[suffix]} for {path.suffix}. "
            f"Choose {MAX_FPS[suffix]} or less" + (f", or name a {MP4} file." if other else ".")
        )


def import_pyav() -> ModuleType:
    """Import PyAV; raises UserError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError(
            'A .mp4 file needs PyAV: pip install "progan[video]" (or ".[video]" in a checkout). '
            ".gif and .webp do not."
        ) from error
    return av
