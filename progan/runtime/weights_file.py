"""Weights on disk: safetensors with a JSON header that says what they are."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
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
    with replaced(path) as temporary:
        save_file(stored, temporary, {_KEY: json.dumps(header)})


def is_weights_file(path: Path) -> bool:
    """Whether a file looks like safetensors: eight bytes of a length, then JSON."""
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def load_weights(path: Path, kind: str, device: str = "cpu"
                 ) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read header and weights; raises ValueError unless it is a file whose 'format' is `kind`."""
    try:
        with safe_open(path, framework="pt", device=device) as file:
            header = json.loads((file.metadata() or {})[_KEY])
            if header["format"] != kind:
                raise ValueError(f"format {header['format']!r}")
            return header, {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"no {kind}: {error}") from error
