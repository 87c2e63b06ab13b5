"""Generators as programs of torch.export (.pt2): graph and weights, without our classes."""

import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from progan.interop.settled import Settled


def exported(module: Settled, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """The graph of a module, for batches of any size; it is recorded with `inputs`."""
    return torch.export.export(module, inputs, dynamic_shapes=any_batch(inputs))


def any_batch(inputs: tuple[Tensor, ...]) -> tuple[dict[int, Dim], ...]:
    """What is not fixed in the shapes of inputs: their first axis, which is the same of all."""
    batch = Dim("batch", min=1)
    return tuple({0: batch} for _ in inputs)


def write(path: Path, module: Settled, inputs: tuple[Tensor, ...], text: Mapping[str, str]
          ) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights that are channels-last puzzle it
        torch.export.save(exported(module, inputs), content, extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # a full disk is an OSError here; in torch, an abort


def read(path: Path) -> Callable[..., Tensor]:
    """What it does with the inputs; of a file that we wrote, for pickles may be in it."""
    with path.open("rb") as file:
        return torch.export.load(file).module()
