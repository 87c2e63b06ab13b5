"""Which device computes, and what it says of its memory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from progan.errors import UserError


# How the CPU, MPS, cuBLAS and cuDNN say that there is no more memory; CUDA has a type for it.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory", "CUBLAS_STATUS_ALLOC_FAILED",
                 "CUDNN_STATUS_ALLOC_FAILED")


def choose(name: str) -> torch.device:
    """Return the device of a name; 'auto' prefers CUDA, then MPS, then the CPU."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, present in available.items() if present), "cpu")
    if not available.get(name, True):
        raise UserError(f"This machine has no {name} device that torch {torch.__version__} can "
                        "use. Choose --device cpu, or auto.")
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Name the device as a person would: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def set_precision(precision: str) -> None:
    """Let CUDA multiply float32 numbers in TF32 ('tf32') or exactly ('fp32')."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


@contextmanager
def exact() -> Iterator[None]:
    """Multiply float32 numbers exactly, whatever the precision of the run is."""
    before = "tf32" if torch.backends.cudnn.allow_tf32 else "fp32"
    set_precision("fp32")
    try:
        yield
    finally:
        set_precision(before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device, or the machine, has no more memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY))


def release_memory(device: torch.device) -> None:
    """Give memory that torch holds for later back to the device: large pieces form again."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held so far: on the device for CUDA, of the whole process elsewhere.

    0 on Windows, which has no cheap way to ask.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
