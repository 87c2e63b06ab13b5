"""Videos: frames of a latent path or of a run's growth, and their encoding."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from progan.errors import UserError
from progan.images import Pixels, choose_enlargement, enlarge_by_repeating_pixels, to_opaque_pil
from progan.run_directory import STATISTICS_FILE
from progan.runtime.files import atomic_path, format_bytes, read_json_lines
from progan.runtime.text import format_count, format_duration
from progan.sampling.image_files import full_grid, make_exif, write_caption_in_corner
from progan.sampling.interpolation import LatentPath
from progan.sampling.latents import LatentBatch
from progan.sampling.options import VideoTiming, import_pyav, require_video_format
from progan.sampling.render import render_single, to_uint8_pixels
from progan.sampling.snapshot_file import Snapshot, load_network
from progan.sizes import Size, format_stage

CRF = "16"  # H.264's constant rate factor; visually lossless
BT709 = 1  # code of HD television's colour space in video standards
MAX_BUFFERED_BYTES = 2**31  # frames kept in memory until the last one
MAX_FRAME_SIZE = Size(8192, 8192)  # px; beyond the limits of players
Write = Callable[[Path, Iterable[Pixels], VideoTiming, Mapping[str, str]], None]
MIN_FRAME_SIDE = 256  # px; smaller frames are enlarged
GROWTH_SEEDS = "0-5"  # default


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """An encoder, and the memory it needs for all frames, per pixel."""

    write: Write
    bytes_per_pixel: int


def write_video(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Write frames uint8 [H, W, 3] of one size as a looping video; the suffix selects the format.

    Args:
        text: Provenance, written into the file's metadata.
    """
    with atomic_path(path) as temporary:
        VIDEO_FORMATS[path.suffix.lower()].write(temporary, frames, timing, text)


def require_encodable(
    path: Path, timing: VideoTiming, size: Size, max_distinct: int | None = None
) -> None:
    """Raise UserError if a video of this format, length and frame size cannot be written.

    Args:
        max_distinct: Most frames that can differ; equal ones are stored once. None: all.
    """
    require_video_format(path, timing)
    kind = VIDEO_FORMATS[path.suffix.lower()]
    if max(size) > max(MAX_FRAME_SIZE):
        raise UserError(
            f"Frames of {size} px are larger than {MAX_FRAME_SIZE}. Choose fewer images per frame, "
            "or smaller ones."
        )
    stored = timing.frames if max_distinct is None else min(max_distinct, timing.frames)
    num_bytes = stored * size.pixels * kind.bytes_per_pixel
    if num_bytes > MAX_BUFFERED_BYTES:
        raise UserError(
            f"{format_count(stored, 'frame')} of {size} px need {format_bytes(num_bytes)} "
            f"of memory as {path.suffix}, more than {format_bytes(MAX_BUFFERED_BYTES)}. "
            "Name a .mp4 file, or choose fewer or smaller frames."
        )


