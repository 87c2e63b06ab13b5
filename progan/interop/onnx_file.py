"""Generators as ONNX (.onnx), for ONNX Runtime and whatever else reads it."""

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from progan.interop.exported_program import any_batch, exported
from progan.interop.settled import INPUTS, OUTPUT, Settled
from progan.interop.suffixes import ONNX_PACKAGES, require_onnx

PACKAGES = ONNX_PACKAGES


def require_packages() -> None:
    """Raise UserError unless there is all that writing and reading takes."""
    require_onnx(PACKAGES)


def write(path: Path, module: Settled, inputs: tuple[Tensor, ...], text: Mapping[str, str]
          ) -> None:
    """Write a module, with `text` as the metadata_props of the model."""
    require_packages()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the axis of both inputs gets one name
        program = torch.onnx.export(
            exported(module, inputs), inputs, dynamo=True, verbose=False,
            dynamic_shapes=any_batch(inputs), input_names=INPUTS[:len(inputs)],
            output_names=[OUTPUT])
    assert program is not None  # as it is for a path
    program.model.metadata_props.update(text)
    program.save(path)


def read(path: Path) -> Callable[..., Tensor]:
    """What ONNX Runtime does with the inputs, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(  # of bytes: its names are UTF-8 alone
        path.read_bytes(), providers=["CPUExecutionProvider"])

    def run(*inputs: Tensor) -> Tensor:
        named = {name: rows.numpy() for name, rows in zip(INPUTS, inputs, strict=False)}
        return torch.from_numpy(session.run([OUTPUT], named)[0])

    return run
