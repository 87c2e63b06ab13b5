"""Several processes that compute one thing together, as torchrun starts them.

Knows ranks and messages, nothing of what is computed. A process that was started by itself is a
group of one, for which everything here is free. Does not import torch by itself.
"""

import json
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch.distributed import Store  # type: ignore[attr-defined]

# For words: the others wait while the leader measures or writes. That a process is gone shows at
# once, by its broken connection.
PATIENCE = timedelta(days=7)
FAREWELL_SECONDS = 60.0  # in which torchrun ends those that have lost a peer
COURTESY_SECONDS = 2.0
_FAILURES = "progan/failures"  # key of the store: how many processes have ended


class StopRequest(Protocol):
    """What one process has heard, such as a signal."""

    reason: str  # in a word

    @property
    def requested(self) -> bool: ...


class PeerLost(Exception):
    """Another process of the group has ended, so that this one cannot go on."""


class Group:
    """One process alone; `TorchGroup` are several."""

    rank = 0
    size = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes and talks."""
        return self.rank == 0

    def all_reduce(self, tensor: "torch.Tensor") -> None:
        """Replace a tensor by its sum over all processes: the same bits in each of them."""

    def broadcast(self, tensor: "torch.Tensor") -> None:
        """Replace a tensor by that of the leader."""

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in some process: the same answer in each of them."""
        return flag

    def broadcast_text(self, words: str) -> str:
        """What the leader says, however long it takes."""
        return words

    def barrier(self) -> None:
        """Go on when all are here, however long it takes."""

    def claim_first_failure(self) -> bool:
        """Whether it is for this process to say why all of them end."""
        return True


SINGLE_PROCESS = Group()


@dataclass(frozen=True, slots=True)
class Launch:
    """What torchrun tells a process."""

    rank: int
    size: int
    local_rank: int  # among those of this machine
    local_size: int
    restarts: int  # how often torchrun has started all processes anew
    run_id: str

    @property
    def name(self) -> str:
        """The same for all attempts of one torchrun, and for no other one.

        It has a name of its own with --standalone and --rdzv-id. Without, it is known by its
        process, which starts all attempts.
        """
        named = self.run_id not in ("", "none")
        return self.run_id if named else f"{socket.gethostname()}:{os.getppid()}"


def read_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """How torchrun started this process; None if it did not."""
    if "TORCHELASTIC_RUN_ID" not in environment:
        return None
    return Launch(
        rank=int(environment["RANK"]),
        size=int(environment["WORLD_SIZE"]),
        local_rank=int(environment["LOCAL_RANK"]),
        local_size=int(environment["LOCAL_WORLD_SIZE"]),
        restarts=int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)),
        run_id=environment["TORCHELASTIC_RUN_ID"],
    )


class TorchGroup(Group):
    """Processes that torchrun has started together.

    Tensors go through nccl between GPUs and through gloo between CPUs, words and flags always
    through gloo, so that these wait for no GPU.
    """

    def __init__(self, launch: Launch, device: "torch.device") -> None:
        from torch import distributed
        from torch.distributed.rendezvous import rendezvous

        self.rank, self.size = launch.rank, launch.size
        self._device, self._torch = device, distributed
        on_gpu = device.type == "cuda"
        store, _, _ = next(iter(rendezvous("env://", self.rank, self.size)))
        meeting = negotiate_store_prefix(store, self.rank, self.size)
        self._store = distributed.PrefixStore(meeting, store)  # type: ignore[attr-defined]
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=self._store,
            rank=self.rank,
            world_size=self.size,
            device_id=device if on_gpu else None,
        )
        words = distributed.new_group(backend="gloo", timeout=PATIENCE)
        assert not isinstance(words, int)  # which stands for being no member
        self._words = words

    def all_reduce(self, tensor: "torch.Tensor") -> None:
        with _noticing_losses():
            self._torch.all_reduce(tensor)

    def broadcast(self, tensor: "torch.Tensor") -> None:
        message = tensor.detach().to(self._device).contiguous()
        with _noticing_losses():
            self._torch.broadcast(message, src=0)
        tensor.copy_(message)

    def any(self, flag: bool) -> bool:
        import torch

        answer = torch.tensor([flag], dtype=torch.uint8)
        with _noticing_losses():
            self._torch.all_reduce(answer, self._torch.ReduceOp.MAX, group=self._words)
        return bool(answer.item())

    def broadcast_text(self, words: str) -> str:
        box = [words]
        with _noticing_losses():
            self._torch.broadcast_object_list(box, src=0, group=self._words)
        return box[0]

    def barrier(self) -> None:
        self.any(False)

    def claim_first_failure(self) -> bool:
        if not self.is_main:  # it may have the same to say
            time.sleep(COURTESY_SECONDS)
        with suppress(RuntimeError):  # the store may be gone, with the machine that it was on
            return bool(self._store.add(_FAILURES, 1) == 1)
        return True

    def close(self) -> None:
        """Close all connections."""
        self._torch.destroy_process_group()


class CollectiveStop:
    """A wish that some process has heard, and all grant together.

    Each look at `requested` is a message to all others, so all must look equally often.
    """

    def __init__(self, own: StopRequest, group: Group) -> None:
        self._own, self._group = own, group

    @property
    def requested(self) -> bool:
        return self._group.any(self._own.requested)

    @property
    def reason(self) -> str:
        return self._own.reason or "another process"


def negotiate_store_prefix(store: "Store", rank: int, size: int) -> str:
    """Agree with the processes that are alive on a name that no earlier attempt has used.

    torchrun keeps its store when it starts processes anew, with all that dead ones wrote; and
    machines that have come back count their attempts from 0. So the leader answers to what each
    of the others has just made up, until all have read its answer.
    """
    if rank:
        password = secrets.token_hex(8)
        store.set(f"progan/here/{rank}", password)
        name = store.get(f"progan/answer/{password}").decode()
        store.set(f"progan/read/{name}/{rank}", "yes")
        return name
    name, missing = secrets.token_hex(8), set(range(1, size))
    while missing:
        for other in [each for each in missing if store.check([f"progan/here/{each}"])]:
            password = store.get(f"progan/here/{other}").decode()
            store.set(f"progan/answer/{password}", name)
        missing = {each for each in missing if not store.check([f"progan/read/{name}/{each}"])}
        time.sleep(0.02)
    return name


def write_torchrun_error(words: str) -> None:
    """Leave torchrun a message for its summary of what failed."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        told = {"message": words, "extraInfo": {"timestamp": str(int(time.time()))}}
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": told}), "utf-8")


def wait_for_abort() -> None:
    """Give torchrun the time to end this process, so that it sees first what failed first."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(FAREWELL_SECONDS)


@contextmanager
def _noticing_losses() -> Iterator[None]:
    """A connection that breaks means that a process is gone."""
    from progan.runtime.devices import is_out_of_memory

    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise PeerLost(str(error).partition("\n")[0]) from error
