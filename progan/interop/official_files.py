"""Files of the official code: pickles of TensorFlow networks, and NumPy archives without a pickle.

In an archive, `Gs/8x8/Conv0_up/weight`, `Gs/lod` … are variables, and `Gs/static_kwargs` is JSON
with the arguments of the function that builds the network; likewise for G and D, if present.

A pickle holds (G, D, Gs), each a `tfutil.Network`. A network has the source of its module as text,
which is ignored: the architecture is that of the paper, with the stored arguments.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from progan.errors import UserError
from progan.interop.describe_pickle import HEAD, is_legacy_torch, scan_pickle_file
from progan.interop.official import ROLES, AnyArray, OfficialNetwork
from progan.runtime.files import atomic_path
from progan.runtime.pickle_scan import PickledObject
from progan.runtime.safe_pickle import load_plain
from progan.runtime.zip_files import list_zip_members

ARGUMENTS = "static_kwargs"
ARCHIVE_SUFFIX = ".npz"
CLASS = "tfutil.Network"
BUILDERS = {"G": "G_paper", "D": "D_paper", "Gs": "G_paper"}
PICKLE_SUFFIX = ".pkl"
PROTOCOL = 0x80  # first byte of a pickle of protocol 2 or newer; then the protocol
NEWEST_PROTOCOL = 5


def write_archive(path: Path, networks: Mapping[str, OfficialNetwork]) -> None:
    """Write the networks atomically to a NumPy archive."""
    arrays: dict[str, AnyArray] = {}
    for name, network in networks.items():
        arrays[f"{name}/{ARGUMENTS}"] = np.array(json.dumps(dict(network.arguments)))
        arrays |= {f"{name}/{variable}": array for variable, array in network.variables.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def is_archive(path: Path) -> bool:
    """Return True if a file is a NumPy archive: a zip file of .npy files."""
    names = list_zip_members(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_archive(path: Path) -> dict[str, OfficialNetwork]:
    """Read the networks of an archive by name; raises UserError for other archives."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name.split("/")[0] in ROLES}
        found = {
            name: _archived_network(arrays, f"{name}/")
            for name in ROLES
            if f"{name}/{ARGUMENTS}" in arrays
        }
    except Exception as error:  # a damaged file raises any, of a wrong shape MemoryError
        raise UserError(
            f"{path} is a damaged archive ({type(error).__name__}). Make it again."
        ) from error
    if not {"G", "Gs"} & found.keys():
        raise UserError(
            f"{path} is an archive of arrays, but holds no network with the official "
            f"names: a Gs/{ARGUMENTS} and its variables."
        )
    return found


def _archived_network(arrays: Mapping[str, AnyArray], prefix: str) -> OfficialNetwork:
    arguments = json.loads(str(arrays[prefix + ARGUMENTS]))
    if not isinstance(arguments, dict):
        raise ValueError(f"{ARGUMENTS} is not a dictionary")
    return OfficialNetwork(
        arguments,
        {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix) and name != prefix + ARGUMENTS
        },
    )


def is_pickle(path: Path) -> bool:
    """Return True if a file is a pickle; protocols 0 and 1 also need the suffix .pkl."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_legacy_torch(head):
        return False
    if len(head) >= 2 and head[0] == PROTOCOL and 2 <= head[1] <= NEWEST_PROTOCOL:
        return True
    return path.suffix == PICKLE_SUFFIX and bool(head) and scan_pickle_file(path).is_whole


def read_pickle(path: Path) -> dict[str, OfficialNetwork]:
    """Read the networks 'G', 'D' and 'Gs' of a pickle; raises UserError for other files."""
    content = load_plain(path.read_bytes(), str(path), [CLASS])
    if not isinstance(content, (tuple, list)) or len(content) != len(ROLES):
        raise UserError(
            f"{path} is a pickle, but not of the official networks (G, D, Gs). These "
            f"are called network-snapshot-…{PICKLE_SUFFIX} or "
            f"karras2018…{PICKLE_SUFFIX}."
        )
    return {
        name: _pickled_network(state, name, path)
        for name, state in zip(ROLES, content, strict=True)
    }


def _pickled_network(record: Any, name: str, path: Path) -> OfficialNetwork:
    state = record.state if isinstance(record, PickledObject) else None
    if not isinstance(state, dict) or not isinstance(state.get("static_kwargs"), dict):
        raise UserError(
            f"{path} is a pickle, but its {name} is not a network of the official "
            "TensorFlow code. (Load and save pickles of its predecessor in Theano with the "
            "official code.)"
        )
    builder = state.get("build_func_name")
    if builder != BUILDERS[name]:
        is_name = isinstance(builder, str) and builder.isidentifier()
        raise UserError(
            f"{path}: its {name} was built by {builder if is_name else 'something unnamed'}; "
            f"progan supports only {BUILDERS[name]}."
        )
    return OfficialNetwork(state["static_kwargs"], _variables(state.get("variables"), name, path))


def _variables(pairs: Any, name: str, path: Path) -> Mapping[str, AnyArray]:
    """Convert [(name, array)] to a dictionary; raises UserError for anything else."""
    if not isinstance(pairs, list) or not all(map(_is_variable, pairs)):
        raise UserError(
            f"{path} is damaged: the variables of its {name} are not pairs of names and "
            "arrays. Download it again."
        )
    return {variable: np.asarray(value) for variable, value in pairs}


def _is_variable(pair: Any) -> bool:
    return (
        isinstance(pair, (tuple, list))
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], (np.ndarray, int, float))
    )
