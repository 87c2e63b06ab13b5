"""Files of other programs are called what they are, and nothing of them is run."""

import argparse
import gzip
import json
import pickle
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from progan.errors import UserError
from progan.interop.describe_pickle import tensor_names
from progan.interop.exports import export
from progan.interop.load import import_foreign, load_snapshot
from progan.training.init_from import load_init_source
from progan.training.resume import require_resumable
from tests.builders import tiny_snapshot
from tests.for_each import for_each
from tests.interop import official_files, zoo_files
from tests.runtime import attacks

CPU = torch.device("cpu")


class Made:
    """Is pickled as a call of a function of another program."""

    def __init__(self, name: str, *arguments: Any) -> None:
        self.name, self.arguments = name, arguments

    def __reduce__(self) -> Any:
        module, _, name = self.name.rpartition(".")
        return getattr(sys.modules[module], name), self.arguments


def modules(*names: str) -> Any:
    """Let `pickle` find functions of modules that are not installed."""
    found: dict[str, types.ModuleType] = {}
    for name in names:
        parent, _, own = name.rpartition(".")
        parts = parent.split(".")
        for count in range(1, len(parts) + 1):
            path = ".".join(parts[:count])
            found.setdefault(path, types.ModuleType(path))

        def function(*_: Any) -> None:
            raise AssertionError("it was called")

        function.__module__, function.__qualname__ = parent, own
        setattr(found[parent], own, function)
    return patch.dict(sys.modules, found)


def dumped(protocol: int, name: str, *arguments: Any) -> bytes:
    with modules(name):
        return pickle.dumps({"G_ema": Made(name, *arguments)}, protocol)


def tensors(*names: str) -> "OrderedDict[str, torch.Tensor]":
    return OrderedDict((name, torch.zeros(2, 2)) for name in names)


def refused(path: Path) -> str:
    """What is said of a file, which is the same wherever it is read."""
    said = set()
    for read in (read_foreign_or_own, load_init_source, require_resumable):
        with pytest.raises(UserError) as caught:
            read(path)
        said.add(str(caught.value))
    (text,) = said
    assert str(path) in text and "\n" not in text
    return text


def read_foreign_or_own(path: Path) -> object:
    return import_foreign(path) or load_snapshot(path, CPU)


TFLIB = "dnnlib.tflib.network.Network"
PERSISTENT = "torch_utils.persistence._reconstruct_persistent_obj"


@for_each("protocol", [0, 2, 4])
@for_each(
    ("name", "argument", "said"),
    [
        (TFLIB, {"build_func_name": "G_style"}, "is a pickle of StyleGAN (official TensorFlow"),
        (TFLIB, {"build_func_name": "G_main"}, "is a pickle of StyleGAN2 (official TensorFlow"),
        (TFLIB, {}, "is a pickle of StyleGAN or StyleGAN2 "),
        (PERSISTENT, {"module_src": "class SynthesisBlock(x): ..."}, "of StyleGAN2-ADA (official"),
        (PERSISTENT, {"module_src": "class SynthesisInput(x): ..."}, "of StyleGAN3 (official"),
        (PERSISTENT, {}, "is a pickle of StyleGAN2-ADA, StyleGAN3 or a relative"),
        ("lasagne.layers.Dense", {}, "of the Theano version of Progressive GAN"),
        ("models.Generator", {}, "is a pickle of another program (it needs models.Generator)"),
    ],
)
def test_pickles_are_called_by_their_program(
    tmp_path: Path, name: str, argument: object, said: str, protocol: int
) -> None:
    path = tmp_path / "x.pkl"
    path.write_bytes(dumped(protocol, name, argument))
    text = refused(path)
    assert said in text and "progan reads its own network files" in text
    assert "trust" not in text


