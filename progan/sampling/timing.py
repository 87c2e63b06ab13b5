"""How long a film is, and how many frames that makes. Stdlib only."""

import math
from dataclasses import dataclass

from progan.errors import UserError

SECONDS, FPS = 10.0, 30.0  # unless asked for otherwise
MOST_SECONDS = 600
MOST_FRAMES = 36_000


@dataclass(frozen=True, slots=True)
class Timing:
    """Valid from birth: raises UserError."""

    seconds: float = SECONDS
    fps: float = FPS  # frames per second

    def __post_init__(self) -> None:
        for option, value in (("--seconds", self.seconds), ("--fps", self.fps)):
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{option} {value:g}: name a number above 0.")
        if self.seconds > MOST_SECONDS:
            raise UserError(f"--seconds {self.seconds:g}: {MOST_SECONDS} are the most. Make "
                            "several films.")
        frames = self.seconds * self.fps
        what = f"--seconds {self.seconds:g} --fps {self.fps:g}"
        if frames > MOST_FRAMES:
            raise UserError(f"{what} makes {frames:,.0f} frames; {MOST_FRAMES:,} are the most. "
                            "Ask for fewer of either.")
        if round(frames) < 1:
            raise UserError(f"{what} makes no frame. Ask for more of either.")

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)
