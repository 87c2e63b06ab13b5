"""Which files can be written, by suffix, without importing torch."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from progan.errors import UserError

ONNX = ".onnx"
SUFFIXES = (".safetensors", ".npz", ONNX, ".pt2", ".ts", ".torchscript")
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def require_target(path: Path) -> None:
    """Raise UserError unless a file of that suffix can be written, and is not there yet."""
    if path.suffix not in SUFFIXES:
        *some, last = SUFFIXES
        raise UserError(f"--to {path}: name a file that ends with {', '.join(some)} or {last}.")
    if path.exists():
        raise UserError(f"--to {path}: there is one already. Name another file.")
    if path.suffix == ONNX:
        require_onnx()


def require_onnx(packages: Sequence[str] = ONNX_PACKAGES) -> None:
    """Raise UserError unless there is all that writing and reading ONNX takes."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(
            f"ONNX needs {' and '.join(missing)}, of the extra onnx: "
            'pip install "progan[onnx]" (or ".[onnx]" in a checkout).'
        )
