"""Exports draw what the network draws, in batches of any size, or are not written."""

import errno
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from progan import networks as nets
from progan.config import Network
from progan.errors import UserError
from progan.interop import exports
from progan.interop.cli import ONNX_PACKAGES, main
from progan.interop.exports import FORMATS, ExportableGenerator, export, truncate_to_level
from progan.sampling.latents import seed_labels, seed_latents
from progan.sampling.render import render_single
from progan.sampling.snapshot_file import Snapshot, load_network, save_network
from progan.sizes import Size
from progan.training.state import initialize
from tests.builders import tiny_snapshot

SUFFIXES = (".onnx", ".pt2", ".ts")
TEXT = {"software": "progan 9", "network": "x.safetensors 0123456789ab"}
KINDS: dict[str, dict[str, object]] = {
    "progressive": {},
    "unfused": {"fused_scaling": False},
    "pixel-bias": {"pixel_bias": True},
    "plain": {"equalized_lr": False, "output": "tanh", "normalize_latents": False},
    "dcgan": {"kind": "dcgan", "g_norm": "batch", "output": "tanh"},
    "resnet": {"kind": "resnet", "g_norm": "batch"},
    "autoencoder": {"kind": "autoencoder"},
    "stacked-mnist": {"kind": "stacked-mnist"},
}


def needed(suffix: str) -> None:
    """Skip where the packages are missing that the format takes."""
    if suffix == ".onnx":
        for name in ONNX_PACKAGES:
            pytest.importorskip(name, reason=f"{name} is not installed (the extra onnx)")


def snapshot_of(resolution: int = 16, **settings: object) -> Snapshot:
    generator = nets.build_generator(
        Network(
            **{  # type: ignore[arg-type]
                "resolution": resolution,
                "latent_size": 8,
                "fmap_base": 64,
                "fmap_max": 8,
            }
            | settings
        )
    )
    initialize(generator, 3, "generator")
    return Snapshot(
        generator=generator.requires_grad_(False).eval(),
        level=generator.config.max_level,
        alpha=1.0,
        images_seen=0,
    )


def drawn(snapshot: Snapshot, seeds: range) -> tuple[tuple[Tensor, ...], Tensor]:
    """Inputs of an export, and what the generator makes of them."""
    config = snapshot.generator.config
    rows = seed_latents(seeds, config.latent_size), seed_labels(seeds, config.label_size)
    images = torch.cat(list(render_single(snapshot, *rows)))
    return rows if config.label_size else rows[:1], images


def assert_same(snapshot: Snapshot, run: Callable[..., Tensor]) -> None:
    for seeds in (range(1), range(4, 9), range(70)):
        inputs, wanted = drawn(snapshot, seeds)
        error = (run(*inputs) - wanted) / wanted.abs().max()
        assert error.square().mean().sqrt() < 1e-6 and error.abs().max() < 3e-5


