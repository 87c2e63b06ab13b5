"""CUDA streams that copy batches ahead, and CUDA graphs.

Only CUDA has such queues (streams). For other devices tensors stay where they are until they are
received.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from progan.runtime.devices import none_if_out_of_memory

T = TypeVar("T")
MAX_STEPS_AHEAD = 4  # steps that the CPU may queue; more than one, so that the device never idles


@dataclass(frozen=True, slots=True)
class Prefetched(Generic[T]):
    """Tensors in any nest of containers, on their way to a device."""

    content: T
    arrival: torch.cuda.Event | None  # None: there was no way to go yet


class CudaPrefetcher:
    """One thread sends tensors through it to the device, another one receives them."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._asked: deque[torch.cuda.Event] = deque()

    def limit_queue(self) -> None:
        """Wait until the device has done what had been asked of it `MAX_STEPS_AHEAD` calls ago.

        A CPU that waits for nothing gets ahead of a GPU, by as many recorded steps as there are
        between two looks at a number. Meanwhile all their data would take memory, and a signal to
        stop would be heard only when all of them are done.
        """
        if self._stream is None:
            return
        self._asked.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._asked) > MAX_STEPS_AHEAD:
            self._asked.popleft().synchronize()

    def use_stream(self) -> AbstractContextManager[Any]:
        """Within, all that this thread asks of the device goes into the stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def copy_ahead(self, content: T) -> Prefetched[T]:
        """Have all tensors copied to the device, without waiting; to be called within `used`.

        Where there is no memory for them now, they are copied when they are received.
        """
        if self._stream is None:
            return Prefetched(content, None)
        sent: T | None = none_if_out_of_memory(lambda: tree_map_only(Tensor, self._copied, content))
        return Prefetched(content if sent is None else sent, self._stream.record_event())

    def receive(self, prefetched: Prefetched[T]) -> T:
        """Take tensors that are on their way; they belong to the caller's stream then.

        The device waits for them before it does what is asked of it next; the CPU does not.
        """
        if prefetched.arrival is not None:
            torch.cuda.current_stream(self._device).wait_event(prefetched.arrival)
        received: T = tree_map_only(Tensor, self._received, prefetched.content)
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


class CapturedGraph(NamedTuple):
    """What was recorded: `replay` does it again, with what its tensors hold by then."""

    replay: Callable[[], None]
    result: Tensor  # where each replay leaves it


class GraphCapture(Protocol):
    def __call__(self, work: Callable[[], Tensor]) -> CapturedGraph:
        """Record all that `work` asks of the device; none of it happens yet.

        Raises RuntimeError if `work` does what cannot be recorded, such as waiting for a number.
        """


def cuda_graph_capture() -> GraphCapture:
    """Return a graph capture with one memory pool; replay its graphs one at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], Tensor]) -> CapturedGraph:
        graph = torch.cuda.CUDAGraph()
        # Other threads read data meanwhile; only what this one does is being recorded.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = work()
        return CapturedGraph(graph.replay, result)

    return record
