"""A GPU that exists in name only, and a mode that fails where the CPU would wait for a real one.

torch's FakeTensorMode gives tensors a device, "cuda", and no data, on machines without any GPU.
Operations choose the same path as on a GPU: autocast, fused optimizers, copies between devices.
What cannot be seen this way are waits inside of libraries, kernels and their memory.
"""

import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from progan.training.precision import MetaAutocast

GPU, NOWHERE = torch.device("cuda"), torch.device("meta")
aten = torch.ops.aten
# The size or the value of what they return is known only when the device has computed it.
WAITING = {
    getattr(aten, name)
    for name in (
        "_local_scalar_dense",
        "is_nonzero",
        "equal",
        "allclose",
        "nonzero",
        "masked_select",
        "_unique",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "unique_dim_consecutive",
        "repeat_interleave",
        "bincount",
    )
}
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
MASKS = (torch.bool, torch.uint8)


class NotAsynchronous(AssertionError):
    """The CPU waits for the device, or a tensor of the CPU meets one of the device."""


class Asynchronous(TorchDispatchMode):
    """Raises NotAsynchronous at an operation that makes the CPU wait for a GPU.

    These are: reading a value of a tensor; operations whose result has a size that depends on
    values; any copy between CPU and GPU, because one from memory that is not pinned waits for all
    that was asked of the stream before. And the same for operations on tensors of both devices:
    torch permits 0-d ones of the CPU, but a recorded step would keep their value for ever.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        target = kwargs.get("device")
        if target is not None:
            devices.add("cuda" if target == NOWHERE else torch.device(target).type)
        _require_generator(func, kwargs, target)
        if "cuda" in devices:
            if len(devices) > 1:
                raise NotAsynchronous(_message(func, "takes tensors of CPU and GPU"))
            if func._overloadpacket in WAITING:
                raise NotAsynchronous(_message(func, "waits for the GPU"))
            if func._overloadpacket in INDEXING and _masks(args[1]):
                raise NotAsynchronous(_message(func, "waits for the number of true elements"))
        return func(*args, **kwargs)


def _masks(indices: Any) -> bool:
    return any(index is not None and index.dtype in MASKS for index in indices)


class NamedGenerator(torch.Generator):
    """A generator of the CPU that is said to be one of another device; known by its seed."""

    devices: dict[int, str] = {}

    def __new__(cls, device: Any = "cpu") -> "NamedGenerator":
        made = super().__new__(cls)
        made._named = torch.device(device).type
        return made

    def __init__(self, device: Any = "cpu") -> None:
        super().__init__()

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device(self._named)

    def manual_seed(self, seed: int) -> "NamedGenerator":
        super().manual_seed(seed)
        self.devices[seed] = self._named
        return self


def _require_generator(func: Any, kwargs: dict[str, Any], target: Any) -> None:
    """What a real GPU requires: that it draws from a generator of its own."""
    generator = kwargs.get("generator")
    if generator is None:
        return
    has = NamedGenerator.devices.get(generator.initial_seed(), "cpu")
    if ("cuda" if target == NOWHERE else torch.device(target or "cpu").type) != has:
        raise NotAsynchronous(_message(func, f"draws from a generator of {has}"))


class _Somewhere(TorchDispatchMode):
    """Tells C++ that tensors of a GPU are on "meta".

    Python and all operations see "cuda". But autograd, which asks in C++, would look for streams of
    a GPU that is not there.
    """

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.prim.device.default:
            return NOWHERE if args[0].device.type == "cuda" else args[0].device
        if kwargs.get("device") == NOWHERE:  # that of a tensor, as C++ was told just before
            kwargs = {**kwargs, "device": GPU}
        if func is aten._fused_adam_.tensor_lr:  # has no stand-in for tensors without data
            return None
        return func(*args, **kwargs)


class _Autocast(TorchFunctionMode):
    """Lowers convolutions as autocast would, which asks in C++ where tensors are."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not torch.is_autocast_enabled("cuda"):
            return func(*args, **kwargs or {})
        with MetaAutocast(torch.get_autocast_dtype("cuda")):
            return func(*args, **kwargs or {})


class _OneMode(FakeTensorMode):
    """A copy of a tensor belongs to the same mode as the tensor."""

    def __deepcopy__(self, memo: Any) -> "_OneMode":
        return self


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Within, tensors have no data, and those of "cuda" can be made."""
    with ExitStack() as stack:
        for name, stand_in in STAND_INS.items():
            stack.enter_context(mock.patch(name, stand_in))
        stack.enter_context(_OneMode())
        stack.enter_context(_Somewhere())
        stack.enter_context(_Autocast())
        yield


def _moved(module: nn.Module, device: torch.device) -> nn.Module:
    """Module.to, which otherwise would exchange tensors that are held by FakeTensorMode."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            part.register_parameter(
                name, nn.Parameter(parameter.detach().to(device), parameter.requires_grad)
            )
        for name, buffer in part.named_buffers(recurse=False):
            part.register_buffer(name, buffer.to(device))
    return module


STAND_INS: dict[str, Any] = {
    "torch.Generator": NamedGenerator,
    "torch.random.fork_rng": lambda devices: nullcontext(),
    "torch.nn.Module.to": _moved,
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
    "torch.cuda.is_bf16_supported": lambda: True,
}


def _message(func: Any, what: str) -> str:
    """Where in this project it happened."""
    frames = [frame for frame in traceback.extract_stack() if "/progan/" in frame.filename]
    where = " < ".join(
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames)
    )
    return f"{func} {what} ({where})"
