"""Frames -> a film file: the one place that knows how films are encoded."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from progan.errors import UserError
from progan.images import Pixels
from progan.runtime.files import human_bytes, replaced
from progan.runtime.text import format_count
from progan.sampling import stills
from progan.sampling.timing import Timing
from progan.sampling.video_kinds import encoder, require_kind
from progan.sizes import Size

CRF = "16"  # H.264's constant rate factor: hardly to be told from the original
BT709 = 1  # number of the colours of HD television, in the standards of video
MOST_BYTES = 2**31  # of frames that are kept until the last one
LARGEST = Size(8192, 8192)  # px; players give up before

Write = Callable[[Path, Iterable[Pixels], Timing, Mapping[str, str]], None]


@dataclass(frozen=True, slots=True)
class Format:
    write: Write
    bytes_per_pixel: int  # in memory until the end; 0: of none


def write(path: Path, frames: Iterable[Pixels], timing: Timing, text: Mapping[str, str]) -> None:
    """Write frames, uint8 [H, W, 3], of one size, as the suffix of the file says; it loops.

    Args:
        text: Where the film comes from.
    """
    with replaced(path) as temporary:
        FORMATS[path.suffix.lower()].write(temporary, frames, timing, text)


def require(path: Path, timing: Timing, size: Size) -> None:
    """Raise UserError if no such film can be written, before any of it is drawn."""
    require_kind(path, timing)
    kind = FORMATS[path.suffix.lower()]
    if max(size) > max(LARGEST):
        raise UserError(f"Frames of {size} px are larger than {LARGEST}. Put fewer images into a "
                        "frame, or smaller ones.")
    num_bytes = timing.frames * size.pixels * kind.bytes_per_pixel
    if num_bytes > MOST_BYTES:
        raise UserError(f"{format_count(timing.frames, 'frame')} of {size} px need "
                        f"{human_bytes(num_bytes)} of "
                        f"memory as {path.suffix}, more than {human_bytes(MOST_BYTES)}. Name a "
                        ".mp4 file, or ask for fewer frames or smaller ones.")


def _write_mp4(path: Path, frames: Iterable[Pixels], timing: Timing,
               text: Mapping[str, str]) -> None:
    """H.264 with halved colours (yuv420p), which every player and browser shows."""
    av = encoder()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        file.metadata["comment"] = _line(text)
        stream = file.add_stream("libx264", rate=Fraction(timing.fps).limit_denominator(1001),
                                 options={"crf": CRF})
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for number, pixels in enumerate(map(_even, frames)):
            if not number:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709")
            frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _even(pixels: Pixels) -> Pixels:
    """With an even number of rows and columns, as halved colours need; an odd one's last twice."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(path: Path, frames: Iterable[Pixels], timing: Timing,
               text: Mapping[str, str]) -> None:
    """Each frame has the 256 colours that suit it best."""
    images, shown = zip(*[(Image.fromarray(pixels).quantize(256), duration)
                          for pixels, duration in merged(frames, durations(timing, 10))],
                        strict=True)
    images[0].save(path, "gif", save_all=True, append_images=images[1:], duration=shown, loop=0,
                   comment=_line(text).encode())


def _write_webp(path: Path, frames: Iterable[Pixels], timing: Timing,
                text: Mapping[str, str]) -> None:
    """Lossless: with losses, libwebp's encoder drops frames that differ little."""
    images, shown = zip(*[(Image.fromarray(pixels), duration)
                          for pixels, duration in merged(frames, durations(timing, 1))],
                        strict=True)
    images[0].save(path, "webp", save_all=True, append_images=images[1:], duration=shown, loop=0,
                   lossless=True, exif=stills.exif(text))


def merged(frames: Iterable[Pixels], shown: Iterable[int]) -> Iterator[tuple[Pixels, int]]:
    """Frames and how long to show each; equal ones in a row become one that is shown longer."""
    waiting: tuple[Pixels, int] | None = None
    for pixels, duration in zip(frames, shown, strict=True):
        if waiting is None:
            waiting = pixels, duration
        elif np.array_equal(pixels, waiting[0]):
            waiting = waiting[0], waiting[1] + duration
        else:
            yield waiting
            waiting = pixels, duration
    if waiting is not None:
        yield waiting


def _line(text: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in text.items())


def durations(timing: Timing, unit: int) -> list[int]:
    """How long each frame is shown, in ms, in whole units whose errors do not add up."""
    ends = [round(frame * 1000 / timing.fps / unit) * unit for frame in range(timing.frames + 1)]
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]


FORMATS = {
    ".mp4": Format(_write_mp4, bytes_per_pixel=0),
    ".gif": Format(_write_gif, bytes_per_pixel=1),
    ".webp": Format(_write_webp, bytes_per_pixel=4)}
