"""Read pickles of arrays and plain containers; refuse whatever would build anything else."""

import io
import pickle
from typing import Any

import numpy as np

from progan.errors import UserError


def _latin1_bytes(text: str, encoding: str) -> bytes:
    """Python 3 writes bytes into old pickles as text that `_codecs.encode` turns back."""
    if encoding != "latin1":
        raise UserError(f"The pickle asks for the codec {encoding!r}. Fetch the file again.")
    return text.encode("latin1")


# The module that rebuilds arrays is called by three names, depending on who pickled them.
_RECONSTRUCT: Any = np.ndarray(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("_codecs", "encode"): _latin1_bytes,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise UserError(f"The pickle wants to build {module}.{name}, which data never needs: "
                            "loading it could run somebody's program. Fetch the file from a "
                            "place that you trust.") from None


def load_arrays(data: bytes, where: str) -> Any:
    """Unpickle arrays and plain containers; Python 2's strings become text.

    Raises:
        UserError: The pickle asks for anything else, or is broken. `where` names it.
    """
    try:
        return _ArraysOnly(io.BytesIO(data), encoding="latin1").load()
    except UserError as error:
        raise UserError(f"{where} is refused. {error}") from error
    except Exception as error:  # broken pickles make the unpickler raise nearly anything
        raise UserError(f"{where} is not a readable pickle ({error or type(error).__name__}). "
                        "Fetch it again.") from error
