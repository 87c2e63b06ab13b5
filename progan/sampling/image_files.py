"""Write images to files with their provenance: single images, grids, contact sheets."""

import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFont
from tqdm import tqdm

from progan.errors import UserError
from progan.images import (
    Pixels,
    arrange_grid,
    enlarge_by_repeating_pixels,
    save_png,
    to_opaque_pil,
    to_pil,
)
from progan.runtime.files import atomic_path, format_bytes, make_folder
from progan.runtime.workers import map_in_order, worker_pool
from progan.sampling.latents import LatentBatch
from progan.sampling.options import NPY
from progan.sampling.render import render_single, to_uint8_pixels, to_unclipped_floats
from progan.sampling.snapshot_file import SOFTWARE, Snapshot, compute_fingerprint
from progan.sizes import Size

IMAGE_SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_SIDES = {"jpeg": 65500, "webp": 16383}  # px; limits of the formats
# JPEG without chroma subsampling, WebP lossless.
ENCODER_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True, "exact": True},
}
MAX_EXIF_BYTES = 60_000  # a JPEG header holds 65,533 bytes
GRID_NAME, SHEET_NAME = "grid", "sheet"
MAX_WRITERS = 16  # threads; one writes about ten images of 1024x1024 per second


def save_image(path: Path, kind: str, pixels: Pixels, text: Mapping[str, str]) -> None:
    """Write an image uint8 [H, W, C] with 1, 3 or 4 channels.

    Args:
        kind: A key of IMAGE_SUFFIXES.
        text: Written as PNG text, or as JSON in the EXIF tag ImageDescription.
    """
    if kind == "png":
        save_png(path, pixels, text)
        return
    with atomic_path(path) as temporary:
        to_pil(pixels).save(temporary, kind, exif=make_exif(text), **ENCODER_OPTIONS[kind])


def require_image_format(kind: str, height: int, width: int, channels: int) -> None:
    """Raise UserError if a file format cannot hold images of this size."""
    if kind == "jpeg" and channels == 4:
        raise UserError(
            "--format jpeg: these images have transparency, and JPEG has none. Choose png or webp."
        )
    longest = MAX_SIDES.get(kind)
    if longest and max(height, width) > longest:
        raise UserError(
            f"--format {kind}: an image of {width}x{height} px exceeds its limit of {longest} px. "
            "Choose png, or fewer images."
        )


def save_array(path: Path, image: npt.NDArray[np.float32]) -> None:
    """Write an array as a .npy file."""
    content = io.BytesIO()  # NumPy's own error for a full disk names no file
    np.save(content, image)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def make_exif(text: Mapping[str, str]) -> Image.Exif:
    """Return EXIF with the text as JSON, which is ASCII, as EXIF requires."""
    description = json.dumps(dict(text))
    if len(description) > MAX_EXIF_BYTES:  # the list of latents; the command has it, too
        shorter = {key: value for key, value in text.items() if key != "Latents"}
        description = json.dumps(shorter)
        if len(description) > MAX_EXIF_BYTES and "Command" in shorter:
            # ASCII has one byte a character, so that cutting shortens it by as many as are cut.
            command = shorter["Command"].encode("ascii", "replace").decode()
            excess = len(json.dumps(shorter | {"Command": command})) - MAX_EXIF_BYTES
            shorter["Command"] = f"{command[: -excess - 3]}..." if excess > 0 else command
            description = json.dumps(shorter)
    exif = Image.Exif()
    exif[ExifTags.Base.ImageDescription] = description
    exif[ExifTags.Base.Software] = text.get("Software", "progan")
    return exif


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageOutput:
    """Folder and format of image files.

    Attributes:
        kind: A key of IMAGE_SUFFIXES, or NPY.
        text: Provenance, to be written into each file that can hold it.
        batch: Maximum images in memory at a time; None: two for each writer.
    """

    folder: Path
    kind: str = "png"
    text: Mapping[str, str] = field(default_factory=dict)
    batch: int | None = None

    def path(self, name: str) -> Path:
        return self.folder / f"{name}{IMAGE_SUFFIXES.get(self.kind, f'.{self.kind}')}"


def provenance(path: Path, command: str) -> dict[str, str]:
    """Return software, network and command of an image, to be written into its file."""
    return {
        "Software": SOFTWARE,
        "Network": f"{replace_undecodable(path.name)} {compute_fingerprint(path)}",
        "Command": replace_undecodable(command),
    }


