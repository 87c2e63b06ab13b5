"""What test_ahead.py starts: a training whose phases wait until the next one is compiled.

Prints, as JSON, what was logged, and for each phase what torch's cache held of its code.
"""

import json
import sys
import time
from pathlib import Path

from torch._dynamo.utils import counters

from progan.config import Run
from progan.runtime import devices
from progan.runtime.log import Silence
from progan.schedule import Stage
from progan.training.acceleration import compiled_losses
from progan.training.ahead import CompilesAhead
from progan.training.loop import Session, train
from progan.training.state import create
from progan.training.steps import PlainSteps
from tests.builders import noise_dataset, tiny_run
from tests.training.equal_steps import CPU


class Patient(CompilesAhead):
    """Waits for each companion, and counts what was compiled in each phase."""

    def __init__(self, run: Run, log: list[str]) -> None:
        super().__init__(run, CPU, micro_batch_at=lambda level, n: n, log=log.append)
        self.counts: dict[int, dict[str, int]] = {}

    def __call__(self, stage: Stage) -> None:
        if stage.phase not in self.counts:
            counters.clear()
        super().__call__(stage)
        self.counts[stage.phase] = {**counters["aot_autograd"], **counters["inductor"]}
        while self._companion and not self._companion.ended:
            time.sleep(0.1)


def quiet(line: str) -> None:
    """That something is compiled is no news here."""


def main(directory: Path) -> None:
    log: list[str] = []
    run = tiny_run(resolution=8, total_kimg=4, acceleration="compile")
    devices.set_precision(run.precision)
    dataset, watch = noise_dataset(directory / "data", resolution=8), Patient(run, log)
    train(Session(run=run, dataset=dataset, directory=directory, device=CPU, log=Silence(),
                  steps=PlainSteps(losses=compiled_losses(log.append, quiet)), ahead=watch),
          create(run, CPU))
    print(json.dumps({"log": log, "counts": list(watch.counts.values())}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
