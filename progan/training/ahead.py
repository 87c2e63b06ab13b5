"""Work on the next phase of a training, while the present one trains."""

from collections.abc import Callable

import torch

from progan import schedule
from progan.config import Run
from progan.partition import WHOLE, Share
from progan.runtime import devices
from progan.runtime.companion import Companion
from progan.schedule import Stage
from progan.training.rehearsal import MODESTY, MODULE, Rehearsal

FAILED = ("The next phase cannot be compiled ahead ({}): phases are compiled as training gets to "
          "them.")


def rehearsing(task: str) -> Companion:
    """Start to compile in another process; raises OSError if there can be none."""
    return Companion(MODULE, task, MODESTY)


class Ahead:
    """Hears at what stage each round is; does nothing."""

    def __call__(self, stage: Stage) -> None:
        """A round begins."""

    def close(self) -> None:
        """Training has ended, in whatever way."""


NOTHING = Ahead()


class CompilesAhead(Ahead):
    """Lets a companion compile the next phase.

    It begins with the second round of a phase, when the code of that phase is there: before, the
    two would compete for the processor. At the next phase it is killed if it still works, and
    what it has not compiled is compiled as if it had never been.

    Args:
        micro_batch_at: How many of the images of a level (its first number) go through at once,
            of so many (the second).
        log: Is told in one line of the first failure, which is the last one.
        start: Makes a companion that is given a task.
    """

    def __init__(self, run: Run, device: torch.device, *, micro_batch_at: Callable[[int, int], int],
                 log: Callable[[str], None], share: Share = WHOLE,
                 start: Callable[[str], Companion] = rehearsing) -> None:
        self._run, self._device, self._share = run, device, share
        self._micro_batch_at, self._log, self._start = micro_batch_at, log, start
        self._phase: int | None = None  # the present one
        self._begun: set[int] = set()  # phases that were given to a companion
        self._companion: Companion | None = None
        self._failed = False

    def __call__(self, stage: Stage) -> None:
        if stage.phase != self._phase:
            self.close()
            self._phase = stage.phase
        elif self._companion:
            self._look_after(self._companion)
        elif coming := self._coming(stage):
            self._begin(coming)

    def close(self) -> None:
        if self._companion:
            self._companion.close()
            self._companion = None

    def _coming(self, stage: Stage) -> Stage | None:
        """What there is to compile now."""
        phase = schedule.following(self._run.growth, self._run.network, stage)
        if self._failed or not phase or phase.stage.phase in self._begun:
            return None
        return phase.stage if has_room(self._device) else None

    def _begin(self, coming: Stage) -> None:
        self._begun.add(coming.phase)
        task = Rehearsal(
            run=self._run, phase=coming.phase, device=str(self._device), share=self._share,
            micro_batch=self._micro_batch_at(coming.level, coming.batch // self._share.of),
            threads=torch.get_num_threads())
        try:
            self._companion = self._start(task.to_line())
        except OSError as error:
            self._give_up(str(error))

    def _look_after(self, companion: Companion) -> None:
        if not companion.ended:
            return
        if failure := companion.failure:
            self._give_up(failure)
        self.close()

    def _give_up(self, why: str) -> None:
        self._failed = True
        self._log(FAILED.format(why))


def has_room(device: torch.device) -> bool:
    """Whether another process can have as much memory as this one has needed so far."""
    free = devices.unclaimed_memory_bytes(device)
    return free is None or free >= devices.peak_memory_bytes(device)
