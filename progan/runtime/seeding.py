"""Derive random streams from names and numbers, so that no random state has to be saved.

`torch_generator(device, seed, "latents", kimg)` is always the same stream, on
every machine, and no global random state changes.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: int | str) -> int:
    """Hash the parts to a seed in [0, 2^63), the same on every machine and in every process."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def torch_generator(device: "torch.device | str", *parts: int | str) -> "torch.Generator":
    """Return a torch generator on `device` at the start of the stream that the parts name."""
    import torch  # not above: datasets are made without it

    return torch.Generator(device).manual_seed(derive_seed(*parts))


@contextmanager
def temporarily_seeded_rng(device: "torch.device", *parts: int | str) -> Iterator[None]:
    """Seed torch's global random numbers of CPU and device in the context; restore them after."""
    import torch

    seed, mps = derive_seed(*parts), device.type == "mps"
    before = torch.mps.get_rng_state() if mps else None
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds all devices
        if devices:
            torch.cuda.manual_seed(seed)  # the current GPU; trainings make theirs current
        if mps:
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            if before is not None:
                torch.mps.set_rng_state(before)


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator at the start of the stream that the parts name."""
    return np.random.Generator(np.random.Philox(derive_seed(*parts)))
