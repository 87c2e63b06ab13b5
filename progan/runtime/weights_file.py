"""Save and load weights as safetensors with a JSON header; hash the content of a state."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from progan.errors import get_first_error_line
from progan.runtime.files import atomic_path

_KEY = "progan"  # the header's key in the metadata of safetensors
MAX_HEADER_BYTES = 1 << 20  # searched for the format of a damaged file


def hash_content(value: Any) -> str:
    """Return the SHA-256, in hexadecimal, of nested dicts, lists, tensors, numbers, strings, None.

    The order of keys and the types of numbers matter; devices and strides of tensors do not.
    """
    sha = hashlib.sha256()
    _feed_hash(sha, value)
    return sha.hexdigest()


def _feed_hash(sha: "hashlib._Hash", value: Any) -> None:
    """Update a hash in place with a value and, if nested, with all values in it."""
    if isinstance(value, Tensor):
        sha.update(f"tensor {value.dtype} {tuple(value.shape)}:".encode())
        numbers = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        sha.update(numbers.numpy().data)
    elif isinstance(value, Mapping):
        sha.update(f"mapping {len(value)}:".encode())
        for key, item in value.items():
            _feed_hash(sha, key)
            _feed_hash(sha, item)
    elif isinstance(value, (list, tuple)):
        sha.update(f"list {len(value)}:".encode())
        for item in value:
            _feed_hash(sha, item)
    else:
        text = repr(value).encode()
        sha.update(f"{type(value).__name__} {len(text)}:".encode() + text)


class DamagedFile(ValueError):
    """A file that claims the right format and cannot be read."""


def save_weights(
    path: Path,
    header: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write weights atomically.

    Args:
        header: JSON values; its 'format' names the kind of file.
        dtype: Of the weights in the file; counters, which float16 cannot hold, are float32.
    """
    stored = {
        name: tensor.detach()
        .cpu()
        .to(dtype if tensor.is_floating_point() else torch.float32)
        .contiguous()
        for name, tensor in weights.items()
    }
    content = save(stored, {_KEY: json.dumps(header)})
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)  # a full disk is an OSError here, unlike in save_file


def is_weights_file(path: Path) -> bool:
    """True if a file looks like safetensors: eight bytes of a length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """Read the header alone; raises ValueError unless it is a file whose 'format' is `kind`."""
    with _open_weights(path, kind) as file:
        return _get_header_of_format(file, kind)


def load_weights(
    path: Path, kind: str, device: str = "cpu"
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and weights; raises ValueError unless it is a file whose 'format' is `kind`.

    The ValueError is a DamagedFile if the file claims that format and cannot be read.
    """
    with _open_weights(path, kind, device) as file:
        return (
            _get_header_of_format(file, kind),
            {name: file.get_tensor(name) for name in file.keys()},
        )


@contextmanager
def _open_weights(path: Path, kind: str, device: str = "cpu") -> Iterator[Any]:
    """Open a safetensors file; ValueError if unreadable, DamagedFile if it claims `kind`."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            yield file
    except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        fault = DamagedFile if _claims_format(path, kind) else ValueError
        raise fault(f"no {kind}: {get_first_error_line(error)}") from error
    except OSError:
        # safetensors gives no errno and no file name; opening the file raises an error with both.
        with path.open("rb"):
            raise


def _claims_format(path: Path, kind: str) -> bool:
    """True if the header of a file, which may be cut, names the format `kind`."""
    entry = json.dumps({"format": kind})[1:-1]
    with path.open("rb") as file:
        return json.dumps(entry)[1:-1].encode() in file.read(MAX_HEADER_BYTES)


def _get_header_of_format(file: Any, kind: str) -> dict[str, Any]:
    """Return the header; ValueError or KeyError unless its 'format' is `kind`."""
    header: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
    if header["format"] != kind:
        raise ValueError(f"format {header['format']!r}")
    return header
