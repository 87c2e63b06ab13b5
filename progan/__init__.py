"""progan: progressive growing of GANs, from a folder of images to generated ones.

import progan
run = progan.train("datasets/mine", preset="cpu", total_kimg=200)
G = progan.load(run)
images = G.render(range(16))  # uint8 [16, H, W, C]
"""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    import torch

    from progan.api import TrainedGenerator
    from progan.data.reader import Dataset

__version__ = "0.1.0"

PathLike = str | os.PathLike[str]


def load(path: PathLike, device: "str | torch.device" = "auto") -> "TrainedGenerator":
    """Load a trained generator.

    Args:
        path: A network file or a training state of progan, a run or a folder of runs (the newest
            network), a pickle of the official TensorFlow code, a .pth of pytorch_GAN_zoo's PGAN,
            an .npz of `progan interop`, hf://organisation/name, a repository of the Hugging Face
            Hub that `progan push` made, or 'portraits', the network in the package.
        device: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', or a torch.device.

    Raises:
        progan.errors.UserError: The network does not exist or cannot be used.
    """
    from progan.api import load  # brings torch

    return load(path, device)


def train(
    data: PathLike,
    preset: str = "v2-1gpu",
    *,
    outdir: PathLike = "runs",
    device: "str | torch.device" = "auto",
    max_hours: float | None = None,
    callbacks: Iterable[Callable[[Mapping[str, float]], object]] = (),
    **settings: Any,
) -> Path:
    """Train a new run in this process, and return its directory.

    An interrupt finishes the step and saves everything; `train.py --resume` continues the run.

    Args:
        data: A dataset made by dataset_tool.py.
        preset: The settings to start from; `train.py --list-presets` lists them.
        outdir: Where the directory of the run is made.
        device: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', or a torch.device.
        max_hours: Stop after this time, with everything saved.
        callbacks: Called with the statistics of each tick, {'progress/kimg': 1.0, ...}, once its
            files are written.
        settings: Other settings by name, as in total_kimg=200, batch_at={8: 64, 16: 32} or
            augment_kinds=['flip', 'color']; `train.py --help-all` lists them. Metrics are measured
            afterwards, by `progan.measure`: those that a preset names are left out. --best and
            --freeze-d need train.py.

    Raises:
        progan.errors.UserError: A setting or the dataset cannot be used.
    """
    from progan.training.in_process import train  # brings torch

    return train(Path(data), preset, Path(outdir), device, tuple(callbacks), max_hours, settings)


def open_dataset(path: PathLike, subset: str | SupportsIndex = "") -> "Dataset":
    """Open a dataset made by dataset_tool.py.

    Args:
        subset: A class, by name or index, that is taken alone; '': all.

    Raises:
        progan.errors.UserError: It is not a dataset, or a damaged one.
    """
    from progan.data.reader import open_dataset

    return open_dataset(Path(path), subset)


def measure(
    network: PathLike,
    data: PathLike,
    metrics: str | Iterable[str] = "swd",
    *,
    num_images: float | None = None,
    device: "str | torch.device" = "auto",
) -> dict[str, dict[str, float]]:
    """Measure generated images against those of a dataset.

    Args:
        network: Whatever `load` takes, but hf://; of a run, the newest network.
        metrics: Names such as 'swd' or ['ms-ssim', 'swd']; `python -m metrics --help` lists them;
            discrete-modes is only measured by `python -m metrics discrete-modes`.
        num_images: A whole number of at least 2, on each side; half of the images of the dataset,
            at most the paper's 16,384, if not given.
        device: 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps', or a torch.device.

    Returns:
        {'images': {'SWDx1e3_avg': 7.1, ...}, 'reals': {...}}: the second are the real-vs-real
            baseline.

    Raises:
        progan.errors.UserError: Unknown metrics or none, too few images, or other sizes.
    """
    from metrics.measure import measure_values  # brings torch
    from metrics.options import SourceOptions
    from progan.pretrained import resolve_network
    from progan.runtime.devices import format_device_name

    names = [metrics] if isinstance(metrics, str) else list(metrics)
    sources = SourceOptions(
        network=resolve_network(Path(network)), data=Path(data), device=format_device_name(device)
    )
    return measure_values(names, sources, num_images=num_images)