@pytest.mark.parametrize(("classes", "alpha"), [((), 1.0), (("3", "7", "1"), 0.25)])
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore:.torch.jit.load. is deprecated")
def test_an_export_draws_what_the_network_draws(
    tmp_path: Path, suffix: str, classes: tuple[str, ...], alpha: float
) -> None:
    needed(suffix)
    snapshot = tiny_snapshot(classes, alpha=alpha)
    export(snapshot, tmp_path / f"x{suffix}", TEXT)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]
    assert_same(snapshot, FORMATS[suffix].read(tmp_path / f"x{suffix}"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_exported(tmp_path: Path, kind: str) -> None:
    snapshot = snapshot_of(**KINDS[kind])
    export(snapshot, tmp_path / "x.pt2", {})
    assert_same(snapshot, FORMATS[".pt2"].read(tmp_path / "x.pt2"))


@pytest.mark.parametrize("kind", ["resnet", "stacked-mnist"])
def test_other_kinds_as_onnx(tmp_path: Path, kind: str) -> None:
    needed(".onnx")
    export(snapshot_of(**KINDS[kind]), tmp_path / "x.onnx", {})


def test_batches_on_both_sides_of_the_choices_of_layers(tmp_path: Path) -> None:
    """Kernels that double are worth their making from 512 pixels on, constants by their number."""
    snapshot = snapshot_of(resolution=32, fmap_base=256, fmap_max=16)
    run = ExportableGenerator(snapshot)
    for count in (1, 2, 7, 8, 9, 31, 32, 33):
        inputs, wanted = drawn(snapshot, range(count))
        torch.testing.assert_close(run(*inputs), wanted, rtol=0, atol=2e-5)


def test_settling_leaves_the_network_alone() -> None:
    snapshot = tiny_snapshot()
    before = {name: weight.clone() for name, weight in snapshot.generator.state_dict().items()}
    ExportableGenerator(snapshot)
    assert all(
        torch.equal(weight, before[name])
        for name, weight in snapshot.generator.state_dict().items()
    )


def test_images_that_are_no_squares(tmp_path: Path) -> None:
    snapshot = tiny_snapshot(base=Size(4, 6), channels=1)
    export(snapshot, tmp_path / "x.pt2", {})
    inputs, _ = drawn(snapshot, range(2))
    assert FORMATS[".pt2"].read(tmp_path / "x.pt2")(*inputs).shape == (2, 1, 16, 24)


@pytest.mark.parametrize("kind", ["progressive", "stacked-mnist"])
@pytest.mark.parametrize("level", [2, 3])
def test_a_lower_level_is_a_network_of_its_own(tmp_path: Path, kind: str, level: int) -> None:
    snapshot = snapshot_of(**KINDS[kind])
    lower = truncate_to_level(snapshot, level, 1.0)
    assert lower.generator.config.resolution == 1 << level
    save_network(tmp_path / "x.safetensors", lower)
    loaded = load_network(tmp_path / "x.safetensors", torch.device("cpu"))
    _, wanted = drawn(replace(snapshot, level=level), range(3))
    assert torch.equal(drawn(loaded, range(3))[1], wanted)


def test_onnx_says_what_it_is(tmp_path: Path) -> None:
    needed(".onnx")
    import onnx

    export(tiny_snapshot(("3", "7", "1"), alpha=0.25), tmp_path / "x.onnx", TEXT)
    model = onnx.load(tmp_path / "x.onnx")
    onnx.checker.check_model(model)
    said = {item.key: item.value for item in model.metadata_props}
    assert (said["software"], said["network"]) == (TEXT["software"], TEXT["network"])
    assert (said["level"], said["alpha"], said["images_seen"]) == ("4", "0.25", "1234000")
    assert "numpy.random.RandomState(k).randn(1, 8)" in said["latents"]
    assert said["images"].startswith("float32 [N, 3, 16, 16], -1 is black and 1 is white")
    assert json.loads(said["classes"]) == ["3", "7", "1"] and "one-hot" in said["labels"]
    inputs, outputs = (
        {
            value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
            for value in values
        }
        for values in (model.graph.input, model.graph.output)
    )
    assert inputs == {"latents": ["batch", 8], "labels": ["batch", 3]}
    assert outputs == {"images": ["batch", 3, 16, 16]}


def test_the_others_say_it_in_files_inside(tmp_path: Path) -> None:
    for suffix in (".pt2", ".ts"):
        export(tiny_snapshot(), tmp_path / f"x{suffix}", TEXT)
    found = {"latents": "", "software": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.load(str(tmp_path / "x.ts"), _extra_files=found)
    assert "randn(1, 8)" in str(found["latents"]) and "progan 9" in str(found["software"])
    found = {"latents": ""}  # an empty one stays empty
    torch.export.load(tmp_path / "x.pt2", extra_files=found)
    assert "randn(1, 8)" in found["latents"] and "classes" not in found


@pytest.mark.parametrize("wrong", [1e-3, float("nan")])
def test_a_file_that_draws_something_else_is_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    written = FORMATS[".ts"]
    monkeypatch.setitem(
        exports.FORMATS,
        ".ts",
        written._replace(read=lambda path: lambda z: written.read(path)(z) + wrong),
    )
    with pytest.raises(UserError, match="x.ts is not written: its images would differ"):
        export(tiny_snapshot(), tmp_path / "x.ts", {})
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_their_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progan.interop.cli.ONNX_PACKAGES", ("json", "onnx_of_tomorrow"))
    result = CliRunner().invoke(main, ["x.safetensors", "--to", str(tmp_path / "x.onnx")])
    assert result.exit_code == 1
    assert re.search(r"ONNX needs onnx_of_tomorrow, .*pip install .*\[onnx\]", result.output)


@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
def test_a_full_disk_is_an_error_that_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    def refuse(path: Path, content: bytes) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", refuse)  # the one thing that touches the disk
    with pytest.raises(OSError, match=f"No space left on device: .*/x{suffix}'"):
        export(tiny_snapshot(), tmp_path / f"x{suffix}", {})
    assert list(tmp_path.iterdir()) == []
