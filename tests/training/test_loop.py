"""The training loop, in parts."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from progan.run_directory import format_kimg_file_name
from progan.runtime.distributed import CollectiveStop, Group
from progan.runtime.log import NullLog
from progan.runtime.signals import StopSignal
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.loop import TrainContext, must_measure_before_training
from progan.training.snapshot_metrics import SnapshotMetric
from progan.training.state import create_state
from tests.builders import tiny_run, tiny_snapshot
from tests.training.equal_steps import CPU


class Pair(Group):
    """One of two processes; the other one sets some flags, in the order of the questions."""

    size = 2

    def __init__(self, *others: bool) -> None:
        self.others = list(others)

    def any(self, flag: bool) -> bool:
        return self.others.pop(0) or flag


@pytest.mark.parametrize(
    ("metrics", "stopped", "others", "expected"),
    [
        (True, True, (False, False), True),  # the main process
        (False, True, (False, True), True),  # the other one, which has no metrics
        (True, False, (True, False), True),  # only the other one got a signal
        (False, True, (False, False), False),  # nothing is missing
        (True, False, (False,), False),
    ],
)
def test_all_processes_stop_before_a_step_if_metrics_were_cut_short(
    tmp_path: Path, metrics: bool, stopped: bool, others: tuple[bool, ...], expected: bool
) -> None:
    run, state = tiny_run(), create_state(tiny_run(), CPU)
    state.images_seen = 1000
    snapshot = Snapshot(generator=tiny_snapshot().generator, level=4, alpha=1.0, images_seen=1000)
    name = format_kimg_file_name("network-snapshot-", 1000, ".safetensors")
    save_network(tmp_path / name, snapshot)
    unused: Any = None
    interrupts, group = StopSignal(), Pair(*others)
    interrupts.reason = "SIGTERM" * stopped
    context = TrainContext(
        run=run, dataset=unused, directory=tmp_path, device=CPU, log=NullLog(), group=group,
        metrics={"known": SnapshotMetric(unused)} if metrics else {},
    )  # fmt: skip
    services: Any = SimpleNamespace(interrupts=CollectiveStop(interrupts, group))
    assert must_measure_before_training(context, state, services) == expected
    assert not group.others, "both processes answer equally many questions"
