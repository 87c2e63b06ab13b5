"""Run measurements in processes of their own, under time limits, with figures stored at once.

A measurement may raise, run out of memory, crash or hang without harm to the others: its figures
are in the results file by then, its end is recorded there with the message, and the next one
starts. Results are JSON lines:

    {"event": "started", "part": "steps", "task": "64", "time": "2026-11-29T00:40:12+00:00"}
    {"event": "measured", "part": "steps", "task": "64", "name": "eager-bf16", "seconds": [...]}
    {"event": "finished", "part": "steps", "task": "64", "seconds": 9.1}

The last line of a task is `finished`, `failed` (with the message), `crashed` (with the signal or
exit code) or `timed out`.
"""

import importlib
import json
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing import connection
from pathlib import Path
from typing import Any, TypeAlias

from progan.errors import UserError, get_first_error_line
from progan.runtime.text import PrintLine

Line: TypeAlias = dict[str, Any]
ENDS = ("finished", "failed", "crashed", "timed out")
HANG_FACTOR = 2.5  # time limit of a task relative to its share of the remaining time
MESSAGE_BYTES = 2000  # last output of a failed process


@dataclass(frozen=True, slots=True)
class Recorder:
    """Appends the figures of a task to the results: `record(name=..., figure=...)`.

    Attributes:
        key: Part and task.
        seconds: Time limit of the task.
        done: Names of figures that an interrupted process has measured.
    """

    results: Path
    key: Mapping[str, str]
    seconds: float
    done: frozenset[str]

    def __call__(self, **figures: Any) -> None:
        append_line(self.results, {"event": "measured", **self.key, **figures})


@dataclass(frozen=True, slots=True)
class Task:
    """One measurement, made by one process.

    Attributes:
        function: 'module:function', called with the arguments and a `record: Recorder`.
    """

    name: str
    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    """Tasks that share a time limit.

    Attributes:
        seconds: Planned share of the whole time.
        parallel: Number of concurrent tasks.
        least_seconds: Tasks are not started with less time than this.
    """

    name: str
    seconds: float
    tasks: Sequence[Task]
    parallel: int = 1
    least_seconds: float = 1.0


def run_parts(
    parts: Sequence[Part],
    results: Path,
    seconds: float,
    print_line: PrintLine,
    preload: Sequence[str] = ("torch",),
    *,
    retry: bool = False,
) -> None:
    """Run the tasks that have not ended yet, part after part.

    The remaining time is divided among the remaining parts in proportion to their planned seconds.

    Args:
        results: JSON lines file that measurements are appended to.
        seconds: Time for all parts.
        print_line: Receives a line at the start of each part and at the end of each task.
        preload: Modules that are imported once, for all processes.
        retry: Repeat all tasks that did not finish. Otherwise only those that timed out and now
            have much more time.
    """
    deadline = time.monotonic() + seconds
    # Killed processes leave semaphores behind, which are removed.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    limits = _limits_of_ended_tasks(read_lines(results), finished_only=retry)
    left = [
        part
        for part in parts
        if any(
            (part.name, task.name) not in limits or limits[part.name, task.name] is not None
            for task in part.tasks
        )
    ]
    for number, part in enumerate(left):
        planned = sum(each.seconds for each in left[number:])
        seconds = max(deadline - time.monotonic(), 0.0) * part.seconds / planned
        tasks = [task for task in part.tasks if _is_missing(part, task, limits, seconds)]
        if tasks:
            print_line(f"{part.name} (at most {seconds:.0f} s)")
            _run_part(part, tasks, results, seconds, print_line, context)


def _limits_of_ended_tasks(
    lines: Sequence[Line], *, finished_only: bool
) -> dict[tuple[str, str], float | None]:
    """Return by (part, task) the time limit of tasks that timed out, None for other ends."""
    ends = ("finished",) if finished_only else ENDS
    return {
        (line["part"], line["task"]): line.get("limit") for line in lines if line["event"] in ends
    }


def _is_missing(
    part: Part, task: Task, limits: Mapping[tuple[str, str], float | None], seconds: float
) -> bool:
    """True if a task has not ended yet, or timed out and now has much more time."""
    key = (part.name, task.name)
    limit = limits.get(key)
    return key not in limits or limit is not None and seconds > 1.5 * limit


