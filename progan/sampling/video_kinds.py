"""Which kinds of video files there are, without importing torch."""

from pathlib import Path
from types import ModuleType

from progan.errors import UserError
from progan.sampling.timing import Timing

MP4 = ".mp4"
MOST_FPS = {MP4: 240, ".gif": 50, ".webp": 50}  # viewers show frames below 20 ms slowly


def require_kind(path: Path, timing: Timing) -> None:
    """Raise UserError if no such video can be written, whatever its frames are."""
    suffix = path.suffix.lower()
    if suffix not in MOST_FPS:
        raise UserError(f"--video {path}: the name of a film ends in {', '.join(MOST_FPS)}.")
    if suffix == MP4:
        encoder()
    if timing.fps > MOST_FPS[suffix]:
        other = timing.fps <= MOST_FPS[MP4]
        raise UserError(f"--fps {timing.fps:g}: a {path.suffix} shows {MOST_FPS[suffix]} frames "
                        f"per second at most. Ask for {MOST_FPS[suffix]} or fewer"
                        + (f", or name a {MP4} file." if other else "."))


def encoder() -> ModuleType:
    """PyAV; raises UserError if it is not installed."""
    try:
        import av
    except ImportError as error:
        raise UserError('A .mp4 file needs the encoder of PyAV: pip install "progan[video]" (or '
                        '".[video]" in a checkout). .gif and .webp need nothing more.') from error
    return av
