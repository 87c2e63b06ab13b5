"""Pickles as data: what Python's own unpickler gives for data, and nothing for anything else."""

import pickle
import tracemalloc
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.errors import UserError
from progan.runtime.pickle_scan import is_hostile
from progan.runtime.safe_pickle import CALLS, PickledObject, RefusedPickle, load_plain
from tests.for_each import for_each
from tests.runtime import attacks

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
HERE = Path("proof")
PLAIN = (type(None), bool, int, float, str, bytes, bytearray, list, tuple, dict)

# What Python 2's cPickle wrote of {'data': np.array([1, 2], uint8), 'labels': [3]}.
PYTHON_2 = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\n"
    b"q\x04K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87R"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\x02tbU\x06labelsq\x07"
    b"]q\x08K\x03au."
)

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.binary() | st.integers(), inner)
    ),
    max_leaves=20,
)  # fmt: skip


@given(value=values, protocol=st.sampled_from(PROTOCOLS))
def test_plain_values_are_what_they_were(value: Any, protocol: int) -> None:
    assert load_plain(pickle.dumps(value, protocol), "x") == value


@for_each("protocol", PROTOCOLS)
@for_each(
    "array",
    [
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.arange(3.0),
        np.arange(3),
        np.float32(1.5),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4).transpose(2, 0, 1),
        np.zeros((0, 3)),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(3, dtype=">f4"),
        np.array(2.5),
        np.array([True, False]),
        np.arange(12)[::2],
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_are_what_they_were(array: np.ndarray, protocol: int) -> None:
    loaded, again = load_plain(pickle.dumps([array, array], protocol), "x")
    np.testing.assert_array_equal(loaded, array)
    assert loaded.dtype == pickle.loads(pickle.dumps(array, protocol)).dtype and again is loaded


def test_pickles_of_python_2_are_read() -> None:
    content = load_plain(PYTHON_2, "old")
    assert content["labels"] == [3]
    np.testing.assert_array_equal(content["data"], np.array([1, 2], np.uint8))


def test_text_of_python_2_keeps_its_bytes() -> None:
    assert load_plain(b"S'caf\\xe9 \\'\\n'\n.", "old") == "caf\xe9 '\n"
    assert load_plain(b"U\x02\xff\x00.", "old") == "\xff\x00"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_objects_of_known_classes_become_records(protocol: int) -> None:
    class Thing:
        def __init__(self) -> None:
            self.size, self.list = 3, [1]

    Thing.__module__, Thing.__qualname__ = __name__, "Thing"
    name = f"{__name__}.Thing"
    globals()["Thing"] = Thing
    record = load_plain(pickle.dumps(Thing(), protocol), "x", [name])
    assert isinstance(record, PickledObject)
    assert (record.name, record.state) == (name, {"size": 3, "list": [1]})
    with pytest.raises(UserError, match=f"asks for {name}"):
        load_plain(pickle.dumps(Thing(), protocol), "x")


@for_each(
    "name",
    [
        "models.Generator",
        "argparse.Namespace",
        "collections.OrderedDict",
        "collections.defaultdict",
        "torch._utils._rebuild_tensor_v2",
        "torch.nn.modules.linear.Linear",
        "builtins.set",
        "builtins.ValueError",
        "pathlib.PosixPath",
        "__main__.Net",
        "functools.partial",
        "numpy.random._pickle.__randomstate_ctor",
        "dnnlib.tflib.network.Network",
        "my.code.Net",
    ],
)
def test_plain_names_are_not_hostile(name: str) -> None:
    assert not is_hostile(name)


@for_each(
    "name",
    [
        "os.system",
        "posix.popen",
        "builtins.eval",
        "builtins.getattr",
        "torch.os.system",
        "builtins.object.__subclasses__",
        "numpy.load",
        "numpy.lib.npyio.load",
        "torch.hub.load",
        "models.Net.__globals__",
        "subprocess.run",
        "importlib.import_module",
        "types.FunctionType",
    ],
)
def test_names_that_run_or_reach_something_are_hostile(name: str) -> None:
    assert is_hostile(name)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_only_hostile_pickles_are_called_so(tmp_path: Path, protocol: int) -> None:
    """Also where a plain name comes first, at which reading ends."""
    plain = [{1, 2}, attacks.Attack(OrderedDict, [("a", 1)])]
    unread = "which progan does not read. Nothing of it was run"
    with pytest.raises(RefusedPickle, match=unread) as said:
        load_plain(pickle.dumps(plain, protocol), "x")
    assert not said.value.hostile and "trust" not in str(said.value)
    attack = attacks.calls(tmp_path / "proof")["posix.system"]
    with pytest.raises(RefusedPickle, match="asks for posix.system, .* foreign program") as said:
        load_plain(pickle.dumps([*plain, attack], protocol), "x")
    assert said.value.hostile and list(tmp_path.iterdir()) == []


def test_lists_may_contain_themselves() -> None:
    loop: list[Any] = []
    loop.append(loop)
    loaded = load_plain(pickle.dumps(loop), "x")
    assert loaded[0] is loaded


def test_depth_is_no_harm() -> None:
    assert load_plain(b"\x80\x02)" + b"\x85" * 300_000 + b".", "x") is not None


@for_each("protocol", PROTOCOLS)
@for_each("name", attacks.calls(HERE))
def test_calls_are_refused_by_name_and_not_made(tmp_path: Path, name: str, protocol: int) -> None:
    proof = tmp_path / "proof"
    for content in (attacks.calls(proof)[name], {"a": [attacks.calls(proof)[name]]}):
        with pytest.raises(UserError, match=rf"^x is refused. The pickle asks for ({name})"):
            load_plain(pickle.dumps(content, protocol), "x")
    assert list(tmp_path.iterdir()) == []


@for_each("name", attacks.by_hand(HERE))
def test_tricks_are_refused(tmp_path: Path, name: str) -> None:
    before = {call: vars(function).copy() for call, function in CALLS.items()}
    with pytest.raises(UserError) as caught:
        load_plain(attacks.by_hand(tmp_path / "proof")[name], "x")
    assert f"x is refused. The pickle asks for {name}," in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert before == {call: vars(function) for call, function in CALLS.items()}


@for_each("what", attacks.broken(HERE))
def test_broken_pickles_are_named_and_cost_nothing(tmp_path: Path, what: str) -> None:
    data = attacks.broken(tmp_path / "proof")[what]
    tracemalloc.start()
    with pytest.raises(UserError, match="^x is not a readable pickle"):
        load_plain(data, "x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert list(tmp_path.iterdir()) == []


def test_far_places_in_the_memo_cost_nothing() -> None:
    """There is no room made for the places before them."""
    tracemalloc.start()
    assert load_plain(b"\x80\x02K\x07r\xff\xff\xff\x7f0j\xff\xff\xff\x7f.", "x") == 7
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_messages_do_nothing_to_a_terminal() -> None:
    name = "\x1b[2J" * 1000
    data = b"\x80\x04" + attacks.text(name) + attacks.text("x") + b"\x93."
    with pytest.raises(UserError) as caught:
        load_plain(data, "x")
    assert "\x1b" not in str(caught.value) and len(str(caught.value)) < 600


@given(data=st.binary(max_size=60), start=st.sampled_from([b"", b"\x80\x02", b"\x80\x04"]))
def test_anything_else_is_an_error_in_words(data: bytes, start: bytes) -> None:
    try:
        value = load_plain(start + data, "x")
    except UserError:
        return
    assert isinstance(value, PLAIN)
