"""The next phase of a training, rehearsed: its losses are compiled before training gets there.

`python -m progan.training.rehearsal` trains new networks on noise for one iteration. What it
leaves is the compiled code in torch's cache on disk, which a training of the same settings finds.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from typing import Any

import torch

from progan import schedule
from progan.config import Run, from_dict, to_dict
from progan.errors import UserError
from progan.partition import WHOLE, Share
from progan.runtime import companion, devices
from progan.runtime.torch_settings import use_threads
from progan.schedule import Stage
from progan.training import state as states
from progan.training.acceleration import compiled_losses
from progan.training.memory import step_bytes
from progan.training.micro_batches import in_parts_of
from progan.training.steps import PlainSteps
from progan.training.trial import iterate, noise_batch

MODULE = "progan.training.rehearsal"
# torch would start as many compilers as there are cores. How many does not change the code.
MODESTY = {"TORCHINDUCTOR_COMPILE_THREADS": "1"}
MOST_OF_FREE_MEMORY = 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsal:
    """All that the compiled code of a phase depends on.

    Attributes:
        micro_batch: Images that go through the networks at once.
        threads: Of torch on the CPU, whose number compiled code contains.
    """

    run: Run
    phase: int
    device: str
    micro_batch: int
    threads: int
    share: Share = WHOLE

    def to_line(self) -> str:
        return json.dumps(asdict(self) | {"run": to_dict(self.run)})

    @classmethod
    def from_line(cls, line: str) -> "Rehearsal":
        values: dict[str, Any] = json.loads(line)
        return cls(**values | {"run": from_dict(values["run"]), "share": Share(*values["share"])})

    @property
    def stage(self) -> Stage:
        growth, network = self.run.growth, self.run.network
        return next(phase.stage for phase in schedule.phases(growth, network)
                    if phase.stage.phase == self.phase)


def rehearse(task: Rehearsal) -> None:
    """Compile the losses of a phase.

    Raises:
        UserError: There is too little memory for a second training, or they cannot be compiled.
    """
    run, stage, device = task.run, task.stage, torch.device(task.device)
    use_threads(task.threads)
    devices.set_precision(run.precision)
    leave_memory(device, step_bytes(run, stage, task.share.of, task.micro_batch))
    batch = noise_batch(run, stage, task.share).to(device)
    passes = in_parts_of(task.micro_batch, run, len(batch.images), device)
    steps = PlainSteps(lambda level: passes, compiled_losses(_refuse, _ignore))
    iterate(states.create(run, device), run, stage, batch, steps)


def leave_memory(device: torch.device, needed: int) -> None:
    """Leave most of the memory to the training; raises UserError where that is too little."""
    free = devices.free_memory_bytes(device)
    if free is None:
        return
    if needed > MOST_OF_FREE_MEMORY * free:
        raise UserError("there is too little memory for a second training")
    if device.type == "cuda":
        total = torch.cuda.get_device_properties(device).total_memory
        torch.cuda.set_per_process_memory_fraction(MOST_OF_FREE_MEMORY * free / total, device.index)


def compile_whole_files() -> None:
    """Let C++ compilers write beside the file that they make, which then comes all at once.

    Killed while they write, they would leave a torn file in the cache, that torch takes for a
    whole one.
    """
    from torch._inductor.cpp_builder import CppBuilder

    build = CppBuilder.build

    def beside(self: CppBuilder) -> None:
        target = self.get_target_file_path()
        partial = f"{target}.{os.getpid()}"
        self._output = self._output.replace(target, partial)
        build(self)
        os.replace(partial, target)

    CppBuilder.build = beside  # type: ignore[method-assign]


def _refuse(line: str) -> None:
    raise UserError(line)


def _ignore(line: str) -> None:
    """Compilation is what this process is for."""


def main() -> None:
    task = Rehearsal.from_line(companion.task())
    compile_whole_files()
    try:
        rehearse(task)
    except UserError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