def _write_mp4(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Encode as H.264 in yuv420p, which every player and browser supports."""
    av = import_pyav()
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as file:
        file.metadata["comment"] = _format_provenance_line(text)
        stream = file.add_stream(
            "libx264", rate=Fraction(timing.fps).limit_denominator(1001), options={"crf": CRF}
        )
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        for number, pixels in enumerate(map(_pad_to_even, frames)):
            if not number:
                stream.height, stream.width = pixels.shape[:2]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(
                format="yuv420p", dst_colorspace="ITU709"
            )
            frame.pts, frame.time_base = number, 1 / stream.codec_context.framerate
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def _pad_to_even(pixels: Pixels) -> Pixels:
    """Repeat the last row and column of odd sizes, as chroma subsampling needs even ones."""
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _write_gif(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Encode as GIF with an own palette of 256 colours per frame."""
    merged = merge_equal_frames(frames, split_frame_durations(timing, 10))
    images = ((Image.fromarray(pixels).quantize(256), duration) for pixels, duration in merged)
    _save_animation(path, "gif", images, comment=_format_provenance_line(text).encode())


def _write_webp(
    path: Path, frames: Iterable[Pixels], timing: VideoTiming, text: Mapping[str, str]
) -> None:
    """Encode as lossless WebP; with losses, libwebp drops frames that differ little."""
    merged = merge_equal_frames(frames, split_frame_durations(timing, 1))
    images = ((Image.fromarray(pixels), duration) for pixels, duration in merged)
    _save_animation(path, "webp", images, lossless=True, exif=make_exif(text))


def _save_animation(
    path: Path, kind: str, frames: Iterable[tuple[Image.Image, int]], **settings: Any
) -> None:
    """Write images with their durations in ms as a looping animation by Pillow."""
    (first, *others), durations = zip(*frames, strict=True)
    first.save(
        path, kind, save_all=True, append_images=others, duration=durations, loop=0, **settings
    )


def merge_equal_frames(
    frames: Iterable[Pixels], durations: Iterable[int]
) -> Iterator[tuple[Pixels, int]]:
    """Merge equal consecutive frames into one, adding their durations."""
    last: tuple[Pixels, int] | None = None
    for pixels, duration in zip(frames, durations, strict=True):
        if last is not None and np.array_equal(pixels, last[0]):
            last = last[0], last[1] + duration
        else:
            if last is not None:
                yield last
            last = pixels, duration
    if last is not None:
        yield last


def _format_provenance_line(text: Mapping[str, str]) -> str:
    return "; ".join(f"{key}: {value}" for key, value in text.items())


def split_frame_durations(timing: VideoTiming, unit: int) -> list[int]:
    """Return the duration of each frame in ms, in multiples of `unit` without cumulative error."""
    ends = [round(frame * 1000 / timing.fps / unit) * unit for frame in range(timing.frames + 1)]
    return [end - start for start, end in zip(ends, ends[1:], strict=False)]


VIDEO_FORMATS = {
    ".mp4": VideoFormat(_write_mp4, bytes_per_pixel=0),
    ".gif": VideoFormat(_write_gif, bytes_per_pixel=1),
    ".webp": VideoFormat(_write_webp, bytes_per_pixel=4),
}


def interpolation_frames(
    snapshot: Snapshot, path: LatentPath, columns: int, rows: int
) -> Iterator[Pixels]:
    """Yield the frames of a latent path: uint8 [H, W, 3], of `frame_size`."""
    for latents, labels in zip(path.latents, path.labels, strict=True):
        yield compose_frame(_render_stack(snapshot, latents, labels), columns, rows)


def _render_stack(snapshot: Snapshot, latents: Tensor, labels: Tensor) -> Pixels:
    """Generate images uint8 [N, H, W, C], each by itself."""
    return np.stack([to_uint8_pixels(image) for image in render_single(snapshot, latents, labels)])


def compose_frame(images: Pixels, columns: int, rows: int) -> Pixels:
    """Lay out images [N, H, W, C] in a grid, enlarged by repeating pixels if they are small."""
    grid = full_grid(images, columns, rows)
    frame = enlarge_by_repeating_pixels(grid[None], MIN_FRAME_SIDE, max(MAX_FRAME_SIZE))[0]
    return np.asarray(to_opaque_pil(frame), np.uint8)


def frame_size(cell: Size, columns: int, rows: int) -> Size:
    """Return the size of the frames of `compose_frame`."""
    height, width = rows * cell.height, columns * cell.width
    factor = choose_enlargement(height, width, MIN_FRAME_SIDE, max(MAX_FRAME_SIZE))
    return Size(height * factor, width * factor)


def require_several_snapshots(paths: Sequence[Path]) -> None:
    """Raise UserError if there are fewer than two network files to show the growth of a run."""
    if len(paths) < 2:
        raise UserError(
            f"--growth needs several snapshots of a run, and {paths[0]} is the only one. Name the "
            "directory of a run that has written several."
        )


def growth_frames(
    paths: Sequence[Path],
    last: Snapshot,
    latent_batch: LatentBatch,
    columns: int,
    rows: int,
    timing: VideoTiming,
) -> Iterator[Pixels]:
    """Yield frames of all snapshots for equal times, with stage, kimg and time in the corner.

    Of more snapshots than frames, as many are shown as there are frames, from the first to the
    last. Images of lower resolutions are enlarged to that of the last one: uint8 [H, W, 3].

    Args:
        paths: Network files of one run, oldest first.
        last: Content of the last one, which a training that continues may delete.
    """
    hours = read_training_hours(paths[-1].parent / STATISTICS_FILE)
    device = next(last.generator.parameters()).device
    side = min(last.generator.config.size(last.level))
    shown = choose_shown_snapshots(len(paths), timing.frames)
    for index, count in sorted(Counter(shown).items()):
        snapshot = last if index == len(paths) - 1 else load_network(paths[index], device)
        images = _render_stack(snapshot, latent_batch.latents, latent_batch.labels)
        frame = compose_frame(enlarge_by_repeating_pixels(images, side), columns, rows)
        caption = stage_caption(snapshot, hours.get(snapshot.images_seen))
        frame = write_caption_in_corner(frame, caption)
        yield from repeat(frame, count)


def choose_shown_snapshots(count: int, frames: int) -> list[int]:
    """Return the index of the snapshot that each frame shows, of `count`; the last one always."""
    if frames >= count:
        return [frame * count // frames for frame in range(frames)]
    found: list[int] = np.linspace(count - 1, 0, frames).round().astype(int)[::-1].tolist()
    return found


def stage_caption(snapshot: Snapshot, hours: float | None) -> str:
    """Return e.g. '16→32 fade 43%   kimg 12.3   1h 02m', without the time if it is unknown."""
    stage = format_stage(snapshot.generator.config.base, snapshot.level, snapshot.alpha)
    time = [] if hours is None else [format_duration(3600 * hours)]
    return "   ".join([stage, f"kimg {snapshot.images_seen / 1000:.1f}", *time])


def read_training_hours(path: Path) -> dict[int, float]:
    """Read hours of training by images seen from stats.jsonl; damaged lines are skipped."""
    hours = {}
    for row in read_json_lines(path):
        try:
            hours[int(row["images_seen"])] = float(row["progress/hours"])
        except (ValueError, TypeError, KeyError):
            continue
    return hours