def replace_undecodable(text: str) -> str:
    """Replace what is not UTF-8, as file names may contain it and metadata may not."""
    return text.encode("utf-8", "replace").decode()


def write_images(
    snapshot: Snapshot, latent_batch: LatentBatch, output: ImageOutput
) -> Iterator[Path]:
    """Generate images, write each to its own file, and yield the path of each.

    Threads write the files while the network generates the next images.
    """
    config = snapshot.generator.config
    require_image_format(output.kind, *config.size(snapshot.level), config.channels)
    make_folder(output.folder)

    def save(named: tuple[str, npt.NDArray[Any]]) -> Path:
        name, image = named
        path = output.path(name)
        if output.kind == NPY:
            save_array(path, image)
        else:
            save_image(path, output.kind, image, {**output.text, "Latent": name})
        return path

    writers = min(os.cpu_count() or 1, MAX_WRITERS)
    batch = output.batch or 2 * writers
    convert = to_unclipped_floats if output.kind == NPY else to_uint8_pixels
    images = (
        convert(image)
        for image in render_single(snapshot, latent_batch.latents, latent_batch.labels)
    )
    bar = tqdm(total=len(latent_batch.names), unit="img", disable=None, leave=False)
    with bar, worker_pool(min(writers, batch), in_processes=False) as pool:
        for path in map_in_order(
            pool, save, zip(latent_batch.names, images, strict=True), ahead=batch - 1
        ):
            bar.update()
            yield path


def write_grid(
    snapshot: Snapshot, latent_batch: LatentBatch, output: ImageOutput, columns: int, rows: int
) -> Path:
    """Write all images side by side in one file; cell k is image k."""
    config = snapshot.generator.config
    size = config.size(snapshot.level)
    require_sheet_size(columns, rows, size, config.channels)
    require_image_format(output.kind, rows * size.height, columns * size.width, config.channels)
    images = np.stack(list(_render_with_progress(snapshot, latent_batch, GRID_NAME)))
    return _write_sheet(output, GRID_NAME, latent_batch, full_grid(images, columns, rows))


def write_sheet(
    snapshot: Snapshot, latent_batch: LatentBatch, output: ImageOutput, columns: int, rows: int
) -> Path:
    """Write a contact sheet: images of 64 to 256 px, each with its seed below."""
    config = snapshot.generator.config
    blank = np.zeros((*config.size(snapshot.level), config.channels), np.uint8)
    cell = Size(*contact_sheet([scale_to_sheet_cell(blank)], [""], 1, 1).shape[:2])
    require_sheet_size(columns, rows, cell, 3)
    require_image_format(output.kind, rows * cell.height, columns * cell.width, 3)
    cells = [
        scale_to_sheet_cell(image)
        for image in _render_with_progress(snapshot, latent_batch, SHEET_NAME)
    ]
    captions = [format_seed_caption(name) for name in latent_batch.names]
    sheet = contact_sheet(cells, captions, columns, rows)
    return _write_sheet(output, SHEET_NAME, latent_batch, sheet)


def format_seed_caption(name: str) -> str:
    """Return a caption: 'seed0007' -> 'seed 7'."""
    return re.sub(r"(\D+)0*(\d+)", r"\1 \2", name)


def _render_with_progress(
    snapshot: Snapshot, latent_batch: LatentBatch, label: str
) -> Iterator[Pixels]:
    images = render_single(snapshot, latent_batch.latents, latent_batch.labels)
    for image in tqdm(
        images, total=len(latent_batch.names), unit="img", desc=label, disable=None, leave=False
    ):
        yield to_uint8_pixels(image)


def _write_sheet(output: ImageOutput, name: str, latent_batch: LatentBatch, sheet: Pixels) -> Path:
    make_folder(output.folder)
    path = output.path(name)
    save_image(path, output.kind, sheet, {**output.text, "Latents": " ".join(latent_batch.names)})
    return path


MAX_SHEET_BYTES = 2**31
MIN_CELL, MAX_CELL = 64, 256  # px, on a contact sheet
ASPECT = 1.5  # width / height of an automatic layout
GAP = 4  # px between the cells of a contact sheet
FONT = "fonts/ttf/DejaVuSans.ttf"  # Matplotlib's; Pillow's own has no arrow
MIN_FONT_SIZE = 11  # px
MARGIN = 3  # px around captions


