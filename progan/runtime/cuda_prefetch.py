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

from progan.runtime.devices import unless_out_of_memory

T = TypeVar("T")
MOST_AHEAD = 4  # steps by which the CPU may be ahead; more than one, so that the device never idles


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
        self._asked: deque[torch.cuda.Event] = deque()

    def keep_pace(self) -> None:
        """Wait until the device has done what had been asked of it `MOST_AHEAD` calls ago.

        A CPU that waits for nothing gets ahead of a GPU, by as many recorded steps as there are
        between two looks at a number. Meanwhile all their data would take memory, and a signal to
        stop would be heard only when all of them are done.
        """
        if self._stream is None:
            return
        self._asked.append(torch.cuda.current_stream(self._device).record_event())
        if len(self._asked) > MOST_AHEAD:
            self._asked.popleft().synchronize()

    def used(self) -> AbstractContextManager[Any]:
        """Within, all that this thread asks of the device goes into the stream."""
        return nullcontext() if self._stream is None else torch.cuda.stream(self._stream)

    def send(self, content: T) -> Parcel[T]:
        """Have all tensors copied to the device, without waiting; to be called within `used`.

        Where there is no memory for them now, they are copied when they are received.
        """
        if self._stream is None:
            return Parcel(content, None)
        sent: T | None = unless_out_of_memory(lambda: tree_map_only(Tensor, self._copied, content))
        return Parcel(content if sent is None else sent, self._stream.record_event())

    def receive(self, parcel: Parcel[T]) -> T:
        """Take tensors that are on their way; they belong to the caller's stream then.

        The device waits for them before it does what is asked of it next; the CPU does not.
        """
        if parcel.arrival is not None:
            torch.cuda.current_stream(self._device).wait_event(parcel.arrival)
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


class Recording(NamedTuple):
    """What was recorded: `replay` does it again, with what its tensors hold by then."""

    replay: Callable[[], None]
    result: Tensor  # where each replay leaves it


class Recorder(Protocol):
    def __call__(self, work: Callable[[], Tensor]) -> Recording:
        """Record all that `work` asks of the device; none of it happens yet.

        Raises RuntimeError if `work` does what cannot be recorded, such as waiting for a number.
        """


def cuda_graphs() -> Recorder:
    """A recorder whose recordings share their memory: they must never be replayed side by side."""
    pool = torch.cuda.graph_pool_handle()

    def record(work: Callable[[], Tensor]) -> Recording:
        graph = torch.cuda.CUDAGraph()
        # Other threads read data meanwhile; only what this one does is being recorded.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            result = work()
        return Recording(graph.replay, result)

    return record
