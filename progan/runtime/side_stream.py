"""A queue of work for a device beside the one that computes, so that data arrive meanwhile.

Only CUDA has such queues (streams). For other devices tensors stay where they are until they are
received.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.runtime.devices import unless_out_of_memory

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parcel(Generic[T]):
    """Tensors in any nest of containers, on their way to a device."""

    content: T
    arrival: torch.cuda.Event | None  # None: there was no way to go yet


class SideStream:
    """One thread sends tensors through it to the device, another one receives them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def used(self) -> AbstractContextManager[Any]:
        """Within, all that this thread asks of the device goes into the stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def send(self, content: T) -> Parcel[T]:
        """Have all tensors copied to the device, without waiting; to be called within `used`.

        Where there is no memory for them now, they are copied when they are received.
        """
        if self._stream is None:
            return Parcel(content, None)
        sent: T | None = unless_out_of_memory(
            lambda: tree_map_only(Tensor, self._copied, content))
        return Parcel(content if sent is None else sent, self._stream.record_event())

    def receive(self, parcel: Parcel[T]) -> T:
        """Wait until all tensors are on the device; they belong to the caller's stream then."""
        if parcel.arrival is not None:
            parcel.arrival.synchronize()
        received: T = tree_map_only(Tensor, self._received, parcel.content)
        return received

    def _copied(self, tensor: Tensor) -> Tensor:
        if tensor.device.type != "cpu":
            return tensor
        # The allocator of pinned memory waits for the copy before it uses this memory again.
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _received(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "cuda":
            # Its memory came from the side stream, and must not go back there before the work
            # that will be asked of it here is done.
            tensor.record_stream(torch.cuda.current_stream(self._device))
        return tensor.to(self._device)
