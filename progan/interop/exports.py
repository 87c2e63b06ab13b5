"""TorchScript, torch.export and ONNX files of generators, compared with them after writing."""

import dataclasses
import io
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from progan import networks
from progan.errors import UserError
from progan.interop.export_formats import ONNX_PACKAGES, require_onnx
from progan.networks import Generator
from progan.networks.layers import Equalized, UpConv
from progan.ops import conv_up2x, up2x_kernel
from progan.runtime.files import atomic_path
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render_single
from progan.sampling.snapshot_file import Snapshot, io_signature

INPUTS = ("latents", "labels")  # the latter of networks with classes
OUTPUT = "images"
PACKAGES = ONNX_PACKAGES
RECORDED = 2  # images; torch.export takes 0 and 1 for constants
COMPARED = (1, 3)  # images of each batch
# Of the largest value: on average (root mean square), and at worst. Sums are made in another
# order, and normalising small vectors enlarges what that makes; a network of 1024x1024 differs from
# itself as much, in a batch of another size.
TOLERANCE = 1e-5
WORST = 1e-4

Tensors = tuple[Tensor, ...]
Run = Callable[..., Tensor]


def truncate(snapshot: Snapshot, level: int, alpha: float) -> Snapshot:
    """A copy that ends at `level`: the network of that resolution, with these weights.

    Args:
        level: One that the generator can draw at.
        alpha: Weight of that level.
    """
    config = dataclasses.replace(snapshot.generator.config, resolution=1 << level)
    generator = networks.generator(config)
    weights = snapshot.generator.state_dict()
    generator.load_state_dict({name: weights[name] for name in generator.state_dict()})
    return dataclasses.replace(
        snapshot, generator=generator.requires_grad_(False).eval(), level=level, alpha=alpha
    )


class ExportableGenerator(nn.Module):
    """Latents [N, latent_size], and labels [N, classes] if there are any -> images [N, C, H, W].

    Layers choose by the size of a batch how they compute, and a graph is recorded once for all
    sizes. Here the constants are in the weights, and the doubling is in the kernels, beforehand.
    """

    alpha: Tensor | None

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        own = truncate(snapshot, snapshot.level, snapshot.alpha)
        self.generator = _settle(own.generator)
        self.level = own.level
        self.register_buffer("alpha", None if own.alpha == 1 else torch.tensor(own.alpha))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.generator(
            latents, latents[:, :0] if labels is None else labels, self.level, self.alpha
        )
        return images


class FusedUpsample(nn.Module):
    """What a layer for doubling does, with its kernel made: [N, C, H, W] -> [N, F, 2H, 2W]."""

    def __init__(self, layer: UpConv) -> None:
        super().__init__()
        kernel = up2x_kernel(layer.weight * layer.scale)
        self.kernel = nn.Parameter(kernel.contiguous(), requires_grad=False)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return conv_up2x(x, self.kernel, self.bias)


def _settle(generator: Generator) -> Generator:
    for name, layer in list(generator.named_modules()):
        if isinstance(layer, UpConv):
            generator.set_submodule(name, FusedUpsample(layer))
        elif isinstance(layer, Equalized):
            layer.weight.mul_(layer.scale)
            layer.scale = 1.0
    return generator


