"""A recorder of the CPU: CUDA graphs played by a list of operations."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from progan.training.cuda_graph import CapturedGraph, GraphCapture


class Tape(TorchDispatchMode):
    """Remembers each operation with the very tensors that it read and made.

    Replayed, they happen again in the same memory, and numbers of Python stay what they were
    when they were recorded: what a step does beside its tensors is not done again, as on a GPU.
    Where a step waits for a number, recording fails.
    """

    def __init__(self) -> None:
        super().__init__()
        self._played: list[tuple[Any, tuple[Any, ...], dict[str, Any], list[Tensor]]] = []
        self._before: dict[int, tuple[Tensor, Tensor]] = {}  # of what is changed in place

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        if func._schema.is_mutable:
            for tensor in _tensors((args, kwargs)):
                self._before.setdefault(id(tensor), (tensor, tensor.clone()))
        out = func(*args, **kwargs)
        read = {id(tensor) for tensor in _tensors((args, kwargs))}
        made = [] if _aliases(func) else [x for x in _tensors(out) if id(x) not in read]
        self._played.append((func, args, kwargs, made))
        return out

    def undo(self) -> None:
        """Nothing of it has happened."""
        with torch.no_grad():
            for tensor, before in self._before.values():
                tensor.copy_(before)

    def replay(self) -> None:
        with torch.no_grad():
            for func, args, kwargs, made in self._played:
                again = _tensors(func(*args, **kwargs))
                for old, new in zip(made, again if made else [], strict=True):
                    old.copy_(new)


def tapes() -> GraphCapture:
    def record(work: Callable[[], Tensor]) -> CapturedGraph:
        tape = Tape()
        try:
            with tape:
                result = work()
        finally:
            tape.undo()
        return CapturedGraph(tape.replay, result)

    return record


def _tensors(value: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor)]


def _aliases(func: Any) -> bool:
    """Whether what an operation returns lies in the memory of what it read."""
    return any(each.alias_info is not None for each in func._schema.returns)
