"""A network of the user's that improves pictures before faces are cut out of them."""

import os
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from progan.errors import UserError
from progan.runtime.torch_settings import use_threads

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
            raise UserError(f"--enhance {self.path} fails on an image uint8 [1,3,"
                            f"{image.shape[0]},{image.shape[1]}]: {reason}") from error
        return self._checked(made, image.shape)

    def _checked(self, made: "torch.Tensor", before: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        import torch

        height, width, _ = before
        grown = tuple(made.shape[2:]) if isinstance(made, torch.Tensor) and made.ndim == 4 else ()
        if not grown or made.shape[:2] != (1, 3) or grown[0] * width != grown[1] * height or (
                grown[0] < height):
            shape = list(made.shape) if isinstance(made, torch.Tensor) else type(made).__name__
            raise UserError(f"--enhance {self.path} makes {shape} of an image [1,3,{height},"
                            f"{width}], not [1,3,k*{height},k*{width}] with k of at least 1.")
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
        raise UserError(f"--enhance {path} cannot be loaded as TorchScript: "
                        f"{str(error).splitlines()[0]}") from error
