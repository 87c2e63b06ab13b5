"""Files of weights, and hashes of states."""

import errno
from itertools import combinations

import pytest
import torch
from safetensors.torch import save_file

from progan.runtime.weights_file import (
    hash_content,
    is_weights_file,
    load_weights,
    read_header,
    save_weights,
)

NUMBERS = torch.arange(6, dtype=torch.float32)
DIFFERENT = [
    None, 0, 0.0, False, "", "0", [], {}, [[]], [{}], {"a": 1}, {"a": 1.0}, {"b": 1}, {1: "a"},
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, ["ab", "c"], ["a", "bc"], [1, [2]], [[1], 2], NUMBERS,
    NUMBERS.view(2, 3), NUMBERS.view(3, 2), NUMBERS.double(), NUMBERS.to(torch.bfloat16),
    NUMBERS.int(), -NUMBERS, torch.zeros(()), torch.zeros(0), torch.zeros(0, 3), torch.tensor(True),
    [NUMBERS[:3], NUMBERS[3:]], [NUMBERS[:2], NUMBERS[2:]],
]  # fmt: skip
HEADER = {"format": "test", "version": 1, "names": ["é"]}


def test_different_contents_have_different_hashes() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert hash_content(one) != hash_content(other), (one, other)


def test_equal_contents_have_equal_hashes() -> None:
    assert hash_content((1, 2)) == hash_content([1, 2]), "files of torch hold both as they like"
    picture = torch.rand(2, 3, 4, 5)
    laid_out = picture.contiguous(memory_format=torch.channels_last)
    assert hash_content(picture) == hash_content(laid_out)
    assert hash_content(NUMBERS) == hash_content(torch.stack([NUMBERS, NUMBERS], 1)[:, 0])


def test_the_hash_is_the_same_for_ever() -> None:
    """Files hold it."""
    assert hash_content({"a": [1, None], "b": torch.tensor([1.5])}) == (
        "82e32e1ee853b83bc0bcf2b99f26aa62c9ab458dc27614e3dfe2c0bd65eea96e"
    )


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


@pytest.mark.parametrize(
    "header",
    [None, {"progan": "{"}, {"progan": "3"}, {"progan": "{}"}, {"progan": '{"format": "other"}'}],
)
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


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path, number in ((tmp_path / "absent", errno.ENOENT), (tmp_path, errno.EISDIR)):
        with pytest.raises(OSError) as caught:
            load_weights(path, "test")
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
