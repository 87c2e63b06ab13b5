"""Export generators to TorchScript, torch.export and ONNX, and verify the files."""

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
from progan.networks import Generator
from progan.networks.layers import EqualizedLayer, UpConv
from progan.ops import conv_up2x, make_alpha, make_up2x_kernel
from progan.runtime.files import atomic_path
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render_single
from progan.sampling.snapshot_file import Snapshot, describe_inputs_and_outputs

INPUTS = ("latents", "labels")  # labels only if there are classes
OUTPUT = "images"
TRACE_BATCH = 2  # images; torch.export treats 0 and 1 as constants
TEST_BATCHES = (1, 3)  # images
# Relative to the largest value: root mean square, and maximum. Sums are made in another order, and
# normalising small vectors amplifies that; a network of 1024x1024 differs from itself as much in
# another batch size.
MAX_RMS_ERROR = 1e-5
MAX_ERROR = 1e-4

Tensors = tuple[Tensor, ...]
ExportedFunction = Callable[..., Tensor]


def truncate_to_level(snapshot: Snapshot, level: int, alpha: float) -> Snapshot:
    """Copy the snapshot without the layers above `level`, whose weight becomes `alpha`."""
    config = dataclasses.replace(snapshot.generator.config, resolution=1 << level)
    generator = networks.build_generator(config)
    weights = snapshot.generator.state_dict()
    generator.load_state_dict({name: weights[name] for name in generator.state_dict()})
    return dataclasses.replace(
        snapshot, generator=generator.requires_grad_(False).eval(), level=level, alpha=alpha
    )


class ExportableGenerator(nn.Module):
    """Map latents [N, latent_size], and labels [N, classes] if any, to images [N, C, H, W].

    Layers choose by batch size how they compute, but a graph is traced once for all sizes. So
    scales are multiplied into the weights and upsampling into the kernels beforehand.
    """

    alpha: Tensor | None

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        own = truncate_to_level(snapshot, snapshot.level, snapshot.alpha)
        self.generator = _fold_constants(own.generator)
        self.level = own.level
        self.register_buffer("alpha", make_alpha(own.alpha, torch.device("cpu")))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        images: Tensor = self.generator(
            latents, latents[:, :0] if labels is None else labels, self.level, self.alpha
        )
        return images


class FusedUpsample(nn.Module):
    """UpConv with a precomputed kernel: [N, C, H, W] -> [N, F, 2H, 2W]."""

    def __init__(self, layer: UpConv) -> None:
        super().__init__()
        kernel = make_up2x_kernel(layer.weight * layer.scale)
        self.kernel = nn.Parameter(kernel.contiguous(), requires_grad=False)
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return conv_up2x(x, self.kernel, self.bias)


def _fold_constants(generator: Generator) -> Generator:
    """Replace UpConv by FusedUpsample and multiply scales into weights, in place."""
    for name, layer in list(generator.named_modules()):
        if isinstance(layer, UpConv):
            generator.set_submodule(name, FusedUpsample(layer))
        elif isinstance(layer, EqualizedLayer):
            layer.weight.mul_(layer.scale)
            layer.scale = 1.0
    return generator


