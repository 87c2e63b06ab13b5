"""Videos: the frames of a latent path or of a run's growth, and how they are encoded."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from progan.errors import UserError
from progan.images import Pixels, enlarge, opaque
from progan.run_directory import STATISTICS_FILE
from progan.runtime.files import atomic_path, human_bytes, read_json_lines
from progan.runtime.log import human_seconds
from progan.runtime.text import format_count
from progan.sampling.image_files import make_exif
from progan.sampling.interpolation import LatentPath
from progan.sampling.latents import LatentBatch
from progan.sampling.network_file import Snapshot, load_network
from progan.sampling.options import VideoTiming, import_encoder, require_video_format
from progan.sampling.render import as_pixels, render_single
from progan.sampling.sheets import caption_in_corner, full_grid
from progan.sizes import Size, stage_name

CRF = "16"  # H.264's constant rate factor: hardly to be told from the original
BT709 = 1  # number of the colours of HD television, in the standards of video
MAX_BUFFERED_BYTES = 2**31  # of frames that are kept until the last one
MAX_FRAME_SIZE = Size(8192, 8192)  # px; players give up before
Write = Callable[[Path, Iterable[Pixels], VideoTiming, Mapping[str, str]], None]
MIN_FRAME_SIDE = 256  # px; smaller frames are enlarged, to be seen at all
GROWTH_SEEDS = "0-5"  # unless asked for others


@dataclass(frozen=True, slots=True)
class VideoFormat:
    write: Write
    bytes_per_pixel: int  # in memory until the end; 0: of none


def write_video(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Write frames, uint8 [H, W, 3], of one size, as the suffix of the file says; it loops.

    Args:
        text: Where the film comes from.
    """
    with atomic_path(path) as temporary:
        VIDEO_FORMATS[path.suffix.lower()].write(temporary, frames, timing, text)


def require_video(path: Path, timing: VideoTiming, size: Size) -> None:
    """Raise UserError if no such film can be written, before any of it is drawn."""
    require_video_format(path, timing)
    kind = VIDEO_FORMATS[path.suffix.lower()]
    if max(size) > max(MAX_FRAME_SIZE):
        raise UserError(
            f"Frames of {size} px are larger than {MAX_FRAME_SIZE}. Put fewer "
            "images into a frame, or smaller ones."
        )
    num_bytes = timing.frames * size.pixels * kind.bytes_per_pixel
    if num_bytes > MAX_BUFFERED_BYTES:
        raise UserError(
            f"{format_count(timing.frames, 'frame')} of {size} px need "
            f"{human_bytes(num_bytes)} of "
            f"memory as {path.suffix}, more than {human_bytes(MAX_BUFFERED_BYTES)}. "
            "Name a .mp4 file, or ask for fewer frames or smaller ones."
        )


