"""progan: progressive growing of GANs, from a folder of images to generated ones.

import progan
G = progan.load("network-snapshot-012000.safetensors")
images = G.render(range(16))  # uint8 [16, H, W, C]
"""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from progan.api import TrainedGenerator

__version__ = "0.1.0"


def load(path: str | os.PathLike[str], device: str = "auto") -> "TrainedGenerator":
    """Load a trained generator.

    Args:
        path: A network file of progan, a run (its newest network), a pickle of the official
            TensorFlow code, a .pth of pytorch_GAN_zoo's PGAN, or hf://organisation/name, a
            repository of the Hugging Face Hub that `progan push` made.
        device: 'auto', 'cpu', 'cuda' or 'mps'.

    Raises:
        progan.errors.UserError: The network does not exist or cannot be used.
    """
    from progan.api import load  # brings torch

    return load(path, device)
