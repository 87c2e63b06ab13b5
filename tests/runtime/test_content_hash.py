"""A hash that differs wherever contents differ, and nowhere else."""

from itertools import combinations

import torch

from progan.runtime.content_hash import content_hash

NUMBERS = torch.arange(6, dtype=torch.float32)
DIFFERENT = [
    None, 0, 0.0, False, "", "0", [], {}, [[]], [{}], {"a": 1}, {"a": 1.0}, {"b": 1}, {1: "a"},
    {"a": 1, "b": 2}, {"b": 2, "a": 1}, ["ab", "c"], ["a", "bc"], [1, [2]], [[1], 2],
    NUMBERS, NUMBERS.view(2, 3), NUMBERS.view(3, 2), NUMBERS.double(), NUMBERS.to(torch.bfloat16),
    NUMBERS.int(), -NUMBERS, torch.zeros(()), torch.zeros(0), torch.zeros(0, 3), torch.tensor(True),
    [NUMBERS[:3], NUMBERS[3:]], [NUMBERS[:2], NUMBERS[2:]]]


def test_different_contents_have_different_hashes() -> None:
    for one, other in combinations(DIFFERENT, 2):
        assert content_hash(one) != content_hash(other), (one, other)


def test_equal_contents_have_equal_hashes() -> None:
    assert content_hash((1, 2)) == content_hash([1, 2]), "files of torch hold both as they like"
    picture = torch.rand(2, 3, 4, 5)
    laid_out = picture.contiguous(memory_format=torch.channels_last)
    assert content_hash(picture) == content_hash(laid_out)
    assert content_hash(NUMBERS) == content_hash(torch.stack([NUMBERS, NUMBERS], 1)[:, 0])


def test_the_hash_is_the_same_for_ever() -> None:
    """Files hold it."""
    assert content_hash({"a": [1, None], "b": torch.tensor([1.5])}) == (
        "82e32e1ee853b83bc0bcf2b99f26aa62c9ab458dc27614e3dfe2c0bd65eea96e")