def _write_mp4(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """H.264 with halved colours (yuv420p), which every player and browser shows."""
    av = import_encoder()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        file.metadata["comment"] = _line(text)
        stream = file.add_stream(
            "libx264", rate=Fraction(timing.fps).limit_denominator(1001), options={"crf": CRF}
        )
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for number, pixels in enumerate(map(_even, frames)):
            if not number:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _even(pixels: Pixels) -> Pixels:
    """With an even number of rows and columns, as halved colours need; an odd one's last twice."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Each frame has the 256 colours that suit it best."""
    images, shown = zip(
        *[
            (Image.fromarray(pixels).quantize(256), duration)
            for pixels, duration in merge_equal_frames(frames, frame_durations(timing, 10))
        ],
        strict=True,
    )
    images[0].save(
        path,
        "gif",
        save_all=True,
        append_images=images[1:],
        duration=shown,
        loop=0,
        comment=_line(text).encode(),
    )


def _write_webp(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Lossless: with losses, libwebp's encoder drops frames that differ little."""
    images, shown = zip(
        *[
            (Image.fromarray(pixels), duration)
            for pixels, duration in merge_equal_frames(frames, frame_durations(timing, 1))
        ],
        strict=True,
    )
    images[0].save(
        path,
        "webp",
        save_all=True,
        append_images=images[1:],
        duration=shown,
        loop=0,
        lossless=True,
        exif=make_exif(text),
    )


def merge_equal_frames(
    frames: Iterable[Pixels], shown: Iterable[int]
) -> Iterator[tuple[Pixels, int]]:
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


def frame_durations(timing: VideoTiming, unit: int) -> list[int]:
    """How long each frame is shown, in ms, in whole units whose errors do not add up."""
    ends = [round(frame * 1000 / timing.fps / unit) * unit for frame in range(timing.frames + 1)]
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]


VIDEO_FORMATS = {
    ".mp4": VideoFormat(_write_mp4, bytes_per_pixel=0),
    ".gif": VideoFormat(_write_gif, bytes_per_pixel=1),
    ".webp": VideoFormat(_write_webp, bytes_per_pixel=4),
}


def interpolation_frames(
    snapshot: Snapshot, script: LatentPath, columns: int, rows: int
) -> Iterator[Pixels]:
    """The frames of a script: uint8 [H, W, 3], of `frame_size`."""
    for latents, labels in zip(script.latents, script.labels, strict=True):
        images = [as_pixels(image) for image in render_single(snapshot, latents, labels)]
        yield frame_of(np.stack(images), columns, rows)


def frame_of(images: Pixels, columns: int, rows: int) -> Pixels:
    """Pictures [N, H, W, C] side by side, enlarged by repeating pixels if they are small."""
    page = enlarge(full_grid(images, columns, rows)[None], MIN_FRAME_SIDE)[0]
    return np.asarray(opaque(page), np.uint8)


def frame_size(cell: Size, columns: int, rows: int) -> Size:
    """Size of what `framed` makes of cells of a size."""
    height, width = rows * cell.height, columns * cell.width
    factor = max(MIN_FRAME_SIDE // min(height, width), 1)
    return Size(height * factor, width * factor)


def require_several_snapshots(paths: Sequence[Path]) -> None:
    """Raise UserError if a run has too few network files to show how it grew."""
    if len(paths) < 2:
        raise UserError(
            f"--growth shows how a run grew from snapshot to snapshot, and {paths[0]} "
            "is one alone. Name the directory of a run that has written several."
        )


def growth_frames(
    paths: Sequence[Path],
    latent_batch: LatentBatch,
    columns: int,
    rows: int,
    timing: VideoTiming,
    device: torch.device,
) -> Iterator[Pixels]:
    """Each snapshot for an equal part of the film, with its place in the run in the corner.

    Pictures of lower resolutions are enlarged to that of the last one: uint8 [H, W, 3].

    Args:
        paths: Network files of one run, oldest first.
    """
    hours = read_training_hours(paths[-1].parent / STATISTICS_FILE)
    last = load_network(paths[-1], device)
    side = min(last.generator.config.size(last.level))
    shown = (frame * len(paths) // timing.frames for frame in range(timing.frames))
    for index, times in groupby(shown):
        snapshot = load_network(paths[index], device)
        images = [
            as_pixels(image)
            for image in render_single(snapshot, latent_batch.latents, latent_batch.labels)
        ]
        page = frame_of(enlarge(np.stack(images), side), columns, rows)
        page = caption_in_corner(page, stage_caption(snapshot, hours.get(snapshot.images_seen)))
        yield from (page for _ in times)


def stage_caption(snapshot: Snapshot, hours: float | None) -> str:
    """'16→32 fade 43%   kimg 12.3   1h 02m'; without the time where it is unknown."""
    stage = stage_name(snapshot.generator.config.base, snapshot.level, snapshot.alpha)
    time = [] if hours is None else [human_seconds(3600 * hours)]
    return "   ".join([stage, f"kimg {snapshot.images_seen / 1000:.1f}", *time])


def read_training_hours(path: Path) -> dict[int, float]:
    """Hours of training by images seen, of a stats.jsonl; what cannot be read is left out."""
    hours = {}
    for row in read_json_lines(path):
        try:
            hours[int(row["images_seen"])] = float(row["progress/hours"])
        except (ValueError, TypeError, KeyError):
            continue
    return hours
