"""How many threads, that they sleep while they wait, unless the user wants them to spin, and that
freed memory is kept."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from progan.runtime.torch_settings import set_cpu_threads, set_omp_passive


@pytest.mark.parametrize("before, after", [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_the_user_has_the_last_word(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", before or "")
    if before is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    set_omp_passive()
    assert os.environ["OMP_WAIT_POLICY"] == after


def test_threads_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    for count in (0, 3):
        set_cpu_threads(count)
    assert asked == [3]


COUNT_PAGE_FAULTS = """
import resource
import torch
from progan.runtime.torch_settings import keep_freed_memory

def allocate_and_free():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensors = [torch.ones(15 * 2**20, dtype=torch.uint8) for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

keep_freed_memory()
print([allocate_and_free() for _ in range(20)][-1])
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_memory_is_not_given_back_to_the_system_and_asked_for_again() -> None:
    """Without the setting 30,688 pages of 4 KiB here; the first rounds find places that fit."""
    command = [sys.executable, "-c", COUNT_PAGE_FAULTS]
    assert int(subprocess.check_output(command, text=True)) < 100
