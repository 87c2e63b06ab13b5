"""Files of the official code: pickles of TensorFlow networks, and NumPy archives without a pickle.

In an archive, `Gs/8x8/Conv0_up/weight`, `Gs/lod` … are the variables, and `Gs/static_kwargs` is
JSON, the arguments of the function that builds the network; so for G and D, where they are known.

A pickle holds (G, D, Gs), each a `tfutil.Network`. A network has the source of its module as text,
which is never looked at: the architecture is that of the paper, and the arguments with which it was
built say which one.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from progan.errors import UserError
from progan.interop.describe_pickle import HEAD, is_old_torch, scan_file
from progan.interop.official import OfficialNetwork
from progan.interop.official_names import ROLES, AnyArray
from progan.runtime.files import atomic_path, zip_member_names
from progan.runtime.pickle_scan import PickledObject
from progan.runtime.safe_pickle import load_plain

ARGUMENTS = "static_kwargs"
ARCHIVE_SUFFIX = ".npz"
CLASS = "tfutil.Network"
BUILDERS = {"G": "G_paper", "D": "D_paper", "Gs": "G_paper"}
PICKLE_SUFFIX = ".pkl"
PROTOCOL = 0x80  # first byte of a pickle of protocol 2 or newer; then the protocol
NEWEST_PROTOCOL = 5


def write_archive(path: Path, networks: Mapping[str, OfficialNetwork]) -> None:
    """Write the networks, whole or not at all."""
    arrays: dict[str, AnyArray] = {}
    for name, network in networks.items():
        arrays[f"{name}/{ARGUMENTS}"] = np.array(json.dumps(dict(network.arguments)))
        arrays |= {f"{name}/{variable}": array for variable, array in network.variables.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def is_archive(path: Path) -> bool:
    """Whether a file is a NumPy archive: a zip file of .npy files."""
    names = zip_member_names(path)
    return bool(names) and all(name.endswith(".npy") for name in names)


def read_archive(path: Path) -> dict[str, OfficialNetwork]:
    """The networks by their names there; raises UserError for other archives."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name.split("/")[0] in ROLES}
        found = {
            name: _archived_network(arrays, f"{name}/")
            for name in ROLES
            if f"{name}/{ARGUMENTS}" in arrays
        }
    except (ValueError, TypeError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
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
        raise ValueError(f"{ARGUMENTS} are no dictionary")
    return OfficialNetwork(
        arguments,
        {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix) and name != prefix + ARGUMENTS
        },
    )


def is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle; one of the oldest protocols must be named as one."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_old_torch(head):
        return False
    if len(head) >= 2 and head[0] == PROTOCOL and 2 <= head[1] <= NEWEST_PROTOCOL:
        return True
    return path.suffix == PICKLE_SUFFIX and bool(head) and scan_file(path).is_whole


def read_pickle(path: Path) -> dict[str, OfficialNetwork]:
    """The networks by their names there, 'G', 'D' and 'Gs'; raises UserError for other files."""
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
            f"{path} is a pickle, but its {name} is no network of the official "
            "TensorFlow code. (Its predecessor in Theano wrote other ones: load and "
            "save those with the official code.)"
        )
    builder = state.get("build_func_name")
    if builder != BUILDERS[name]:
        raise UserError(
            f"{path}: its {name} was built by {_word(builder)}, and progan knows the "
            f"architecture of {BUILDERS[name]} alone."
        )
    return OfficialNetwork(state["static_kwargs"], _variables(state.get("variables"), name, path))


def _variables(pairs: Any, name: str, path: Path) -> Mapping[str, AnyArray]:
    """[(name, array)] as a dictionary; nothing but arrays and numbers is looked into."""
    if not isinstance(pairs, list) or not all(map(_is_variable, pairs)):
        raise UserError(
            f"{path} is damaged: the variables of its {name} are no pairs of names and "
            "arrays. Fetch it again."
        )
    return {variable: np.asarray(value) for variable, value in pairs}


def _is_variable(pair: Any) -> bool:
    return (
        isinstance(pair, (tuple, list))
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], (np.ndarray, int, float))
    )


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else "something unnamed"
