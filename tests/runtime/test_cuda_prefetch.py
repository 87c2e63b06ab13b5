"""What is sent through a prefetcher stream arrives whole, wherever it is received."""

import itertools
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from progan.runtime.cuda_prefetch import MAX_STEPS_AHEAD, CudaPrefetcher, Prefetched

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Content(NamedTuple):
    images: Tensor
    labels: list[Tensor]
    rows: Tensor | None
    name: str


def content() -> Content:
    return Content(
        torch.arange(60, dtype=torch.uint8).reshape(3, 4, 5),
        [torch.zeros(3, 0), torch.eye(3)],
        None,
        "some",
    )


class Streams:
    """Stands for a GPU's streams; notes what is asked of them."""

    def __init__(self, device: torch.device) -> None:
        self.asked: list[str] = []

    def record_event(self) -> "Streams":
        self.asked.append("record")
        return self

    def wait_event(self, event: object) -> None:
        self.asked.append("wait on the device")

    def synchronize(self) -> None:
        self.asked.append("wait on the CPU")


def test_on_the_cpu_everything_is_there_already() -> None:
    prefetcher, sent = CudaPrefetcher(CPU), content()
    with prefetcher.use_stream():
        prefetched = prefetcher.copy_ahead(sent)
    received = prefetcher.receive(prefetched)
    assert received.images is sent.images and received.labels[1] is sent.labels[1]
    assert received.rows is None and received.name == "some"


def test_what_the_gpu_has_no_memory_for_stays_until_it_is_received(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(tensor: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch.cuda, "Stream", Streams)
    monkeypatch.setattr(Tensor, "pin_memory", full)
    sent = content()
    prefetched = CudaPrefetcher(CUDA).copy_ahead(sent)
    assert prefetched.content is sent
    assert isinstance(prefetched.arrival, Streams)  # other tensors may be on their way


def test_the_device_waits_for_what_was_sent_and_the_cpu_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current, sent = Streams(CUDA), [torch.eye(3)]
    monkeypatch.setattr(torch.cuda, "Stream", Streams)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    prefetcher = CudaPrefetcher(CUDA)
    monkeypatch.setattr(prefetcher, "_hand_over", lambda tensor: tensor)
    assert prefetcher.receive(Prefetched(sent, Streams(CUDA))) == sent  # type: ignore[arg-type]
    assert current.asked == ["wait on the device"]


def test_the_cpu_gets_some_steps_ahead_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    class Event:
        def __init__(self, number: int) -> None:
            self.number = number

        def synchronize(self) -> None:
            waited_for.append(self.number)

    waited_for, numbers = list[int](), itertools.count()
    current = SimpleNamespace(record_event=lambda: Event(next(numbers)))
    monkeypatch.setattr(torch.cuda, "Stream", Streams)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    prefetcher = CudaPrefetcher(CUDA)
    for _ in range(MAX_STEPS_AHEAD):
        prefetcher.limit_queue()
    assert waited_for == []
    for _ in range(3):
        prefetcher.limit_queue()
    assert waited_for == [0, 1, 2]
    CudaPrefetcher(CPU).limit_queue()


@pytest.mark.gpu
def test_a_gpu_receives_what_was_sent() -> None:
    prefetcher, sent = CudaPrefetcher(CUDA), content()
    with prefetcher.use_stream():
        prefetched = prefetcher.copy_ahead(sent)
    received = prefetcher.receive(prefetched)
    assert received.images.is_cuda and torch.equal(received.images.cpu(), sent.images)
    assert received.labels[0].shape == (3, 0)
    assert torch.equal(received.labels[1].cpu(), sent.labels[1])


@pytest.mark.gpu
def test_memory_in_use_on_a_gpu_is_not_given_to_what_is_sent_next() -> None:
    """Each tensor is read long after Python has dropped it, while others arrive."""
    prefetcher, total = CudaPrefetcher(CUDA), torch.zeros((), device=CUDA, dtype=torch.float64)
    for number in range(50):
        with prefetcher.use_stream():
            prefetched = prefetcher.copy_ahead(torch.full((2**20,), number, dtype=torch.float64))
        received = prefetcher.receive(prefetched)
        del prefetched
        torch.cuda._sleep(10**6)
        total += received.mean()
    assert total.item() == sum(range(50))
