"""Generators for programs without progan: written, read again, compared, and only then there."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from progan.errors import UserError
from progan.interop import exported_program, onnx_file, torchscript
from progan.interop.settled import Settled
from progan.runtime.files import replaced
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.network_file import Snapshot, io_signature
from progan.sampling.render import render_single

RECORDED = 2  # images; torch.export takes 0 and 1 for constants
COMPARED = (1, 3)  # images of each batch
# Of the largest value: on average (root mean square), and at worst. Sums are made in another
# order, and normalising small vectors enlarges what that makes; a network of 1024x1024 differs from
# itself as much, in a batch of another size.
TOLERANCE = 1e-5
WORST = 1e-4

Tensors = tuple[Tensor, ...]
Run = Callable[..., Tensor]


class Format(NamedTuple):
    """A kind of file."""

    write: Callable[[Path, Settled, Tensors, Mapping[str, str]], None]
    read: Callable[[Path], Run]


FORMATS = {
    ".onnx":        Format(onnx_file.write, onnx_file.read),
    ".pt2":         Format(exported_program.write, exported_program.read),
    ".ts":          Format(torchscript.write, torchscript.read),
    ".torchscript": Format(torchscript.write, torchscript.read),
}


def export(snapshot: Snapshot, target: Path, provenance: Mapping[str, str]) -> None:
    """Write a generator, at its level and with its fade, as the suffix of the target says.

    Raises UserError if the file does not draw what the generator draws, or cannot be written.
    """
    kind = FORMATS[target.suffix]
    with replaced(target) as temporary:
        kind.write(temporary, Settled(snapshot), _inputs(snapshot, RECORDED),
                   {**provenance, **_description(snapshot)})
        run = kind.read(temporary)
        for count in COMPARED:
            require_same(run, snapshot, count, target)


def require_same(run: Run, snapshot: Snapshot, count: int, target: Path) -> None:
    """Raise UserError unless a file draws the first seeds as the generator does."""
    wanted = torch.cat(list(render_single(snapshot, *_rows(snapshot, count))))
    found = run(*_inputs(snapshot, count))
    average, worst = differences(found, wanted)
    if not (average <= TOLERANCE and worst <= WORST):  # NaN is no agreement either
        raise UserError(f"{target} is not written: what it would draw differs from the network by "
                        f"{average:.1e} of the largest value on average and by {worst:.1e} at "
                        f"worst; {TOLERANCE:.0e} and {WORST:.0e} are allowed. Please report it, "
                        "with the versions of torch, onnxscript and onnxruntime.")


def differences(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How far two outputs are apart, on average and at worst, in parts of the largest value."""
    error = (found - wanted) / wanted.abs().max()
    return float(error.square().mean().sqrt()), float(error.abs().max())


def _description(snapshot: Snapshot) -> dict[str, str]:
    config = snapshot.generator.config
    return {"level": str(snapshot.level), "alpha": str(snapshot.alpha),
            "images_seen": str(snapshot.images_seen),
            **io_signature(config, snapshot.level, snapshot.label_names,
                           snapshot.untrained_classes)}


def _inputs(snapshot: Snapshot, count: int) -> Tensors:
    """Latents, and labels where there are classes, of the first seeds."""
    return tuple(rows for rows in _rows(snapshot, count) if rows.shape[1])


def _rows(snapshot: Snapshot, count: int) -> tuple[Tensor, Tensor]:
    config = snapshot.generator.config
    return (seed_latents(range(count), config.latent_size),
            seed_labels(range(count), config.label_size, snapshot.untrained_classes))
