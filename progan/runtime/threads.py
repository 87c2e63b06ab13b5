"""How many threads torch has, and how they wait for each other.

Does not import torch by itself: how to wait is read only once, when torch is loaded.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager


def use_threads(count: int) -> None:
    """Compute on the CPU with so many threads; 0: as many as torch chooses."""
    if count:
        import torch

        torch.set_num_threads(count)


@contextmanager
def threads_of_one(count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that compute side by side on the CPU, each of them without helpers in torch."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


def wait_politely() -> None:
    """Let OpenMP's threads sleep instead of spin while they wait, unless the user chose otherwise.

    Where another process takes a core, spinning threads starve the one they wait for, and a
    training becomes many times slower (docs/log.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
