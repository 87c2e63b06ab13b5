"""Choose a device, set its precision, measure its memory."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

import torch

from progan.errors import UserError
from progan.runtime.text import format_count

T = TypeVar("T")

MEMORY_FILE = Path("/proc/meminfo")  # Linux only
CGROUP = Path("/sys/fs/cgroup")
# Out-of-memory messages of the CPU, MPS, cuBLAS, cuDNN and CUDA (pinned memory); GPU memory has
# an exception type of its own.
OUT_OF_MEMORY = (
    "DefaultCPUAllocator",
    "MPS backend out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
)


def format_device_name(device: str | torch.device) -> str:
    """Return the name that `choose_device` takes for a device: 'cuda:1' for torch's cuda:1."""
    if isinstance(device, torch.device) and device.type in ("cpu", "mps"):
        return device.type  # there is one of them, with or without the index 0
    return str(device)


def choose_device(device: str | torch.device, number: int | None = None) -> torch.device:
    """Return the device of a name; 'auto' prefers CUDA, then MPS, then the CPU.

    Args:
        device: Its name, or what torch made of it.
        number: Rank of this process on this machine; each process gets a GPU of its own.

    Raises:
        UserError: An unknown name, or a device that this machine does not have.
    """
    name = format_device_name(device)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name not in ("auto", "cpu", *available):
        return _parse_gpu(name)
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
            f"{torch.cuda.device_count()}. Start fewer (--gpus, or torchrun --nproc-per-node)."
        )
    torch.cuda.set_device(number)
    return torch.device(name, number)


def _parse_gpu(name: str) -> torch.device:
    """Return the GPU of a name such as 'cuda:1'; raises UserError if there is none."""
    kind, _, index = name.partition(":")
    count = torch.cuda.device_count() if kind == "cuda" else 0
    if kind == "cuda" and index.isdecimal() and int(index) < count:
        return torch.device(name)
    gpus = f", or cuda:0 to cuda:{count - 1}" if count else ""
    raise UserError(f"Unknown device {name!r}: choose auto, cpu, cuda, mps{gpus}.")


def use_device(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which a GPU is the current one: CUDA graphs are captured there."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def describe_device(device: torch.device) -> str:
    """Return the device with its model or threads: 'cuda (NVIDIA H200)', 'cpu (2 threads)'."""
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        return f"cpu ({format_count(torch.get_num_threads(), 'thread')})"
    return str(device)


def set_precision(precision: str) -> None:
    """Allow TF32 for float32 matrix products and convolutions on CUDA ('tf32'), or not."""
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"


def set_deterministic() -> None:
    """Make computations repeatable to the bit: no TF32, deterministic algorithms of cuDNN."""
    set_precision("fp32")
    torch.backends.cudnn.deterministic = True


@contextmanager
def restore_tf32() -> Iterator[None]:
    """Restore after the context where TF32 was allowed before it."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


@contextmanager
def tf32_disabled() -> Iterator[None]:
    """Disable TF32 inside the context, and restore what was allowed after it."""
    with restore_tf32():
        set_precision("fp32")
        yield


@contextmanager
def deterministic() -> Iterator[None]:
    """Compute as after `set_deterministic` inside the context, and restore the settings after."""
    before = torch.backends.cudnn.deterministic
    with tf32_disabled():
        torch.backends.cudnn.deterministic = True
        try:
            yield
        finally:
            torch.backends.cudnn.deterministic = before


def is_out_of_memory(error: BaseException) -> bool:
    """True if an error means that a device or the machine is out of memory."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )


def is_capturing(device: torch.device) -> bool:
    """True while the operations on a device are captured into a CUDA graph."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


def call_or_none_if_out_of_memory(work: Callable[[], T]) -> T | None:
    """Return what `work` returns, or None if it runs out of memory."""
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def release_memory(device: torch.device) -> None:
    """Return cached memory of torch to the device, against fragmentation."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def free_memory_bytes(device: torch.device) -> int | None:
    """Return the memory that this process could still allocate; None where unknown."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type != "cpu" or not MEMORY_FILE.is_file():
        return None
    kib = dict(line.split(":") for line in MEMORY_FILE.read_text().splitlines())["MemAvailable"]
    of_machine = int(kib.split()[0]) * 1024
    return min([of_machine, *_list_free_container_bytes()])


def unclaimed_memory_bytes(device: torch.device) -> int | None:
    """Return the memory that neither a process nor torch's cache holds; None where unknown."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    return free_memory_bytes(device)


def _list_free_container_bytes() -> list[int]:
    """Return the memory left under the limit of a container (cgroup 2); [] without a limit."""
    try:
        most = (CGROUP / "memory.max").read_text().strip()
        used = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
    except OSError:
        return []
    # Files that are only cached count as free.
    return [] if most == "max" else [max(int(most) - int(used["anon"]), 0)]


def reset_peak_memory(device: torch.device) -> None:
    """Reset `peak_memory_bytes` on CUDA; the peak of a process cannot be reset."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all queued work, for timing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory_bytes(device: torch.device) -> int:
    """Return the peak of memory so far: of the device for CUDA, of the process elsewhere.

    0 on Windows, where it is unknown.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    if sys.platform == "linux":
        # Not ru_maxrss, which begins with the peak of the process that started this one.
        status = Path("/proc/self/status").read_text("ascii", "replace")
        if found := re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE):
            return 1024 * int(found[1])
    import resource  # Unix only

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