def write_torchscript(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    traced = torch.jit.trace(module, inputs, check_trace=False)
    torch.jit.save(traced, content, _extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # raises OSError if the disk is full; torch aborts


def read_torchscript(path: Path) -> ExportedFunction:
    """Load a TorchScript file as a function of the inputs."""
    content = io.BytesIO(path.read_bytes())  # torch.jit opens only UTF-8 names
    generate: ExportedFunction = torch.jit.load(content, map_location="cpu")
    return generate


def export_program(module: ExportableGenerator, inputs: Tensors) -> ExportedProgram:
    """Trace a module with `inputs`, for batches of any size."""
    return torch.export.export(module, inputs, dynamic_shapes=dynamic_batch_shapes(inputs))


def dynamic_batch_shapes(inputs: Tensors) -> tuple[dict[int, Dim], ...]:
    """Declare the first axis of all inputs as one dynamic dimension."""
    batch = Dim("batch", min=1)
    return tuple({0: batch} for _ in inputs)


def write_exported_program(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as files inside of the file."""
    content = io.BytesIO()
    torch.export.save(export_program(module, inputs), content, extra_files=dict(text))
    path.write_bytes(content.getbuffer())  # raises OSError if the disk is full; torch aborts


def read_exported_program(path: Path) -> ExportedFunction:
    """Load a .pt2 file of our own as a function; it may contain pickles."""
    with path.open("rb") as file:
        return torch.export.load(file).module()


def write_onnx(
    path: Path, module: ExportableGenerator, inputs: Tensors, text: Mapping[str, str]
) -> None:
    """Write a module, with `text` as the metadata_props of the model."""
    program = torch.onnx.export(
        export_program(module, inputs),
        inputs,
        dynamo=True,
        verbose=False,
        dynamic_shapes=dynamic_batch_shapes(inputs),
        input_names=INPUTS[: len(inputs)],
        output_names=[OUTPUT],
    )
    assert program is not None
    program.model.metadata_props.update(text)
    program.save(path)


def read_onnx(path: Path) -> ExportedFunction:
    """Load an ONNX file with ONNX Runtime on the CPU, as a function of the inputs."""
    import onnxruntime

    session = onnxruntime.InferenceSession(  # from bytes, as it opens only UTF-8 names
        path.read_bytes(), providers=["CPUExecutionProvider"]
    )

    def generate(*inputs: Tensor) -> Tensor:
        named = {name: rows.numpy() for name, rows in zip(INPUTS, inputs, strict=False)}
        return torch.from_numpy(session.run([OUTPUT], named)[0])

    return generate


class Format(NamedTuple):
    """Writer and reader of an export format."""

    write: Callable[[Path, ExportableGenerator, Tensors, Mapping[str, str]], None]
    read: Callable[[Path], ExportedFunction]


FORMATS = {
    ".onnx": Format(write_onnx, read_onnx),
    ".pt2": Format(write_exported_program, read_exported_program),
    ".ts": Format(write_torchscript, read_torchscript),
    ".torchscript": Format(write_torchscript, read_torchscript),
}


def export(snapshot: Snapshot, target: Path, provenance: Mapping[str, str]) -> None:
    """Export a generator at its level and fade; the suffix of the target selects the format.

    Raises UserError if the file cannot be written or its images differ from the generator's.
    """
    kind = FORMATS[target.suffix]
    module, inputs = ExportableGenerator(snapshot), _make_seed_inputs(snapshot, TRACE_BATCH)
    with atomic_path(target) as temporary, warnings.catch_warnings():
        # That torch.jit is deprecated, though C++ still loads it, and notes on the exported graph.
        warnings.simplefilter("ignore")
        kind.write(temporary, module, inputs, {**provenance, **_describe_snapshot(snapshot)})
        generate = kind.read(temporary)
        for count in TEST_BATCHES:
            require_same_images(generate, snapshot, count, target)


def require_same_images(
    generate: ExportedFunction, snapshot: Snapshot, count: int, target: Path
) -> None:
    """Raise UserError unless an export generates the first seeds as the generator does."""
    expected = torch.cat(list(render_single(snapshot, *_make_latents_and_labels(snapshot, count))))
    found = generate(*_make_seed_inputs(snapshot, count))
    rms, worst = relative_errors(found, expected)
    if not (rms <= MAX_RMS_ERROR and worst <= MAX_ERROR):  # also true for NaN
        raise UserError(
            f"{target} is not written: its images would differ from the network's by {rms:.1e} of "
            f"the largest value on average and {worst:.1e} at worst; {MAX_RMS_ERROR:.0e} and "
            f"{MAX_ERROR:.0e} are allowed. Please report it, with the versions of torch, "
            "onnxscript and onnxruntime."
        )


def relative_errors(found: Tensor, expected: Tensor) -> tuple[float, float]:
    """Return root mean square and maximum of the difference, relative to the largest value."""
    error = (found - expected) / expected.abs().max()
    return float(error.square().mean().sqrt()), float(error.abs().max())


def _describe_snapshot(snapshot: Snapshot) -> dict[str, str]:
    config = snapshot.generator.config
    return {
        "level": str(snapshot.level),
        "alpha": str(snapshot.alpha),
        "images_seen": str(snapshot.images_seen),
        **describe_inputs_and_outputs(
            config, snapshot.level, snapshot.label_names, snapshot.untrained_classes
        ),
    }


def _make_seed_inputs(snapshot: Snapshot, count: int) -> Tensors:
    """Return latents, and labels if there are classes, of the first seeds."""
    return tuple(rows for rows in _make_latents_and_labels(snapshot, count) if rows.shape[1])


def _make_latents_and_labels(snapshot: Snapshot, count: int) -> tuple[Tensor, Tensor]:
    config = snapshot.generator.config
    return (
        seed_latents(range(count), config.latent_size),
        seed_labels(range(count), config.label_size, snapshot.untrained_classes),
    )
