"""Weights on disk: safetensors with a JSON header that says what they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from progan.runtime.files import replaced

_KEY = "progan"  # of the header, among the metadata of safetensors


def save_weights(path: Path, header: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Write weights, as float32, whole or not at all.

    Args:
        header: What JSON can hold; its 'format' names the kind of file.
    """
    stored = {name: tensor.detach().cpu().float().contiguous()
              for name, tensor in weights.items()}
    content = save(stored, {_KEY: json.dumps(header)})
    with replaced(path) as temporary:
        temporary.write_bytes(content)  # a full disk is an OSError here, unlike in save_file


def is_weights_file(path: Path) -> bool:
    """Whether a file looks like safetensors: eight bytes of a length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def read_header(path: Path, kind: str) -> dict[str, Any]:
    """Read the header alone; raises ValueError unless it is a file whose 'format' is `kind`."""
    try:
        with safe_open(path, framework="pt") as file:
            return _header(file, kind)
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"no {kind}: {error}") from error


def load_weights(path: Path, kind: str, device: str = "cpu"
                 ) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and weights; raises ValueError unless it is a file whose 'format' is `kind`."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            return (_header(file, kind),
                    {name: file.get_tensor(name) for name in file.keys()})
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"no {kind}: {error}") from error


def _header(file: Any, kind: str) -> dict[str, Any]:
    header: dict[str, Any] = json.loads((file.metadata() or {})[_KEY])
    if header["format"] != kind:
        raise ValueError(f"format {header['format']!r}")
    return header
