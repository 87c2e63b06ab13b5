"""train.py as one of the processes that torchrun starts: together, or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from progan.config import Run, from_dict, to_dict
from progan.errors import UserError
from progan.runtime.distributed import (
    SINGLE_PROCESS,
    Group,
    Launch,
    PeerLost,
    Together,
    await_the_end,
    launched,
    note_for_launcher,
)
from progan.runtime.early_signals import INTERRUPTED
from progan.runtime.lock import exclusive_lock

if TYPE_CHECKING:
    import torch

BUSY = "is being trained"
LOST = (
    "A process of this training has ended without a word: it was killed, or its machine is "
    "gone. All others stop; nothing that was saved is lost. With torchrun --max-restarts N "
    "the training goes on by itself from its last state; by hand, with --resume."
)


@dataclass(frozen=True, slots=True)
class Team:
    """The processes of a training, one or several, as one of them sees it."""

    group: Group
    device_name: str
    launch: Launch | None = None
    restarted: bool = False  # whether torchrun has started them anew after a failure

    @property
    def leads(self) -> bool:
        return self.group.leads

    @property
    def device(self) -> "torch.device":
        """What this process computes on."""
        return _device(self.device_name, self.launch)

    @property
    def planned_device(self) -> "torch.device":
        """The device named, though this machine may lack it: a plan may be made elsewhere."""
        import torch

        return self.device if self.device_name == "auto" else torch.device(self.device_name)

    @property
    def local_size(self) -> int:
        """How many of the processes share this machine."""
        return self.launch.local_size if self.launch else 1

    @contextmanager
    def exclusive_lock(self, directory: Path) -> Iterator[None]:
        """Keep other trainings out of the directory of a run; raises UserError if one is in it."""
        with exclusive_lock(directory, BUSY) if self.leads else nullcontext():
            yield

    def agree_on(self, path: Path, run: Run) -> tuple[Path, Run]:
        """The leader's path and settings; what the others give does not count."""
        if self.group.size == 1:
            return path, run
        told = json.loads(self.group.told(json.dumps([str(path), to_dict(run)])))
        return Path(told[0]), from_dict(told[1])

    def begun(self, outdir: Path) -> Path | None:
        """The run that this torchrun began and has saved, if it has started it anew since."""
        from progan.run_directory import begun_by, states

        if self.launch is None or not self.restarted:
            return None
        path = begun_by(outdir, self.launch.name) if self.leads else None
        told = self.group.told(str(path) if path and states(path) else "")
        return Path(told) if told else None


@contextmanager
def team(device_name: str) -> Iterator[Team]:
    """Join the other processes, if torchrun started any.

    What ends one of them ends all, with one message from the first that has one.
    """
    launch = launched()
    if launch is None or launch.size == 1:
        yield Team(SINGLE_PROCESS, device_name, launch, bool(launch and launch.restarts))
        return
    group = Together(launch, _device(device_name, launch))
    try:
        yield Team(group, device_name, launch, group.any(launch.restarts > 0))
        group.wait()
    except click.exceptions.Exit as asked:
        if asked.exit_code != INTERRUPTED:  # all of them were asked to stop, after a step
            group.wait()
            group.leave()
        raise
    except (PeerLost, UserError) as error:
        words = LOST if isinstance(error, PeerLost) else str(error)
        if group.is_first_to_fail():
            note_for_launcher(words)
            click.echo(f"Error: {words}", err=True)
        else:
            await_the_end()
        raise click.exceptions.Exit(1) from error
    except Exception:
        group.is_first_to_fail()
        raise
    group.leave()


def _device(name: str, launch: Launch | None) -> "torch.device":
    from progan.runtime.devices import choose

    return choose(name, launch.local_rank if launch and launch.size > 1 else None)
