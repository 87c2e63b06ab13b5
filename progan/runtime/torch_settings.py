"""Memory and threads of a process, their wait policy, and the cache of compiled code.

Does not import torch at module level: the wait policy is read once, when torch is loaded.
"""

import ctypes
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

from progan.errors import UserError

VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
# Parameters of mallopt(3): from which size on a block is got from the system by itself, and how
# much freed memory is kept.
_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_MAX_MMAP_THRESHOLD = 32 * 2**20  # the largest that all versions accept
_MAX_INT = 2**31 - 1
# Every level, faded in or not, is compiled by itself; torch gives up on the ninth by default.
_MAX_VARIANTS = 1024
_DYNAMO = {"recompile_limit": _MAX_VARIANTS, "accumulated_recompile_limit": _MAX_VARIANTS}
# Else gradients would be compiled while they are computed, where a step can neither be stopped nor
# be computed by eager code.
_FUNCTORCH = {"force_non_lazy_backward_lowering": True}


def set_up_cpu(threads: int) -> None:
    """Set the number of CPU threads of torch (0: as torch chooses), and keep freed memory."""
    set_cpu_threads(threads)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next image or iteration, unless the user set its limit.

    Getting it back from the system, page by page, takes longer than arithmetic. Other C libraries
    are left as they are.
    """
    if sys.platform != "linux" or "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
        libc.mallopt(_M_TRIM_THRESHOLD, _MAX_INT)


def set_cpu_threads(count: int) -> None:
    """Set the number of CPU threads of torch; 0: as many as torch chooses."""
    if count:
        import torch

        torch.set_num_threads(count)


@contextmanager
def open_single_threaded_pool(count: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of `count` threads in each of which torch computes with one thread."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(count) as pool:
            yield pool
    finally:
        torch.set_num_threads(before)


@contextmanager
def restore_process_settings(*, compiles: bool) -> Iterator[None]:
    """Restore after the context what a training sets for the whole process.

    These are the CPU threads of torch, TF32, the hook for errors of threads, the place of compiled
    code, and the settings of the compiler.

    Args:
        compiles: The training may compile: loads the compiler, to read its settings.
    """
    import torch

    from progan.runtime.devices import restore_tf32

    threads, hook = torch.get_num_threads(), threading.excepthook
    cache = os.environ.get(VARIABLE)
    with restore_tf32(), _restore_compiler() if compiles else nullcontext():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            threading.excepthook = hook
            if cache is not None:
                os.environ[VARIABLE] = cache


@contextmanager
def _restore_compiler() -> Iterator[None]:
    """Restore after the context what `set_up_compiler` sets."""
    from torch._dynamo import config as dynamo
    from torch._functorch import config as functorch

    limits, lowering = (
        {name: getattr(config, name) for name in settings}
        for config, settings in ((dynamo, _DYNAMO), (functorch, _FUNCTORCH))
    )
    with dynamo.patch(limits), functorch.patch(lowering):
        yield


def set_up_compiler() -> None:
    """Set what compiling the functions of a step needs, for the whole process."""
    from torch._dynamo import config as dynamo
    from torch._functorch import config as functorch

    for config, settings in ((dynamo, _DYNAMO), (functorch, _FUNCTORCH)):
        for name, value in settings.items():
            setattr(config, name, value)


def set_omp_passive() -> None:
    """Set OMP_WAIT_POLICY so that waiting threads sleep instead of spin, unless it is set.

    Where another process takes a core, spinning threads starve the one they wait for, and a
    training becomes many times slower (docs/log.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def require_compile_cache_or_replace(needed: bool) -> None:
    """Raise UserError if TORCHINDUCTOR_CACHE_DIR is unusable and `needed`; else replace it.

    torch creates that directory as soon as there is an optimizer, although nothing is compiled,
    and fails if it cannot. Where no compiled code is needed the variable is therefore replaced
    in this process.
    """
    place = os.environ.get(VARIABLE)
    why = None if place is None else _explain_unusable_directory(place)
    if why is None:
        return
    if needed:
        raise UserError(
            f"{VARIABLE} is {place!r}, and torch cannot keep compiled code there: "
            f"{why}. Set it to a directory that can be written to, unset it, or "
            "choose --acceleration eager."
        )
    os.environ[VARIABLE] = tempfile.gettempdir()


def _explain_unusable_directory(place: str) -> str | None:
    """Return why a directory cannot be created and written to; None if it can."""
    if os.path.exists(place) and not os.path.isdir(place):
        return "it is not a directory"
    try:
        os.makedirs(place, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)
