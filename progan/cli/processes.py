"""train.py as one of the processes of torchrun: join them, and end all if one ends."""

import json
import os
import signal
import sys
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
    TorchGroup,
    claim_first_failure,
    connect_store,
    read_launch,
    wait_for_abort,
    write_exit_code,
    write_torchrun_error,
)
from progan.runtime.lock import exclusive_lock
from progan.runtime.signals import EXIT_INTERRUPTED, SIGNALS

if TYPE_CHECKING:
    import torch

TORCHRUN = Path(__file__).parents[1] / "runtime" / "torchrun.py"
# From a signal until torchrun kills its processes: more than a step and a save take. Without
# torchrun there is no such limit.
SHUTDOWN_SECONDS = 3600
BUSY = "is being trained"
LOST = (
    "A process of this training has ended without a message: it was killed, or its machine is "
    "gone. All others stop; nothing that was saved is lost. With torchrun --max-restarts N "
    "the training continues automatically from its last state; without, use --resume."
)


@dataclass(frozen=True, slots=True)
class TrainProcess:
    """One process of a training, its group and its device."""

    group: Group
    device_name: str
    launch: Launch | None = None
    restarted: bool = False  # torchrun has restarted the processes after a failure

    @property
    def is_main(self) -> bool:
        return self.group.is_main

    @property
    def device(self) -> "torch.device":
        """The device of this process."""
        return _choose_process_device(self.device_name, self.launch)

    @property
    def planned_device(self) -> "torch.device":
        """The device named, which this machine may lack: plans may be made for others."""
        import torch

        return self.device if self.device_name == "auto" else torch.device(self.device_name)

    @property
    def local_size(self) -> int:
        """Number of the processes on this machine."""
        return self.launch.local_size if self.launch else 1

    @contextmanager
    def exclusive_lock(self, directory: Path) -> Iterator[None]:
        """Keep other trainings out of the directory of a run; raises UserError if one is in it."""
        with exclusive_lock(directory, BUSY) if self.is_main else nullcontext():
            yield

    def broadcast_run(self, path: Path, run: Run) -> tuple[Path, Run]:
        """Return the path and config of the main process; those of the others are ignored."""
        if self.group.size == 1:
            return path, run
        text = self.group.broadcast_text(json.dumps([str(path), to_dict(run)]))
        directory, values = json.loads(text)
        return Path(directory), from_dict(values)

    def find_restarted_run(self, outdir: Path, resumed: Path | None) -> Path | None:
        """Return the run in which this torchrun has begun, if it has restarted its processes.

        Args:
            resumed: What the command resumes. None for a new run, which is found if it has a state.
        """
        from progan.run_directory import find_run_of_launch, list_states

        if self.launch is None or not self.restarted:
            return None
        path = find_run_of_launch(outdir, self.launch.name, resumed) if self.is_main else None
        begun = path is not None and (resumed is not None or bool(list_states(path)))
        name = self.group.broadcast_text(str(path) if begun else "")
        return Path(name) if name else None

    def record_launch(self, directory: Path, resumed: Path | None = None) -> None:
        """Record that a restart by this torchrun is to continue the newest state of a run.

        Args:
            resumed: What the command resumes; None for a new run.
        """
        from progan.run_directory import save_launch

        if self.launch and self.is_main:
            save_launch(directory, self.launch.name, resumed)


def start_processes(count: int, device_name: str) -> None:
    """Replace this process by torchrun with `count` processes of the same command (--gpus).

    Returns if there is nothing to start: for one process, and in one that torchrun has started.

    Raises:
        UserError: torchrun has started another number, or the machine has fewer GPUs.
    """
    launch = read_launch()
    if launch is not None and launch.local_size != count:
        raise UserError(
            f"torchrun has started {launch.local_size} processes on this machine, and --gpus "
            f"{count} asks for {count}. Omit --gpus."
        )
    if count == 1 or launch is not None:
        return
    if device_name != "cpu":
        _require_gpus(count)
    # One thread for each process is torchrun's default too, about which it would print a warning.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Not as the option --shutdown-timeout, which older versions of torch lack.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    words = [*list_launcher_words(count), *_list_program_words(), *sys.argv[1:]]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(words[0], words)


def list_launcher_words(count: int) -> list[str]:
    """Return the command that starts a program in `count` processes, and forwards our signals.

    Those that are ignored stay so, as under nohup; torchrun would handle them. Its own default
    leaves out SIGUSR1, which would end it and leave its processes running.
    """
    numbers = [*SIGNALS, *([signal.SIGQUIT] if hasattr(signal, "SIGQUIT") else [])]
    handled = [each.name for each in numbers if signal.getsignal(each) != signal.SIG_IGN]
    return [
        # -P: without the folder of the file in the search path.
        sys.executable, "-P", str(TORCHRUN), "--standalone", f"--nproc-per-node={count}",
        f"--signals-to-handle={','.join(handled)}",
    ]  # fmt: skip


def _require_gpus(count: int) -> None:
    """Raise UserError if this machine has fewer GPUs."""
    import torch

    found = torch.cuda.device_count()
    if found < count:
        raise UserError(
            f"--gpus {count}: this machine has {found or 'no'} GPU{'s' * (found != 1)}. "
            + (f"Pass --gpus {found}." if found else "Add --device cpu for processes on the CPU.")
        )


def _list_program_words() -> list[str]:
    """Return the program of this process as torchrun takes it: a script, or -m and a module."""
    main = sys.modules["__main__"]
    if main.__spec__ is not None:  # python -m progan
        return ["-m", main.__spec__.name.removesuffix(".__main__")]
    return [sys.argv[0]]


@contextmanager
def join_processes(device_name: str) -> Iterator[TrainProcess]:
    """Join the other processes, if torchrun started any.

    An error in one of them ends all, with one message from the first that has one.
    """
    launch = read_launch()
    if launch is None or launch.size == 1:
        yield TrainProcess(SINGLE_PROCESS, device_name, launch, bool(launch and launch.restarts))
        return
    store = connect_store(launch)
    try:
        # Inside, because the machine may lack the device: one process says so.
        group = TorchGroup(launch, _choose_process_device(device_name, launch), store)
        yield TrainProcess(group, device_name, launch, group.any(launch.restarts > 0))
        group.barrier()
        write_exit_code(0)
    except click.exceptions.Exit as asked:
        if asked.exit_code != EXIT_INTERRUPTED:  # all were asked to stop after a step
            group.barrier()
            group.close()
        raise
    except (PeerLost, UserError) as error:
        write_exit_code(1)
        words = LOST if isinstance(error, PeerLost) else str(error)
        if claim_first_failure(store, launch.rank):
            write_torchrun_error(words)
            click.echo(f"Error: {words}", err=True)
        else:
            wait_for_abort()
        raise click.exceptions.Exit(1) from error
    except Exception:
        write_exit_code(1)
        claim_first_failure(store, launch.rank)
        raise
    group.close()


def _choose_process_device(name: str, launch: Launch | None) -> "torch.device":
    """Return the device of this process; of several on a machine, the GPU of its rank."""
    from progan.runtime.devices import choose_device

    return choose_device(name, launch.local_rank if launch and launch.size > 1 else None)