@for_each("zipped", [True, False])
@for_each(
    ("content", "said"),
    [
        ({"GAN": tensors("S.net.0.weight", "G.x", "GE.x"), "version": "1.8"}, "stylegan2-pytorch"),
        ({"GAN": tensors("G.layers.0.w", "GE.x", "D.x"), "version": "1"}, "lightweight-gan"),
        (tensors("G.layers.0.w", "GE.x"), "lightweight-gan"),
        (
            {"g": tensors("a"), "g_ema": tensors("a"), "g_optim": {}},
            "rosinality's stylegan2-pytorch",
        ),
        ({"epoch": 3, "pytorch-lightning_version": "2", "state_dict": tensors("a")}, "Lightning"),
        (
            {"generator": {"conf": {}, "state_dict": tensors("rgb_converters.0.weight")}},
            "akanimax's pro_gan_pytorch",
        ),
        (
            tensors("module.initial_block.conv_1.weight", "module.rgb_converters.0.weight"),
            "akanimax's pro_gan_pytorch",
        ),
        (tensors("main.0.weight"), "holds weights of a DCGAN"),
        (tensors("foo.weight"), "holds weights of another architecture (1 tensor: foo.weight)"),
        (tensors("a", "b", "c", "d"), "(4 tensors: a, b, c, …)"),
        ({"net": tensors("a"), "args": argparse.Namespace(x=1)}, "(a dictionary of net, args)"),
        (
            torch.nn.Sequential(torch.nn.Linear(2, 2)),
            "a pickled PyTorch module of the class torch.nn.",
        ),
        (torch.zeros(2), "is a PyTorch file of another program"),
        ({"netG": zoo_files.painter(), "config": argparse.Namespace(x=1)}, "pytorch_GAN_zoo"),
    ],
)
def test_files_of_torch_are_called_by_their_program(
    tmp_path: Path, content: object, said: str, zipped: bool
) -> None:
    path = tmp_path / "x.pt"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    text = refused(path)
    assert said in text and "trust" not in text
    if zipped:
        path.write_bytes(path.read_bytes()[:-100])
        assert "is a PyTorch file that is damaged or cut short" in refused(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_hostile_files_of_torch_are_called_so(tmp_path: Path, zipped: bool) -> None:
    attack = attacks.calls(tmp_path / "proof")["posix.system"]
    torch.save(
        {"g_ema": tensors("a"), "x": attack},
        tmp_path / "x.pt",
        _use_new_zipfile_serialization=zipped,
    )
    assert "is refused. The pickle asks for posix.system" in refused(tmp_path / "x.pt")
    pair = dumped(2, TFLIB)[:-1] + pickle.dumps(attack, 2)[2:-1] + b"\x86."
    (tmp_path / "x.pkl").write_bytes(pair)
    assert "is refused. The pickle asks for posix.system" in refused(tmp_path / "x.pkl")
    assert not (tmp_path / "proof").exists()


def test_safetensors_of_others(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(dict(tensors("conv_in.weight", "down_blocks.0.resnets.0.conv1.weight")), path)
    assert "of another program: weights of diffusers" in refused(path)
    save_file(dict(tensors("a")), path, {"format": "pt"})
    assert "weights of another architecture (1 tensor: a)" in refused(path)
    path.write_bytes(path.read_bytes()[:-3])
    assert "is a safetensors file that is damaged or cut short" in refused(path)


@pytest.mark.parametrize("suffix", [".pt2", ".ts"])
def test_exports_of_ours_name_what_they_were_made_of(tmp_path: Path, suffix: str) -> None:
    export(
        tiny_snapshot(),
        tmp_path / f"x{suffix}",
        {"software": "progan 1", "network": "network-snapshot-000012.safetensors 0123"},
    )
    assert (
        "export of progan for other programs, made of network-snapshot-000012.safetensors. "
        "Name the network file"
    ) in refused(tmp_path / f"x{suffix}")


def png(path: Path) -> None:
    Image.new("RGB", (4, 4)).save(path, "png")


def zip_of(member: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, b"x")

    return write


GOOGLE = "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title>"
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


@for_each("name", ["x.pkl", "x.pth", "x.safetensors", "x"])
@for_each(
    ("write", "said"),
    [
        (png, "is a PNG image"),
        (zip_of("a/1.png"), "is a ZIP archive of images"),
        (zip_of("karras.pkl"), "holds karras.pkl. Unpack it, and name that file."),
        (zip_of("a.txt"), "is a ZIP archive of 1 file"),
        (lambda path: path.write_bytes(gzip.compress(b"x" * 99)), "is a gzip file"),
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_bytes(bytes(999)), "begins with zeros only"),
        (lambda path: path.write_text(GOOGLE), "is a web page of Google Drive"),
        (lambda path: path.write_text("\n<html>"), "is a saved web page (HTML)"),
        (lambda path: path.write_text(LFS), "is a Git LFS pointer"),
        (lambda path: path.write_text("hello\nyou"), "is a text file that begins with 'hello'"),
        (lambda path: path.write_text(json.dumps({"a": 1})), "is a JSON file"),
        (lambda path: np.save(path.open("wb"), np.zeros(3)), "is a NumPy array"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "is an HDF5 file"),
        (lambda path: path.write_bytes(b"\x80\x04\x95 a pickle"), "is not a readable pickle"),
        (lambda path: path.write_bytes(b"\x08\x0a\x12\x07pytorch\x1a\x06"), "is an ONNX file"),
        (lambda path: path.write_bytes(b"\xa5"), "damaged"),
    ],
)
def test_files_of_no_network_are_called_what_they_are(
    tmp_path: Path, name: str, write: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / name
    write(path)
    text = refused(path)
    assert said in text and "trust" not in text


def test_references_of_a_dictionary_to_itself_count_once() -> None:
    content: dict[str, object] = {"weight": 1}
    content |= {str(number): content for number in range(1000)}
    assert len(tensor_names(content)) == 1001


def test_pickles_that_are_read_are_not_refused(tmp_path: Path) -> None:
    for protocol in (0, 2, 4):
        path = official_files.write(tmp_path / "x.pkl", official_files.networks(), protocol)
        assert import_foreign(path) is not None
