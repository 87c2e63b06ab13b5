"""Copy batches to a GPU ahead of their use, on a side stream.

For devices other than CUDA, tensors stay where they are until they are received.
"""

from collections import deque
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.runtime.devices import call_or_none_if_out_of_memory

T = TypeVar("T")
MAX_STEPS_AHEAD = 4  # steps that the CPU may queue; more than one, so that the device never idles


@dataclass(frozen=True, slots=True)
class Prefetched(Generic[T]):
    """Nested containers of tensors that are being copied to a device."""

    content: T
    arrival: torch.cuda.Event | None  # None: nothing was copied yet


class CudaPrefetcher:
    """Copies tensors to the device in one thread, for another one to receive."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._queued: deque[torch.cuda.Event] = deque()

    def limit_queue(self) -> None:
        """Wait until the device has done the work queued `MAX_STEPS_AHEAD` calls ago.

        Without a limit, a CPU queues all captured steps up to the next read of a number: their
        data take memory, and a stop signal takes effect only after all of them.
        """
        if self._stream is None:
            return
        self._queued.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._queued) > MAX_STEPS_AHEAD:
            self._queued.popleft().synchronize()

    def use_stream(self) -> AbstractContextManager[Any]:
        """Return a context in which this thread queues its work on the side stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def copy_ahead(self, content: T) -> Prefetched[T]:
        """Start copying all tensors to the device; call it within `use_stream`.

        If the device lacks memory for them now, they are copied when they are received.
        """
        if self._stream is None:
            return Prefetched(content, None)
        sent: T | None = call_or_none_if_out_of_memory(
            lambda: tree_map_only(Tensor, self._copy_async, content)
        )
        return Prefetched(content if sent is None else sent, self._stream.record_event())

    def receive(self, prefetched: Prefetched[T]) -> T:
        """Return the copied tensors, for use on the caller's stream.

        The device waits for the copies before its next work; the CPU does not wait.
        """
        if prefetched.arrival is not None:
            torch.cuda.current_stream(self._device).wait_event(prefetched.arrival)
        received: T = tree_map_only(Tensor, self._hand_over, prefetched.content)
        return received

    def _copy_async(self, tensor: Tensor) -> Tensor:
        """Start copying a CPU tensor to the device; return any other unchanged."""
        if tensor.device.type != "cpu":
            return tensor
        # The allocator of pinned memory waits for the copy before it uses this memory again.
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _hand_over(self, tensor: Tensor) -> Tensor:
        """Mark a copied tensor as used on the caller's stream, and return it."""
        if tensor.device.type == "cuda":
            # Allocated on the side stream: it must not be reused there before the work queued here.
            tensor.record_stream(torch.cuda.current_stream(self._device))
        return tensor.to(self._device)
