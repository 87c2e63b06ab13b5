"""Weights with a header."""

import pytest
import torch
from safetensors.torch import save_file

from progan.runtime.weights_file import is_weights_file, load_weights, read_header, save_weights

HEADER = {"format": "test", "version": 1, "names": ["é"]}


def test_weights_and_header_survive_as_float32(tmp_path):
    file = tmp_path / "w.safetensors"
    weights = {"a": torch.randn(3, 4).T, "b": torch.arange(3)}
    save_weights(file, HEADER, weights)
    header, found = load_weights(file, "test")
    assert header == HEADER == read_header(file, "test")
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert is_weights_file(file)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("header", [
    None, {"progan": "{"}, {"progan": "3"}, {"progan": "{}"}, {"progan": '{"format": "other"}'}])
def test_files_of_another_kind_are_refused(tmp_path, header):
    save_file({"a": torch.zeros(1)}, tmp_path / "w", header)
    with pytest.raises(ValueError):
        load_weights(tmp_path / "w", "test")
    with pytest.raises(ValueError):
        read_header(tmp_path / "w", "test")


@pytest.mark.parametrize("content", [b"", b"words", b"\x08\0\0\0\0\0\0\0{", b"PK\3\4 and so on"])
def test_files_without_weights_are_refused(tmp_path, content):
    (tmp_path / "w").write_bytes(content)
    with pytest.raises(ValueError):
        load_weights(tmp_path / "w", "test")
    assert is_weights_file(tmp_path / "w") == content.endswith(b"{")
