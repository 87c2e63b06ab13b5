"""Process groups of torchrun: ranks, collectives, failures.

A single process is a group of one, for which the collectives do nothing. Does not import torch
at module level.
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

from progan.runtime.signals import is_main_process

if TYPE_CHECKING:
    import torch
    from torch.distributed import Store  # type: ignore[attr-defined]

# For messages of text and flags: the others wait while the main process measures or writes. A
# process that is gone is noticed at once, by its broken connection.
TEXT_TIMEOUT = timedelta(days=7)
ABORT_SECONDS = 60.0  # in which torchrun ends processes that have lost a peer
MAIN_FIRST_SECONDS = 2.0  # in which the main process may report a failure before others
EXIT_CODE_FILE = "PROGAN_EXIT_CODE_FILE"  # environment variable that the launcher of --gpus sets
_FAILURES = "progan/failures"  # key of the store: how many processes have ended


class StopRequest(Protocol):
    """A request to stop that one process has received, such as a signal."""

    reason: str  # e.g. 'SIGTERM'

    def poll(self) -> bool:
        """Return True if a stop was requested."""


class PeerLost(Exception):
    """Another process of the group has ended, so that this one cannot continue."""


class Group:
    """A group of one process; `TorchGroup` is one of several."""

    rank = 0
    size = 1

    @property
    def is_main(self) -> bool:
        """True for the process that writes files and prints."""
        return self.rank == 0

    def all_reduce(self, tensor: "torch.Tensor") -> None:
        """Replace a tensor in place by its sum over all processes, bitwise the same in each."""

    def broadcast(self, tensor: "torch.Tensor") -> None:
        """Replace a tensor in place by that of the main process."""

    def any(self, flag: bool) -> bool:
        """Return True in all processes if the flag is set in any of them."""
        return flag

    def broadcast_text(self, words: str) -> str:
        """Return the text of the main process, however long it takes."""
        return words

    def barrier(self) -> None:
        """Wait until all processes are here, however long it takes."""


SINGLE_PROCESS = Group()


@dataclass(frozen=True, slots=True)
class Launch:
    """The environment that torchrun sets for a process."""

    rank: int
    size: int
    local_rank: int  # among those of this machine
    local_size: int
    restarts: int  # restarts of all processes by torchrun so far
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
    """Read the environment that torchrun has set; None if it did not start this process."""
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
    """The processes that torchrun has started together.

    Tensors go through nccl between GPUs and through gloo between CPUs; text and flags always
    through gloo, which waits for no GPU.
    """

    def __init__(self, launch: Launch, device: "torch.device", store: "Store") -> None:
        from torch import distributed

        self.rank, self.size = launch.rank, launch.size
        self._device, self._torch = device, distributed
        on_gpu = device.type == "cuda"
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo",
            store=store,
            rank=self.rank,
            world_size=self.size,
            device_id=device if on_gpu else None,
        )
        text_group = distributed.new_group(backend="gloo", timeout=TEXT_TIMEOUT)
        assert not isinstance(text_group, int)  # an int: not a member
        self._text_group = text_group

    def all_reduce(self, tensor: "torch.Tensor") -> None:
        with _raise_peer_lost():
            self._torch.all_reduce(tensor)

    def broadcast(self, tensor: "torch.Tensor") -> None:
        message = tensor.detach().to(self._device).contiguous()
        with _raise_peer_lost():
            self._torch.broadcast(message, src=0)
        tensor.copy_(message)

    def any(self, flag: bool) -> bool:
        import torch

        answer = torch.tensor([flag], dtype=torch.uint8)
        with _raise_peer_lost():
            self._torch.all_reduce(answer, self._torch.ReduceOp.MAX, group=self._text_group)
        return bool(answer.item())

    def broadcast_text(self, words: str) -> str:
        box = [words]
        with _raise_peer_lost():
            self._torch.broadcast_object_list(box, src=0, group=self._text_group)
        return box[0]

    def barrier(self) -> None:
        self.any(False)

    def close(self) -> None:
        """Close all connections."""
        self._torch.destroy_process_group()


class CollectiveStop:
    """A stop that all processes make together if any of them has received a request.

    `poll` sends messages: all processes must call it equally often.
    """

    def __init__(self, own: StopRequest, group: Group) -> None:
        self._own, self._group = own, group

    def poll(self) -> bool:
        """Return True in all processes if a stop was requested in any; a collective operation."""
        return self._group.any(self._own.poll())

    @property
    def reason(self) -> str:
        return self._own.reason or "another process"


def connect_store(launch: Launch) -> "Store":
    """Return the store of the processes of one attempt, when all of them have come to it.

    It needs no device, so that a process can report there that it has none.
    """
    from torch import distributed
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(iter(rendezvous("env://", launch.rank, launch.size)))
    prefix = negotiate_store_prefix(store, launch.rank, launch.size)
    return distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]


def claim_first_failure(store: "Store", rank: int) -> bool:
    """Return True if this process is the one to report why all of them end."""
    if rank:  # the main process may fail for the same reason
        time.sleep(MAIN_FIRST_SECONDS)
    with suppress(RuntimeError):  # the store may be gone, with the machine that it was on
        return bool(store.add(_FAILURES, 1) == 1)
    return True


def negotiate_store_prefix(store: "Store", rank: int, size: int) -> str:
    """Agree with the other live processes on a name that no earlier attempt has used.

    torchrun keeps its store when it restarts processes, with all that dead ones wrote, and
    machines that have come back count their attempts from 0. So the main process answers to a
    random token of each other process until all have read its answer.
    """
    if rank:
        token = secrets.token_hex(8)
        store.set(f"progan/here/{rank}", token)
        name = store.get(f"progan/answer/{token}").decode()
        store.set(f"progan/read/{name}/{rank}", "yes")
        return name
    name, missing = secrets.token_hex(8), set(range(1, size))
    while missing:
        for other in [each for each in missing if store.check([f"progan/here/{each}"])]:
            token = store.get(f"progan/here/{other}").decode()
            store.set(f"progan/answer/{token}", name)
        missing = {each for each in missing if not store.check([f"progan/read/{name}/{each}"])}
        time.sleep(0.02)
    return name


def write_torchrun_error(words: str) -> None:
    """Write the error message that torchrun shows in its summary of failures."""
    path = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if path:
        message = {"message": words, "extraInfo": {"timestamp": str(int(time.time()))}}
        with suppress(OSError):
            Path(path).write_text(json.dumps({"message": message}), "utf-8")


def write_exit_code(code: int) -> None:
    """Leave the exit code of a training for the launcher of --gpus, if it started this process.

    torchrun takes any code but 0 of a process for a failure, and reads none after a signal.
    """
    path = os.environ.get(EXIT_CODE_FILE)
    if path and is_main_process():
        with suppress(OSError):
            Path(path).write_text(str(code), "ascii")


def is_launched_by_gpus_option() -> bool:
    """True in a process that the launcher of --gpus has started."""
    return EXIT_CODE_FILE in os.environ


def wait_for_abort() -> None:
    """Wait until torchrun ends this process, so that it reports the process that failed first."""
    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(ABORT_SECONDS)


@contextmanager
def _raise_peer_lost() -> Iterator[None]:
    """Raise PeerLost for a broken connection inside the context."""
    from progan.runtime.devices import is_out_of_memory

    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise PeerLost(str(error).partition("\n")[0]) from error
