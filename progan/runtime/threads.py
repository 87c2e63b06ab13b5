"""How many threads torch has, and how they wait for each other.

Does not import torch by itself: how to wait is read only once, when torch is loaded.
"""

import os


def use_threads(count: int) -> None:
    """Compute on the CPU with so many threads; 0: as many as torch chooses."""
    if count:
        import torch

        torch.set_num_threads(count)


def wait_politely() -> None:
    """Let OpenMP's threads sleep instead of spin while they wait, unless the user chose otherwise.

    Where another process takes a core, spinning threads starve the one they wait for, and a
    training becomes many times slower (docs/log.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
