"""Build one face of CelebA-HQ by its number: crop, enhance, apply the delta, rate its quality."""

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from progan.data.celebahq.align_crop import Points, crop_face, pixels_to_points, plan_crop
from progan.data.celebahq.deltas import (
    DELTA_SIDE,
    BadDelta,
    DeltaResult,
    WrongJpeg,
    apply_delta,
    decrypt_delta,
)
from progan.data.celebahq.report import Report, Status
from progan.data.celebahq.source_files import CelebaFiles, FaceLists, read_face_lists
from progan.data.image_source import Sample, UnreadableImage
from progan.data.importers.pixels import convert_mode, open_image
from progan.data.pyramid import build_pyramid
from progan.errors import UserError
from progan.runtime.torch_settings import set_cpu_threads
from progan.sizes import level_of

if TYPE_CHECKING:
    import torch


MIN_SIDE = 32  # px: below, there are too few rings
_LOWEST = 4.0  # cycles per image
_SECTORS = 8
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
_INVISIBLE = 1.0  # grey levels squared: variance of white noise that is ignored


def rate_spectral_quality(image: npt.NDArray[np.uint8]) -> float:
    """Rate an image by its power spectrum: uint8 [S,S,3], S >= 32 -> 0 (one colour) to 1.

    Appendix C of the paper prefers "images whose power spectrum contains a broad range of
    frequencies and is approximately radially symmetric", which excludes blurred images and halftone
    patterns. It gives no formula; this is one. E(r, a): mean power of the luminance, under a Hann
    window, in ring r (half octaves from 4 cycles per image to the Nyquist frequency) and sector a
    (eight of the half circle); f(r): middle frequency of the ring. Sharp photographs have
    E ~ f^-2; so

        p(r)     = f(r)^2 E(r) / sum of it over all rings,          E(r) = mean over a of E(r, a)
        breadth  = exp(-sum over r of p(r) log p(r)) / rings        1: all frequencies alike
        symmetry = sum over r of p(r) exp(mean over a of log E(r, a)) / E(r)   1: radially symmetric
        quality  = breadth * symmetry
    """
    side = len(image)
    luminance = image.astype(np.float32) @ _LUMA
    hann = np.hanning(side).astype(np.float32)
    mean_square = float((hann**2).mean()) ** 2
    windowed = (luminance - luminance.mean()) * hann[:, None] * hann
    power = np.abs(np.fft.rfft2(windowed)) ** 2 / (side**2 * mean_square)
    cells, frequencies = _assign_spectrum_cells(side)
    rings = len(frequencies)
    counts = np.bincount(cells.ravel(), minlength=rings * _SECTORS + 1)[:-1]
    sums = np.bincount(cells.ravel(), power.ravel(), minlength=rings * _SECTORS + 1)[:-1]
    energy = (sums / counts).reshape(rings, _SECTORS)
    if energy.max() <= _INVISIBLE:
        return 0.0
    energy = np.maximum(energy, _INVISIBLE)
    whitened = frequencies**2 * (energy.mean(axis=1) - _INVISIBLE)
    share = whitened / whitened.sum()
    breadth = np.exp(-np.sum(share * np.log(np.maximum(share, 1e-12)))) / rings
    symmetry = np.sum(share * np.exp(np.log(energy).mean(axis=1)) / energy.mean(axis=1))
    return float(breadth * symmetry)


