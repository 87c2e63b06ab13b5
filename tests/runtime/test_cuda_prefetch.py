"""What is sent through a side stream arrives whole, wherever it is received."""

import itertools
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from progan.runtime.cuda_prefetch import MOST_AHEAD, Parcel, SideStream

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
    side, sent = SideStream(CPU), content()
    with side.used():
        parcel = side.send(sent)
    received = side.receive(parcel)
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
    parcel = SideStream(CUDA).send(sent)
    assert parcel.content is sent
    assert isinstance(parcel.arrival, Streams)  # other tensors may be on their way


def test_the_device_waits_for_what_was_sent_and_the_cpu_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current, sent = Streams(CUDA), [torch.eye(3)]
    monkeypatch.setattr(torch.cuda, "Stream", Streams)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: current)
    side = SideStream(CUDA)
    monkeypatch.setattr(side, "_received", lambda tensor: tensor)
    assert side.receive(Parcel(sent, Streams(CUDA))) == sent  # type: ignore[arg-type]
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
    side = SideStream(CUDA)
    for _ in range(MOST_AHEAD):
        side.keep_pace()
    assert waited_for == []
    for _ in range(3):
        side.keep_pace()
    assert waited_for == [0, 1, 2]
    SideStream(CPU).keep_pace()


@pytest.mark.gpu
def test_a_gpu_receives_what_was_sent() -> None:
    side, sent = SideStream(CUDA), content()
    with side.used():
        parcel = side.send(sent)
    received = side.receive(parcel)
    assert received.images.is_cuda and torch.equal(received.images.cpu(), sent.images)
    assert received.labels[0].shape == (3, 0)
    assert torch.equal(received.labels[1].cpu(), sent.labels[1])


@pytest.mark.gpu
def test_memory_in_use_on_a_gpu_is_not_given_to_what_is_sent_next() -> None:
    """Each tensor is read long after Python has dropped it, while others arrive."""
    side, total = SideStream(CUDA), torch.zeros((), device=CUDA, dtype=torch.float64)
    for number in range(50):
        with side.used():
            parcel = side.send(torch.full((2**20,), number, dtype=torch.float64))
        received = side.receive(parcel)
        del parcel
        torch.cuda._sleep(10**6)
        total += received.mean()
    assert total.item() == sum(range(50))
