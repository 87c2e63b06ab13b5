"""Pickles of the official TensorFlow code: (G, D, Gs), each a `tfutil.Network`.

A network has the source of its module as text, which is never looked at: the architecture is that
of the paper, and the arguments with which it was built say which one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from progan.errors import UserError
from progan.interop.official import OfficialNetwork
from progan.interop.official_names import ROLES, AnyArray
from progan.interop.torch_files import HEAD, is_old_torch, scan_file
from progan.runtime.pickle_scan import PickledObject
from progan.runtime.safe_pickle import load_plain

CLASS = "tfutil.Network"
BUILDERS = {"G": "G_paper", "D": "D_paper", "Gs": "G_paper"}
SUFFIX = ".pkl"
PROTOCOL = 0x80  # first byte of a pickle of protocol 2 or newer; then the protocol
NEWEST_PROTOCOL = 5


def is_pickle(path: Path) -> bool:
    """Whether a file begins as a pickle; one of the oldest protocols must be named as one."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if is_old_torch(head):
        return False
    if len(head) >= 2 and head[0] == PROTOCOL and 2 <= head[1] <= NEWEST_PROTOCOL:
        return True
    return path.suffix == SUFFIX and bool(head) and scan_file(path).is_whole


def read_pickle(path: Path) -> dict[str, OfficialNetwork]:
    """The networks by their names there, 'G', 'D' and 'Gs'; raises UserError for other files."""
    content = load_plain(path.read_bytes(), str(path), [CLASS])
    if not isinstance(content, (tuple, list)) or len(content) != len(ROLES):
        raise UserError(f"{path} is a pickle, but not of the official networks (G, D, Gs). These "
                        f"are called network-snapshot-…{SUFFIX} or karras2018…{SUFFIX}.")
    return {name: _network(state, name, path)
            for name, state in zip(ROLES, content, strict=True)}


def _network(record: Any, name: str, path: Path) -> OfficialNetwork:
    state = record.state if isinstance(record, PickledObject) else None
    if not isinstance(state, dict) or not isinstance(state.get("static_kwargs"), dict):
        raise UserError(f"{path} is a pickle, but its {name} is no network of the official "
                        "TensorFlow code. (Its predecessor in Theano wrote other ones: load and "
                        "save those with the official code.)")
    builder = state.get("build_func_name")
    if builder != BUILDERS[name]:
        raise UserError(f"{path}: its {name} was built by {_word(builder)}, and progan knows the "
                        f"architecture of {BUILDERS[name]} alone.")
    return OfficialNetwork(state["static_kwargs"], _variables(state.get("variables"), name, path))


def _variables(pairs: Any, name: str, path: Path) -> Mapping[str, AnyArray]:
    """[(name, array)] as a dictionary; nothing but arrays and numbers is looked into."""
    if not isinstance(pairs, list) or not all(map(_is_variable, pairs)):
        raise UserError(f"{path} is damaged: the variables of its {name} are no pairs of names and "
                        "arrays. Fetch it again.")
    return {variable: np.asarray(value) for variable, value in pairs}


def _is_variable(pair: Any) -> bool:
    return (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str)
            and isinstance(pair[1], (np.ndarray, int, float)))


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.isidentifier() else "something unnamed"
