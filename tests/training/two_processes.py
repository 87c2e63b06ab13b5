"""What torchrun starts in test_several_processes.py: gradients of all processes against one.

Prints, in the leader, the largest relative errors by name of the run and type of numbers.
"""

import json

import torch

from progan.batch_split import Shard
from progan.runtime.distributed import TorchGroup, connect_store, read_launch
from tests.training.equal_steps import CPU, Recorded, born, iterations, relative_error, run_of

NAMES = ("progressive, wgan-gp, adaptive", "progressive, relativistic", "autoencoder, began")


def main() -> None:
    launch = read_launch()
    assert launch is not None
    group = TorchGroup(launch, CPU, connect_store(launch))
    errors = {}
    for name in NAMES:
        run = run_of(name)
        for dtype in (torch.float32, torch.float64):
            alone, shared = Recorded(), Recorded(group=group)
            iterations(run, born(run, dtype), 1, alone)
            iterations(run, born(run, dtype), 1, shared, Shard(group.rank, group.size))
            errors[f"{name}, {dtype}"] = relative_error(shared.seen[:1], alone.seen[:1])
    assert group.any(group.rank == 1) and not group.any(False)
    assert group.broadcast_text(f"rank {group.rank}") == "rank 0"
    if group.is_main:
        print(json.dumps(errors))
    group.close()


if __name__ == "__main__":
    main()
