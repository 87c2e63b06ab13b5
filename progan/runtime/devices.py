"""Which device computes, and what it says of its memory."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from progan.errors import UserError
from progan.runtime.text import format_count

T = TypeVar("T")

MEMORY_FILE = Path("/proc/meminfo")  # Linux only
CGROUP = Path("/sys/fs/cgroup")
# How the CPU, MPS, cuBLAS, cuDNN and CUDA (of pinned memory) say that there is no more memory;
# there is a type for that of the GPU.
OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def choose_device(name: str, number: int | None = None) -> torch.device:
    """Return the device of a name; 'auto' prefers CUDA, then MPS, then the CPU.

    Args:
        number: Which of several processes on this machine asks; each gets a GPU of its own.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next((kind for kind, present in available.items() if present), "cpu")
    if not available.get(name, True):
        raise UserError(
            f"This machine has no {name} device that torch {torch.__version__} can "
            "use. Choose --device cpu, or auto."
        )
    if number is None or name == "cpu":
        return torch.device(name)
    if name != "cuda":
        raise UserError(
            f"Several processes cannot share one {name} device. Choose --device cpu, "
            "or start one process."
        )
    if number >= torch.cuda.device_count():
        raise UserError(
            f"There are more processes than GPUs: this machine has "
            f"{torch.cuda.device_count()}. Start fewer (torchrun --nproc-per-node)."
        )
    torch.cuda.set_device(number)
    return torch.device(name, number)


def describe_device(device: torch.device) -> str:
    """Name the device as a person would: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({format_count(torch.get_num_threads(), 'thread')})"
    return str(device)


def set_precision(precision: str) -> None:
    """Let CUDA multiply float32 numbers in TF32 ('tf32') or exactly ('fp32')."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def set_deterministic() -> None:
    """From now on the same computation gives the same numbers each time, to the bit.

    Float32 numbers are multiplied exactly, and cuDNN takes no algorithm whose sums are added up in
    whatever order they come.
    """
    set_precision("fp32")
    torch.backends.cudnn.deterministic = True


@contextmanager
def tf32_disabled() -> Iterator[None]:
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
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )


def is_capturing(device: torch.device) -> bool:
    """Whether what is asked of a device is recorded for later, and not done now."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def none_if_out_of_memory(work: Callable[[], T]) -> T | None:
    """What some work returns, or None if there is not enough memory for it."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def release_memory(device: torch.device) -> None:
    """Give memory that torch holds for later back to the device: large pieces form again."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_memory_bytes(device: torch.device) -> int | None:
    """Memory that this process could still get; None where nobody tells."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu" or not MEMORY_FILE.is_file():
        return None
    kib = dict(line.split(":") for line in MEMORY_FILE.read_text().splitlines())["MemAvailable"]
    of_machine = int(kib.split()[0]) * 1024
    return min([of_machine, *_free_in_container()])


def unclaimed_memory_bytes(device: torch.device) -> int | None:
    """Return the memory that neither a process nor torch's cache holds; None where unknown."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return free_memory_bytes(device)


def _free_in_container() -> list[int]:
    """What a limit of the container (cgroup 2) leaves; [] without a limit."""
    try:
        most = (CGROUP / "memory.max").read_text().strip()
        used = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    # Files that are only cached count as free.
    return [] if most == "max" else [max(int(most) - int(used["anon"]), 0)]


def reset_peak_memory(device: torch.device) -> None:
    """Let `peak_memory_bytes` of CUDA begin anew; that of a process cannot."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def synchronize(device: torch.device) -> None:
    """Wait until all that was asked of the device is done, to take the time."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


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
