"""What several processes know of each other, without starting any."""

import json
import os
import socket
import threading
from pathlib import Path

import pytest
from torch.distributed import HashStore

from progan.runtime.distributed import (
    SINGLE_PROCESS,
    CollectiveStop,
    Group,
    Launch,
    PeerLost,
    _raise_peer_lost,
    negotiate_store_prefix,
    read_launch,
    write_torchrun_error,
)
from tests.training.equal_steps import Threads

TORCHRUN = {
    "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2",
    "TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_RUN_ID": "mine",
}  # fmt: skip


def test_what_torchrun_says() -> None:
    assert read_launch(TORCHRUN) == Launch(
        rank=3, size=4, local_rank=1, local_size=2, restarts=2, run_id="mine"
    )
    assert read_launch({"RANK": "3", "WORLD_SIZE": "4"}) is None  # of another launcher
    assert read_launch({}) is None


def test_a_launch_without_a_name_is_known_by_the_process_of_torchrun() -> None:
    def name(run_id: str) -> str:
        return Launch(0, 1, 0, 1, 0, run_id).name

    assert name("mine") == "mine"
    assert name("none") == name("") == f"{socket.gethostname()}:{os.getppid()}"


def test_processes_agree_on_a_name_whatever_earlier_ones_left_in_the_store() -> None:
    store, names = HashStore(), list[str]()
    for size in (3, 3, 2):  # at last, with one process less

        def join(rank: int, size: int = size) -> None:
            names.append(negotiate_store_prefix(store, rank, size))

        threads = [threading.Thread(target=join, args=(rank,)) for rank in reversed(range(size))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    attempts = names[:3], names[3:6], names[6:]
    assert [len(set(attempt)) for attempt in attempts] == [1, 1, 1]
    assert len(set(names)) == 3 and len(names) == 8


class Heard:
    def __init__(self, reason: str) -> None:
        self.reason = reason

    def poll(self) -> bool:
        return bool(self.reason)


def test_a_wish_that_one_has_heard_is_granted_by_all() -> None:
    def work(group: Group) -> tuple[bool, bool, str]:
        heard = Heard("")
        agreed = CollectiveStop(heard, group)
        before = agreed.poll()
        heard.reason = "SIGTERM" if group.rank == 1 else ""
        return before, agreed.poll(), agreed.reason

    assert Threads(2).run(work) == [(False, True, "another process"), (False, True, "SIGTERM")]
    assert (
        CollectiveStop(Heard("SIGINT"), SINGLE_PROCESS).poll()
        and not CollectiveStop(Heard(""), SINGLE_PROCESS).poll()
    )


def test_a_broken_connection_is_a_lost_peer_but_a_lack_of_memory_is_not() -> None:
    with pytest.raises(PeerLost, match="^Connection closed by peer$"), _raise_peer_lost():
        raise RuntimeError("Connection closed by peer\nand much more")
    with pytest.raises(RuntimeError, match="DefaultCPUAllocator"), _raise_peer_lost():
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")


def test_torchrun_is_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_ERROR_FILE", raising=False)
    write_torchrun_error("nobody listens")
    monkeypatch.setenv("TORCHELASTIC_ERROR_FILE", str(tmp_path / "error.json"))
    write_torchrun_error("The batch is too small.")
    told = json.loads((tmp_path / "error.json").read_text())["message"]
    assert told["message"] == "The batch is too small." and told["extraInfo"]["timestamp"].isdigit()
