"""Devices are chosen by name, and say of themselves what a person wants to know."""

import resource
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from progan.command import DEVICES
from progan.errors import UserError
from progan.runtime.devices import (
    call_or_none_if_out_of_memory,
    choose_device,
    describe_device,
    deterministic,
    is_out_of_memory,
    peak_memory_bytes,
    set_deterministic,
    set_precision,
)

CPU = torch.device("cpu")


@pytest.fixture
def settings_restored() -> Iterator[None]:
    before = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def pretend(monkeypatch: pytest.MonkeyPatch, *, cuda: bool, mps: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "kind"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_prefers_cuda_then_mps(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, kind: str
) -> None:
    pretend(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device("auto").type == kind
    assert choose_device("cpu") == CPU


def test_devices_of_torch_are_taken_and_others_refused_by_name() -> None:
    assert choose_device(CPU) == choose_device(torch.device("cpu", 0)) == CPU
    with pytest.raises(UserError, match="Unknown device 'meta': choose auto, cpu, cuda, mps"):
        choose_device(torch.device("meta"))
    with pytest.raises(UserError, match="Unknown device 'None'"):
        choose_device(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pretend(monkeypatch, cuda=False, mps=False)
    with pytest.raises(UserError, match=f"no {name} device .* Choose --device cpu, or auto"):
        choose_device(name)


def test_every_listed_name_can_be_chosen_where_it_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=True, mps=True)
    assert {choose_device(name).type for name in DEVICES} == {"cpu", "cuda", "mps"}


def test_a_device_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert describe_device(CPU) == "cpu (2 threads)"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_device(CPU) == "cpu (1 thread)"
    assert describe_device(torch.device("mps")) == "mps"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert describe_device(torch.device("cuda")) == "cuda (NVIDIA H200)"


@pytest.mark.parametrize(("precision", "tf32"), [("fp32", False), ("tf32", True)])
def test_precision_lets_cuda_use_tf32_or_not(
    settings_restored: None, precision: str, tf32: bool
) -> None:
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not tf32
    set_precision(precision)
    assert torch.backends.cuda.matmul.allow_tf32 is tf32
    assert torch.backends.cudnn.allow_tf32 is tf32


def test_repeatable_is_exact_and_leaves_nothing_to_chance(
    settings_restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    set_precision("tf32")
    set_deterministic()
    assert torch.backends.cudnn.deterministic
    assert not (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)


@pytest.mark.parametrize("allowed", [(True, False), (False, True), (True, True)])
def test_what_was_allowed_is_restored(
    monkeypatch: pytest.MonkeyPatch, allowed: tuple[bool, bool]
) -> None:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    monkeypatch.setattr(cudnn, "deterministic", False)
    before = matmul.allow_tf32, cudnn.allow_tf32
    try:
        matmul.allow_tf32, cudnn.allow_tf32 = allowed
        with deterministic():
            assert not (matmul.allow_tf32 or cudnn.allow_tf32) and cudnn.deterministic
        assert (matmul.allow_tf32, cudnn.allow_tf32) == allowed and not cudnn.deterministic
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before


# Other systems than macOS count in KiB.
@pytest.mark.parametrize(
    ("platform", "num_bytes"), [("freebsd14", 2048 * 1024), ("darwin", 2048), ("win32", 0)]
)
def test_every_system_counts_in_units_of_its_own(
    monkeypatch: pytest.MonkeyPatch, platform: str, num_bytes: int
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2048))
    assert peak_memory_bytes(CPU) == num_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux passes the peak on")
def test_the_peak_is_not_that_of_the_process_before() -> None:
    code = (
        "import torch; from progan.runtime.devices import peak_memory_bytes; "
        "print(peak_memory_bytes(torch.device('cpu')))"
    )
    ballast = b"1" * 2**31  # more than a process with torch has
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 2**26 < int(done.stdout) < len(ballast)


def test_a_process_with_torch_in_it_has_a_plausible_size() -> None:
    assert 2**26 < peak_memory_bytes(CPU) < 2**38


def test_cuda_counts_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 12345)
    assert peak_memory_bytes(torch.device("cuda")) == 12345


def test_each_process_gets_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=True, mps=False)
    chosen = list[int]()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    assert choose_device("auto", 1) == torch.device("cuda", 1) and chosen == [1]
    with pytest.raises(UserError, match="more processes than GPUs: this machine has 2"):
        choose_device("cuda", 2)
    assert choose_device("cpu", 5) == CPU


def test_processes_do_not_share_an_mps_device(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=False, mps=True)
    with pytest.raises(UserError, match="cannot share one mps device"):
        choose_device("auto", 0)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4611686018427387904 bytes."
        ),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_every_device_says_in_its_own_way_that_memory_is_full(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_the_cpu_really_says_it_so() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)
    assert is_out_of_memory(error.value)
    assert not is_out_of_memory(RuntimeError("shapes do not match"))


def test_work_that_memory_is_too_small_for_returns_nothing() -> None:
    assert call_or_none_if_out_of_memory(lambda: torch.empty(2**60)) is None
    assert call_or_none_if_out_of_memory(lambda: "done") == "done"
    with pytest.raises(RuntimeError, match="size"):
        call_or_none_if_out_of_memory(lambda: torch.ones(2) + torch.ones(3))
