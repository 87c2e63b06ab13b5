"""NumPy archives with the official names: what TensorFlow reads without a pickle.

`Gs/8x8/Conv0_up/weight`, `Gs/lod` … are the variables, and `Gs/static_kwargs` is JSON, the
arguments of the function that builds the network; so for G and D, where they are known.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from progan.errors import UserError
from progan.interop.official import OfficialNetwork
from progan.interop.official_names import ROLES, AnyArray
from progan.runtime.files import members, replaced

ARGUMENTS = "static_kwargs"
SUFFIX = ".npz"


def write_archive(path: Path, networks: Mapping[str, OfficialNetwork]) -> None:
    """Write the networks, whole or not at all."""
    arrays: dict[str, AnyArray] = {}
    for name, network in networks.items():
        arrays[f"{name}/{ARGUMENTS}"] = np.array(json.dumps(dict(network.arguments)))
        arrays |= {f"{name}/{variable}": array for variable, array in network.variables.items()}
    with replaced(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def is_archive(path: Path) -> bool:
    """Whether a file is a NumPy archive: a zip file of .npy files."""
    names = members(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_archive(path: Path) -> dict[str, OfficialNetwork]:
    """The networks by their names there; raises UserError for other archives."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files
                      if name.split("/")[0] in ROLES}
        found = {name: _network(arrays, f"{name}/") for name in ROLES
                 if f"{name}/{ARGUMENTS}" in arrays}
    except (ValueError, TypeError, OSError, EOFError, MemoryError,
            zipfile.BadZipFile) as error:
        raise UserError(f"{path} is a damaged archive ({type(error).__name__}). Make it again."
                        ) from error
    if not {"G", "Gs"} & found.keys():
        raise UserError(f"{path} is an archive of arrays, but holds no network with the official "
                        f"names: a Gs/{ARGUMENTS} and its variables.")
    return found


def _network(arrays: Mapping[str, AnyArray], prefix: str) -> OfficialNetwork:
    arguments = json.loads(str(arrays[prefix + ARGUMENTS]))
    if not isinstance(arguments, dict):
        raise ValueError(f"{ARGUMENTS} are no dictionary")
    return OfficialNetwork(arguments, {
        name.removeprefix(prefix): array for name, array in arrays.items()
        if name.startswith(prefix) and name != prefix + ARGUMENTS})
