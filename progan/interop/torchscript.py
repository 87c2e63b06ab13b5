"""Generators as TorchScript (.ts, .torchscript), which C++ and older programs load."""

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from progan.interop.settled import Settled


def write(path: Path, module: Settled, inputs: tuple[Tensor, ...], text: Mapping[str, str]
          ) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and still what C++ loads
        traced = torch.jit.trace(module, inputs, check_trace=False)
        torch.jit.save(traced, content, _extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # a full disk is an OSError here; in torch, an abort


def read(path: Path) -> Callable[..., Tensor]:
    """What it does with the inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run: Callable[..., Tensor] = torch.jit.load(
            io.BytesIO(path.read_bytes()), map_location="cpu")  # its names are UTF-8 alone
    return run
