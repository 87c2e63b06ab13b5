"""How many threads, and that they sleep while they wait, unless the user wants them to spin."""

import os

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