def sheet_layout(count: int, size: Size) -> tuple[int, int]:
    """Return columns and rows for `count` images of a size, close to the shape of a screen."""
    columns = round(math.sqrt(count * ASPECT * size.height / size.width))
    rows = math.ceil(count / min(max(columns, 1), count))
    return math.ceil(count / rows), rows


def require_sheet_size(columns: int, rows: int, size: Size, channels: int) -> None:
    """Raise UserError if a sheet of so many images is too large."""
    num_bytes = columns * rows * size.pixels * channels
    if num_bytes > MAX_SHEET_BYTES:
        raise UserError(
            f"{columns}x{rows} images of {size} px are {format_bytes(num_bytes)} large, more "
            f"than {format_bytes(MAX_SHEET_BYTES)}. Choose fewer, or a lower --resolution."
        )


def full_grid(images: Pixels, columns: int, rows: int) -> Pixels:
    """Lay out images [N, H, W, C] in a grid; unused cells are black: [rows*H, columns*W, C]."""
    empty = np.zeros((columns * rows - len(images), *images.shape[1:]), np.uint8)
    return arrange_grid(np.concatenate([images, empty]), columns)


def contact_sheet(
    images: Sequence[Pixels], captions: Sequence[str], columns: int, rows: int
) -> Pixels:
    """Lay out images [H, W, C] of one size on white, each with a caption below: [H', W', 3].

    Args:
        images: As `scale_to_sheet_cell` returns them.
    """
    cells = [
        _pad_with_white(caption_below(image, caption))
        for image, caption in zip(images, captions, strict=True)
    ]
    empty = [np.full_like(cells[0], 255)] * (columns * rows - len(cells))
    return arrange_grid(np.stack(cells + empty), columns)


def scale_to_sheet_cell(image: Pixels) -> Pixels:
    """Scale an image [H, W, C] to 64 to 256 px, by repeating or averaging pixels."""
    large: Pixels = enlarge_by_repeating_pixels(image[None], MIN_CELL)[0]
    if max(large.shape[:2]) <= MAX_CELL:
        return large
    thumbnail = to_pil(large)
    thumbnail.thumbnail((MAX_CELL, MAX_CELL), Image.Resampling.BOX)
    return np.asarray(thumbnail, np.uint8).reshape(thumbnail.height, thumbnail.width, -1)


def _pad_with_white(image: Pixels) -> Pixels:
    half = GAP // 2
    padded: Pixels = np.pad(image, ((half, half), (half, half), (0, 0)), constant_values=255)
    return padded


def caption_below(image: Pixels, caption: str) -> Pixels:
    """Add a line of text on white below an image [H, W, C]: [H + the line's, W, 3]."""
    canvas = to_opaque_pil(image)
    font = _load_font(canvas.width // 20)
    height = _line_height(font)
    cell = Image.new("RGB", (canvas.width, canvas.height + height), "white")
    cell.paste(canvas)
    ImageDraw.Draw(cell).text(
        (MARGIN, canvas.height + height / 2), caption, "black", font, anchor="lm"
    )
    return np.asarray(cell, np.uint8)


def write_caption_in_corner(image: Pixels, caption: str) -> Pixels:
    """Write white text on black into the lower left corner of an image [H, W, C]: [H, W, 3]."""
    canvas = to_opaque_pil(image)
    draw = ImageDraw.Draw(canvas)
    font = _load_font(min(canvas.size) // 24)
    width, height = font.getlength(caption) + 2 * MARGIN, _line_height(font)
    top = canvas.height - height
    draw.rectangle((0, top, width, canvas.height), "black")
    draw.text((MARGIN, top + height / 2), caption, "white", font, anchor="lm")
    return np.asarray(canvas, np.uint8)


def _load_font(size: int) -> ImageFont.FreeTypeFont:
    import matplotlib  # slow import, only needed for captions

    return ImageFont.truetype(Path(matplotlib.get_data_path(), FONT), max(size, MIN_FONT_SIZE))


def _line_height(font: ImageFont.FreeTypeFont) -> int:
    """Return the height of a line with its margins in px, the same for all texts."""
    top, bottom = font.getbbox("Ág")[1::2]
    return int(bottom - top) + 2 * MARGIN