def write_torchscript(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and still what C++ loads
        traced = torch.jit.trace(module, inputs, check_trace=False)
        torch.jit.save(traced, content, _extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # a full disk is an OSError here; in torch, an abort


def read_torchscript(path: Path) -> Callable[..., Tensor]:
    """What it does with the inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run: Callable[..., Tensor] = torch.jit.load(
            io.BytesIO(path.read_bytes()), map_location="cpu"
        )  # its names are UTF-8 alone
    return run


def export_program(module: ExportableGenerator, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """The graph of a module, for batches of any size; it is recorded with `inputs`."""
    return torch.export.export(module, inputs, dynamic_shapes=dynamic_batch_shapes(inputs))


def dynamic_batch_shapes(inputs: tuple[Tensor, ...]) -> tuple[dict[int, Dim], ...]:
    """What is not fixed in the shapes of inputs: their first axis, which is the same of all."""
    batch = Dim("batch", min=1)
    return tuple({0: batch} for _ in inputs)


def write_exported_program(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights that are channels-last puzzle it
        torch.export.save(export_program(module, inputs), content, extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # a full disk is an OSError here; in torch, an abort


def read_exported_program(path: Path) -> Callable[..., Tensor]:
    """What it does with the inputs; of a file that we wrote, for pickles may be in it."""
    with path.open("rb") as file:
        return torch.export.load(file).module()


def require_packages() -> None:
    """Raise UserError unless there is all that writing and reading takes."""
    require_onnx(PACKAGES)


def write_onnx(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as the metadata_props of the model."""
    require_packages()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the axis of both inputs gets one name
        program = torch.onnx.export(
            export_program(module, inputs),
            inputs,
            dynamo=True,
            verbose=False,
            dynamic_shapes=dynamic_batch_shapes(inputs),
            input_names=INPUTS[: len(inputs)],
            output_names=[OUTPUT],
        )
    assert program is not None  # as it is for a path
    program.model.metadata_props.update(text)
    program.save(path)


def read_onnx(path: Path) -> Callable[..., Tensor]:
    """What ONNX Runtime does with the inputs, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(  # of bytes: its names are UTF-8 alone
        path.read_bytes(), providers=["CPUExecutionProvider"]
    )

    def run(*inputs: Tensor) -> Tensor:
        named = {name: rows.numpy() for name, rows in zip(INPUTS, inputs, strict=False)}
        return torch.from_numpy(session.run([OUTPUT], named)[0])

    return run


class Format(NamedTuple):
    """A kind of file."""

    write: Callable[[Path, ExportableGenerator, Tensors, Mapping[str, str]], None]
    read: Callable[[Path], Run]


FORMATS = {
    ".onnx": Format(write_onnx, read_onnx),
    ".pt2": Format(write_exported_program, read_exported_program),
    ".ts": Format(write_torchscript, read_torchscript),
    ".torchscript": Format(write_torchscript, read_torchscript),
}


def export(snapshot: Snapshot, target: Path, provenance: Mapping[str, str]) -> None:
    """Write a generator, at its level and with its fade, as the suffix of the target says.

    Raises UserError if the file does not draw what the generator draws, or cannot be written.
    """
    kind = FORMATS[target.suffix]
    with atomic_path(target) as temporary:
        kind.write(
            temporary,
            ExportableGenerator(snapshot),
            _inputs(snapshot, RECORDED),
            {**provenance, **_description(snapshot)},
        )
        run = kind.read(temporary)
        for count in COMPARED:
            require_same(run, snapshot, count, target)


def require_same(run: Run, snapshot: Snapshot, count: int, target: Path) -> None:
    """Raise UserError unless a file draws the first seeds as the generator does."""
    wanted = torch.cat(list(render_single(snapshot, *_rows(snapshot, count))))
    found = run(*_inputs(snapshot, count))
    average, worst = relative_errors(found, wanted)
    if not (average <= TOLERANCE and worst <= WORST):  # NaN is no agreement either
        raise UserError(
            f"{target} is not written: what it would draw differs from the network by "
            f"{average:.1e} of the largest value on average and by {worst:.1e} at "
            f"worst; {TOLERANCE:.0e} and {WORST:.0e} are allowed. Please report it, "
            "with the versions of torch, onnxscript and onnxruntime."
        )


def relative_errors(found: Tensor, wanted: Tensor) -> tuple[float, float]:
    """How far two outputs are apart, on average and at worst, in parts of the largest value."""
    error = (found - wanted) / wanted.abs().max()
    return float(error.square().mean().sqrt()), float(error.abs().max())


def _description(snapshot: Snapshot) -> dict[str, str]:
    config = snapshot.generator.config
    return {
        "level": str(snapshot.level),
        "alpha": str(snapshot.alpha),
        "images_seen": str(snapshot.images_seen),
        **io_signature(config, snapshot.level, snapshot.label_names, snapshot.untrained_classes),
    }


def _inputs(snapshot: Snapshot, count: int) -> Tensors:
    """Latents, and labels where there are classes, of the first seeds."""
    return tuple(rows for rows in _rows(snapshot, count) if rows.shape[1])


def _rows(snapshot: Snapshot, count: int) -> tuple[Tensor, Tensor]:
    config = snapshot.generator.config
    return (
        seed_latents(range(count), config.latent_size),
        seed_labels(range(count), config.label_size, snapshot.untrained_classes),
    )