@lru_cache(maxsize=2)
def _assign_spectrum_cells(side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Assign the values of rfft2 to rings and sectors; frequencies in cycles per image.

    Returns:
        Ring * 8 + sector, rings * 8 for what is in no ring, int64 [side, side//2+1]; and float64
        [rings].
    """
    rings = int(2 * np.log2(side / 2 / _LOWEST))
    down = np.fft.fftfreq(side, 1 / side)[:, None]
    right = np.fft.rfftfreq(side, 1 / side)
    radius = np.hypot(down, right)
    ring = np.floor(2 * np.log2(np.maximum(radius, 1e-9) / _LOWEST)).astype(np.int64)
    angle = np.arctan2(down, right) / np.pi + 0.5  # in [0, 1]
    # Shifted by half a sector: both axes, with the traces of cameras and JPEG, are in its middle.
    sector = np.floor(angle * _SECTORS + 0.5).astype(np.int64) % _SECTORS
    cells = np.where((ring >= 0) & (ring < rings), ring * _SECTORS + sector, rings * _SECTORS)
    return cells, _LOWEST * 2 ** ((np.arange(rings) + 0.5) / 2)


@dataclass(frozen=True, slots=True)
class Enhancer:
    """A TorchScript network: uint8 [N,3,H,W] -> [N,3,kH,kW], uint8 or floating 0…255.

    The paper used two there: one that removes artifacts of JPEG, and super-resolution by k = 4.
    It runs on the CPU; the file is a program and must come from a trusted source.
    """

    path: Path
    threads: int

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Enhance uint8 [H,W,3] -> uint8 [kH,kW,3]; UserError for any other output."""
        import torch

        network = _load_enhancer(self.path, self.threads, os.getpid())
        try:
            with torch.inference_mode():
                made = network(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"--enhance {self.path} fails on an image uint8 [1,3,"
                f"{image.shape[0]},{image.shape[1]}]: {reason}"
            ) from error
        return self._validate_output(made, image.shape)

    def _validate_output(
        self, made: "torch.Tensor", before: tuple[int, ...]
    ) -> npt.NDArray[np.uint8]:
        """Return the output as uint8 [H,W,3]; UserError for another shape, size or range."""
        import torch

        height, width, _ = before
        grown = tuple(made.shape[2:]) if isinstance(made, torch.Tensor) and made.ndim == 4 else ()
        is_scaled = grown and grown[0] * width == grown[1] * height and grown[0] >= height
        if not is_scaled or made.shape[:2] != (1, 3):
            shape = list(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
            raise UserError(
                f"--enhance {self.path} makes {shape} of an image [1,3,{height},"
                f"{width}], not [1,3,k*{height},k*{width}] with k of at least 1."
            )
        if made.is_floating_point():
            if not made.isfinite().all():
                raise UserError(f"--enhance {self.path} makes values that are not finite.")
            made = made.round().clamp(0, 255)
        return made[0].permute(1, 2, 0).to(torch.uint8).contiguous().numpy()


@lru_cache(maxsize=1)
def _load_enhancer(path: Path, threads: int, process: int) -> Any:
    """Load the network, once per process: a forked one would share torch's threads."""
    import torch

    set_cpu_threads(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated, not networks
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"--enhance {path} cannot be loaded as TorchScript: {str(error).splitlines()[0]}"
        ) from error


class FaceBuildError(UnreadableImage):
    """A face that cannot be made, with its status in the report."""

    def __init__(self, path: str, reason: str, status: Status = "unreadable") -> None:
        super().__init__(path, reason)
        self.args = (path, reason, status)  # so that it travels between processes
        self.status: Status = status


@dataclass(frozen=True, slots=True)
class FaceBuilder:
    """Make faces by their numbers in the lists."""

    collection: CelebaFiles
    resolution: int  # side of the faces, px
    enhancer: Enhancer | None = None  # applied to the images first
    strict: bool = False  # accept exact faces only

    def __call__(self, face: int) -> tuple[Sample, Status, dict[str, Any]]:
        """Return a face with landmarks, its status and details for the report.

        Raises FaceBuildError.
        """
        faces = read_face_lists(self.collection)
        name = faces.names[face]
        try:
            jpeg = self.collection.read_image(name)
            if faces.entries:
                return self._restore_face(faces, face, jpeg)
            image, points = self._align_crop(jpeg, name, faces.landmarks[face], self.resolution)
        except FaceBuildError:
            raise
        except UnreadableImage as error:
            raise FaceBuildError(error.path, error.reason) from error
        return Sample(image, points), "made", {"quality": round(rate_spectral_quality(image), 6)}

    def _align_crop(
        self, data: bytes, name: str, pixels: Points, side: int
    ) -> tuple[npt.NDArray[np.uint8], Points]:
        """Crop the face of a JPEG, uint8 [side,side,3]; return its landmarks too, float32 [5,2]."""
        with open_image(data, name, load=True) as opened:  # not turned by EXIF: nor are landmarks
            image = convert_mode(opened, 3)
        landmarks = pixels_to_points(pixels)
        if self.enhancer:
            width_before = image.width
            image = Image.fromarray(self.enhancer(np.asarray(image)))
            landmarks = landmarks * np.float32(image.width / width_before)
        try:
            plan = plan_crop(landmarks, image.size, side)
        except ValueError as error:
            raise FaceBuildError(name, str(error)) from error
        return crop_face(image, plan), plan.map_points(landmarks)

    def _restore_face(
        self, faces: FaceLists, face: int, jpeg: bytes
    ) -> tuple[Sample, Status, dict[str, Any]]:
        """Build a face of CelebA-HQ exactly, by its delta; return sample, status and details."""
        entry = faces.entries[face]
        token = self.collection.read_delta(entry.index)
        try:
            delta = decrypt_delta(token, jpeg, entry.name)
            made, points = self._align_crop(jpeg, entry.name, faces.landmarks[face], DELTA_SIDE)
            result = apply_delta(made, delta, entry.proc_md5, entry.final_md5)
        except WrongJpeg as error:
            raise FaceBuildError(entry.name, str(error), "wrong JPEG") from error
        except BadDelta as error:
            raise FaceBuildError(entry.name, str(error), "bad delta") from error
        if self.strict and result.status != "exact":
            raise FaceBuildError(
                entry.name,
                "it is only approximate, as its JPEG is decoded otherwise than then (--strict)",
                "only approximate",
            )
        image, points = _downsample_face_and_landmarks(result.image, points, self.resolution)
        return (
            Sample(image, points),
            result.status,
            {"index": entry.index, **_describe_delta_errors(result)},
        )


def build_and_report_face(
    build: FaceBuilder, chosen: npt.NDArray[np.int32], report: Report, row: int
) -> Sample:
    """Build the face `chosen[row]` of the lists, and append its result to the report."""
    face = int(chosen[row])
    name = read_face_lists(build.collection).names[face]
    try:
        sample, status, details = build(face)
    except FaceBuildError as error:
        report.add(face, name, error.status, reason=error.reason)
        raise
    report.add(face, name, status, **details)
    return sample


def score_faces(
    build: FaceBuilder, faces: Sequence[int]
) -> list[tuple[int, float | FaceBuildError]]:
    """Return each of some faces with its quality, or with the reason why it cannot be made."""
    scored: list[tuple[int, float | FaceBuildError]] = []
    for face in faces:
        try:
            scored.append((face, float(build(face)[2]["quality"])))
        except FaceBuildError as error:
            scored.append((face, error))
    return scored


def _downsample_face_and_landmarks(
    image: npt.NDArray[np.uint8], points: Points, resolution: int
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Downsample a face by exact box averages, and scale its landmarks."""
    if resolution == len(image):
        return image, points
    smaller = build_pyramid(image[None])[level_of(resolution)][0]
    return smaller, points * np.float32(resolution / len(image))


def _describe_delta_errors(result: DeltaResult) -> dict[str, Any]:
    """Return the report's entries on an inexact delta; {} of an exact one."""
    if result.status == "exact":
        return {}
    largest, mean = result.least_error
    return {
        "unwrapped": result.num_unwrapped,
        "largest_error_at_least": largest,
        "mean_error_there_at_least": mean,
    }
