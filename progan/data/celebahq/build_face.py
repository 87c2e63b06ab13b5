"""Build one face of CelebA-HQ by its number: crop, enhance, apply the delta."""

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

from progan.data.celebahq.align_crop import Points, continuous, cut_out, planned
from progan.data.celebahq.deltas import (
    DELTA_SIDE,
    BadDelta,
    Restored,
    WrongJpeg,
    opened_delta,
    restored,
)
from progan.data.celebahq.quality import quality
from progan.data.celebahq.report import Report, Status
from progan.data.celebahq.source_files import Collection, Faces, read_faces
from progan.data.image_source import Sample, UnreadableImage
from progan.data.importers.pixels import convert_mode, open_image
from progan.data.pyramid import build_pyramid
from progan.errors import UserError
from progan.runtime.torch_settings import use_threads
from progan.sizes import level_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Enhancer:
    """A TorchScript network: uint8 [N,3,H,W] -> [N,3,kH,kW], uint8 or floating 0…255.

    The paper used two there: one that removes artifacts of JPEG, and super-resolution by k = 4.
    It runs on the CPU; the file is a program, so it should come from somebody whom you trust.
    """

    path: Path
    threads: int

    def __call__(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """uint8 [H,W,3] -> uint8 [kH,kW,3]; raises UserError if the network does other things."""
        import torch

        network = _network(self.path, self.threads, os.getpid())
        try:
            with torch.inference_mode():
                made = network(torch.from_numpy(image.transpose(2, 0, 1).copy())[None])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UserError(
                f"--enhance {self.path} fails on an image uint8 [1,3,"
                f"{image.shape[0]},{image.shape[1]}]: {reason}"
            ) from error
        return self._checked(made, image.shape)

    def _checked(self, made: "torch.Tensor", before: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        import torch

        height, width, _ = before
        grown = tuple(made.shape[2:]) if isinstance(made, torch.Tensor) and made.ndim == 4 else ()
        if (
            not grown
            or made.shape[:2] != (1, 3)
            or grown[0] * width != grown[1] * height
            or (grown[0] < height)
        ):
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
def _network(path: Path, threads: int, process: int) -> Any:
    """The network; each process loads its own, for a forked one would share torch's threads."""
    import torch

    use_threads(threads)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch.jit is deprecated, not networks
            return torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"--enhance {path} cannot be loaded as TorchScript: {str(error).splitlines()[0]}"
        ) from error


class NotMade(UnreadableImage):
    """A face that cannot be made, with its status in the report."""

    def __init__(self, path: str, reason: str, status: Status = "unreadable") -> None:
        super().__init__(path, reason)
        self.args = (path, reason, status)  # so that it travels between processes
        self.status: Status = status


@dataclass(frozen=True, slots=True)
class FaceBuilder:
    """Makes faces by their numbers in the lists.

    Attributes:
        collection: All inputs.
        resolution: Of the faces, px.
        enhancer: Improves the pictures first.
        strict: Take only exact ones.
    """

    collection: Collection
    resolution: int
    enhancer: Enhancer | None = None
    strict: bool = False

    def __call__(self, face: int) -> tuple[Sample, Status, dict[str, Any]]:
        """Return a face with landmarks, its status, and what else is known of it.

        Raises NotMade.
        """
        faces = read_faces(self.collection)
        name = faces.names[face]
        try:
            jpeg = self.collection.image(name)
            if faces.listed:
                return self._restored(faces, face, jpeg)
            image, points = self._cut(jpeg, name, faces.landmarks[face], self.resolution)
        except NotMade:
            raise
        except UnreadableImage as error:
            raise NotMade(error.path, error.reason) from error
        return Sample(image, points), "made", {"quality": round(quality(image), 6)}

    def _cut(
        self, data: bytes, name: str, pixels: Points, side: int
    ) -> tuple[npt.NDArray[np.uint8], Points]:
        """A face from its picture, uint8 [side,side,3], and its landmarks there, float32 [5,2]."""
        picture = _decoded(data, name)
        landmarks = continuous(pixels)
        if self.enhancer:
            before = picture.size
            picture = Image.fromarray(self.enhancer(np.asarray(picture)))
            landmarks = landmarks * np.float32(picture.width / before[0])
        try:
            cut = planned(landmarks, picture.size, side)
        except ValueError as error:
            raise NotMade(name, str(error)) from error
        return cut_out(picture, cut), cut.placed(landmarks)

    def _restored(
        self, faces: Faces, face: int, jpeg: bytes
    ) -> tuple[Sample, Status, dict[str, Any]]:
        entry = faces.listed[face]
        token = self.collection.delta(entry.index)
        try:
            delta = opened_delta(token, jpeg, entry.name)
            made, points = self._cut(jpeg, entry.name, faces.landmarks[face], DELTA_SIDE)
            result = restored(made, delta, entry.made_md5, entry.final_md5)
        except WrongJpeg as error:
            raise NotMade(entry.name, str(error), "wrong JPEG") from error
        except BadDelta as error:
            raise NotMade(entry.name, str(error), "bad delta") from error
        if self.strict and result.status != "exact":
            raise NotMade(
                entry.name,
                "it is only approximate, as its JPEG is decoded otherwise than then (--strict)",
                "only approximate",
            )
        image, points = _averaged(result.image, points, self.resolution)
        return Sample(image, points), result.status, {"index": entry.index, **_errors(result)}


@dataclass(frozen=True, slots=True)
class FaceReader:
    """Makes the chosen faces by their rows, and keeps a report of them."""

    make: FaceBuilder
    chosen: npt.NDArray[np.int32]  # row -> number in the lists
    report: Report

    def __call__(self, row: int) -> Sample:
        face = int(self.chosen[row])
        name = read_faces(self.make.collection).names[face]
        try:
            sample, status, details = self.make(face)
        except NotMade as error:
            self.report.add(face, name, error.status, reason=error.reason)
            raise
        self.report.add(face, name, status, **details)
        return sample


@dataclass(frozen=True, slots=True)
class Scorer:
    """Judges faces: -> each with its quality, or with why it cannot be made."""

    make: FaceBuilder

    def __call__(self, faces: Sequence[int]) -> list[tuple[int, float | NotMade]]:
        return [(face, self._score(face)) for face in faces]

    def _score(self, face: int) -> float | NotMade:
        try:
            return float(self.make(face)[2]["quality"])
        except NotMade as error:
            return error


def _decoded(data: bytes, name: str) -> Image.Image:
    """A picture as RGB. It is not turned as its EXIF says: CelebA's landmarks are not either."""
    with open_image(data, name, load=True) as picture:
        return convert_mode(picture, 3)


def _averaged(
    image: npt.NDArray[np.uint8], points: Points, resolution: int
) -> tuple[npt.NDArray[np.uint8], Points]:
    """Exact box averages of a face, and where its landmarks are then."""
    if resolution == len(image):
        return image, points
    smaller = build_pyramid(image[None])[level_of(resolution)][0]
    return smaller, points * np.float32(resolution / len(image))


def _errors(result: Restored) -> dict[str, Any]:
    if result.status == "exact":
        return {}
    largest, mean = result.least_error
    return {
        "unwrapped": result.num_unwrapped,
        "largest_error_at_least": largest,
        "mean_error_there_at_least": mean,
    }
