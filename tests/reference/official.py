"""Weights under the names and in the layouts of the official TensorFlow code -> ours.

    G/4x4/Dense, G/4x4/Conv, G/8x8/Conv0_up, G/8x8/Conv1, G/ToRGB_lod2, D/FromRGB_lod2,
    D/8x8/Conv0, D/8x8/Conv1_down, D/4x4/Conv, D/4x4/Dense0, D/4x4/Dense1, each with weight, bias

Convolutions are [height, width, in, out] there and dense layers [in, out]. The kernel of a
transposed convolution is stored as [height, width, out, in] and runs backwards.
"""

from collections.abc import Mapping

import numpy as np
import torch

LAYERS = {
    "Dense": "dense",
    "Conv": "conv",
    "Conv0_up": "up",
    "Conv1": "conv",
    "Conv0": "conv",
    "Conv1_down": "down",
    "Dense0": "hidden",
    "Dense1": "output",
}


def our_name(official: str, max_level: int) -> str:
    """'8x8/Conv1/weight' -> 'blocks.8x8.conv.weight'."""
    place, *rest = official.split("/")
    for prefix, table in (("ToRGB_lod", "to_rgb"), ("FromRGB_lod", "from_rgb")):
        if place.startswith(prefix):
            resolution = 1 << (max_level - int(place.removeprefix(prefix)))
            return f"{table}.{resolution}x{resolution}.{rest[0]}"
    return f"blocks.{place}.{LAYERS[rest[0]]}.{rest[1]}"


def our_layout(official: str, array: np.ndarray) -> torch.Tensor:
    if official.endswith("Conv0_up/weight"):
        array = array[::-1, ::-1].transpose(2, 3, 0, 1)
    elif array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    elif array.ndim == 2:
        array = array.T
    return torch.from_numpy(np.ascontiguousarray(array))


def state_dict(arrays: Mapping[str, np.ndarray], prefix: str, max_level: int = 5) -> dict:
    """Collect the variables below `prefix`, as in 'G/' or 'final/D/', under our names."""
    names = [key for key in arrays if key.startswith(prefix) and not key.endswith("/lod")]
    return {
        our_name(key.removeprefix(prefix), max_level): our_layout(key, arrays[key]) for key in names
    }
