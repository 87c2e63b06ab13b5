"""One number for everything in a nested value: whether what was read is what was written."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def content_hash(value: Any) -> str:
    """SHA-256, in hexadecimal, of dictionaries, lists, tensors, numbers, texts and None.

    Keys count in their order and numbers with their type. Where a tensor lies, in memory and on
    which device, does not count.
    """
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()


def _feed(sha: "hashlib._Hash", value: Any) -> None:
    if isinstance(value, Tensor):
        sha.update(f"tensor {value.dtype} {tuple(value.shape)}:".encode())
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha.update(numbers.numpy().data)
    elif isinstance(value, Mapping):
        sha.update(f"mapping {len(value)}:".encode())
        for key, item in value.items():
            _feed(sha, key)
            _feed(sha, item)
    elif isinstance(value, (list, tuple)):
        sha.update(f"list {len(value)}:".encode())
        for item in value:
            _feed(sha, item)
    else:
        text = repr(value).encode()
        sha.update(f"{type(value).__name__} {len(text)}:".encode() + text)
