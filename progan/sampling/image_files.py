"""Write images to files, with their provenance where the format can hold it."""

import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image
from tqdm import tqdm

from progan.errors import UserError
from progan.images import Pixels, save_png, to_pil
from progan.runtime.files import atomic_path, make_folder
from progan.runtime.workers import in_order, worker_pool
from progan.sampling.latents import LatentBatch
from progan.sampling.render import as_floats, as_pixels, render_single
from progan.sampling.sheets import contact_sheet, full_grid, require_sheet_size, sheet_cell
from progan.sampling.snapshot_file import SOFTWARE, Snapshot, fingerprint

IMAGE_SUFFIXES = {"png": ".png", "jpeg": ".jpg", "webp": ".webp"}
MAX_SIDES = {"jpeg": 65500, "webp": 16383}  # px; limits of the formats
# JPEG without chroma subsampling, WebP lossless.
ENCODER_OPTIONS: dict[str, dict[str, Any]] = {
    "jpeg": {"quality": 95, "subsampling": 0},
    "webp": {"lossless": True, "exact": True},
}
MAX_EXIF_BYTES = 60_000  # a JPEG header has room for 65,533 bytes
GRID_NAME, SHEET_NAME = "grid", "sheet"
NPY = "npy"  # an output format beside IMAGE_SUFFIXES
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
        description = json.dumps({key: value for key, value in text.items() if key != "Latents"})
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
        "Network": f"{replace_undecodable(path.name)} {fingerprint(path)}",
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
    convert = as_floats if output.kind == NPY else as_pixels
    images = (
        convert(image)
        for image in render_single(snapshot, latent_batch.latents, latent_batch.labels)
    )
    bar = tqdm(total=len(latent_batch.names), unit="img", disable=None, leave=False)
    with bar, worker_pool(min(writers, batch), in_processes=False) as pool:
        for path in in_order(
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
    size = snapshot.generator.config.size(snapshot.level)
    require_sheet_size(columns, rows, size, 3)
    cells = [
        sheet_cell(image) for image in _render_with_progress(snapshot, latent_batch, SHEET_NAME)
    ]
    captions = [seed_caption(name) for name in latent_batch.names]
    sheet = contact_sheet(cells, captions, columns, rows)
    require_image_format(output.kind, *sheet.shape)
    return _write_sheet(output, SHEET_NAME, latent_batch, sheet)


def seed_caption(name: str) -> str:
    """Return a caption: 'seed0007' -> 'seed 7'."""
    return re.sub(r"(\D+)0*(\d+)", r"\1 \2", name)


def _render_with_progress(
    snapshot: Snapshot, latent_batch: LatentBatch, label: str
) -> Iterator[Pixels]:
    images = render_single(snapshot, latent_batch.latents, latent_batch.labels)
    for image in tqdm(
        images, total=len(latent_batch.names), unit="img", desc=label, disable=None, leave=False
    ):
        yield as_pixels(image)


def _write_sheet(output: ImageOutput, name: str, latent_batch: LatentBatch, sheet: Pixels) -> Path:
    make_folder(output.folder)
    path = output.path(name)
    save_image(path, output.kind, sheet, {**output.text, "Latents": " ".join(latent_batch.names)})
    return path