def read_lines(results: Path) -> list[Line]:
    """Return all complete lines; a killed process may leave half of one."""
    if not results.is_file():
        return []
    lines = []
    for text in results.read_text("utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and {"event", "part", "task"} <= line.keys():
            lines.append(line)
    return lines


def append_line(results: Path, line: Mapping[str, Any]) -> None:
    """Write a line so that it is on disk when this returns."""
    # A line feed before it ends what a killed process may have left.
    content = f"\n{json.dumps(_finite(line))}\n".encode()
    with results.open("ab", buffering=0) as file:
        file.write(content)
        os.fsync(file.fileno())


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value


@dataclass(slots=True)
class _Running:
    """A task and its process."""

    task: Task
    process: Any
    output: Path  # what the process prints
    start: float
    limit: float


def _run_part(
    part: Part,
    tasks: Sequence[Task],
    results: Path,
    seconds: float,
    print_line: PrintLine,
    context: Any,
) -> None:
    deadline, waiting, running = time.monotonic() + seconds, list(tasks), list[_Running]()
    with tempfile.TemporaryDirectory(prefix="progan-benchmark-") as folder:
        try:
            while waiting or running:
                while waiting and len(running) < part.parallel:
                    remaining = deadline - time.monotonic()
                    if remaining < part.least_seconds:
                        names = ", ".join(task.name for task in waiting)
                        print_line(f"{part.name}: no time left for {names}")
                        waiting.clear()
                        break
                    turns = math.ceil(len(waiting) / part.parallel)
                    limit = min(remaining, HANG_FACTOR * remaining / turns)
                    running.append(
                        _start(part, waiting.pop(0), results, limit, Path(folder), context)
                    )
                _wait(running)
                for each in [each for each in running if _is_over(each)]:
                    running.remove(each)
                    _end(part, each, results, print_line)
        finally:
            for each in running:  # interrupted
                _kill(each.process)


def _start(
    part: Part, task: Task, results: Path, limit: float, folder: Path, context: Any
) -> _Running:
    key = {"part": part.name, "task": task.name}
    lines = [line for line in read_lines(results) if key.items() <= line.items()]
    done = frozenset(line["name"] for line in lines if line["event"] == "measured")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    append_line(results, {"event": "started", **key, "time": now})
    output = folder / f"{task.name}.txt".replace("/", "-")
    record = Recorder(results, key, limit, done)
    process = context.Process(target=_work, args=(task, record, output, list(sys.path)))
    process.start()
    return _Running(task, process, output, time.monotonic(), limit)


def _wait(running: Sequence[_Running]) -> None:
    """Wait until a process has ended or reached its limit."""
    if running:
        first = min(each.start + each.limit for each in running)
        connection.wait(
            [each.process.sentinel for each in running], timeout=max(first - time.monotonic(), 0.0)
        )


def _is_over(each: _Running) -> bool:
    return not each.process.is_alive() or time.monotonic() >= each.start + each.limit


def _end(part: Part, each: _Running, results: Path, print_line: PrintLine) -> None:
    """Record how a task has ended, after killing its process."""
    timed_out = each.process.is_alive()
    _kill(each.process)
    line: Line = {
        "part": part.name,
        "task": each.task.name,
        "seconds": round(time.monotonic() - each.start, 2),
    }
    if timed_out:
        line |= {
            "event": "timed out",
            "limit": round(each.limit, 1),
            "message": f"took more than {each.limit:.0f} s. {_tail(each.output)}".strip(),
        }
    elif each.process.exitcode == _FAILED:
        line |= {"event": "failed", "message": _tail(each.output)}
    elif code := each.process.exitcode:
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        line |= {"event": "crashed", "message": f"{how}. {_tail(each.output)}".strip()}
    else:
        line |= {"event": "finished"}
    append_line(results, line)
    why = f" ({last_line(line['message'])})" if line["event"] in ("failed", "crashed") else ""
    print_line(f"  {each.task.name}: {line['event']} after {line['seconds']:.1f} s{why}")


def last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""


_FAILED = 3  # exit code of a process whose task raised an exception


def _work(task: Task, record: Recorder, output: Path, path: list[str]) -> None:
    """Run a task in its process, the leader of a process group that can be killed as a whole."""
    os.setpgid(0, 0)
    sys.path[:] = path
    with output.open("wb", buffering=0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    module, name = task.function.split(":")
    try:
        getattr(importlib.import_module(module), name)(**task.arguments, record=record)
    except Exception as error:
        if not isinstance(error, UserError):
            traceback.print_exc()
        print(f"{type(error).__name__}: {get_first_error_line(error)}", file=sys.stderr, flush=True)
        os._exit(_FAILED)
    sys.stdout.flush()
    os._exit(0)  # threads of libraries must not keep the process alive


def _kill(process: Any) -> None:
    """Kill a process and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()  # it has no group of its own yet
    process.join()


def _tail(output: Path) -> str:
    """Return the last output of a process."""
    text = output.read_bytes()[-MESSAGE_BYTES:] if output.is_file() else b""
    return text.decode("utf-8", "replace").strip()


def require_results_folder(folder: Path) -> Path:
    """Create a folder and its results file, and return the file; raises UserError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results = folder / "results.jsonl"
        results.open("ab").close()
    except OSError as error:
        raise UserError(
            f"--output {folder}: {error.strerror}. Name a folder that can be written to."
        ) from error
    return results


def latest_figures(lines: Sequence[Line], part: str) -> Iterator[Line]:
    """Yield the figures of a part, the last of each task and name."""
    found = {
        (line["task"], line.get("name")): line
        for line in lines
        if line["event"] == "measured" and line["part"] == part
    }
    yield from found.values()
