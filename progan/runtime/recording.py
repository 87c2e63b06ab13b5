"""Work on a device that is recorded once and then replayed, without Python in between."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


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
