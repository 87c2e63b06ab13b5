"""train.py under torchrun, with gloo: processes that really are several."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.run_directory import list_states
from progan.runtime.signals import EXIT_RESUMABLE
from tests.builders import noise_dataset, tiny_options
from tests.commands.test_train import statistics, weights

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
# Twenty iterations from 4x4 to 16x16, two fades on the way.
OPTIONS = tiny_options(
    batch=8, total_kimg=0.16, training_kimg=0.032, transition_kimg=0.032, tick_kimg=0.064,
    stddev_group=4, image_ticks=1,
)  # fmt: skip


def command(
    data: Path, outdir: Path, *launcher: str, options: list[str] | None = None
) -> list[str]:
    return [
        *launcher, str(ROOT / "train.py"), "--data", str(data), "--outdir", str(outdir), "--preset",
        "demo", "--device", "cpu", "--mirror", *(options or OPTIONS),
    ]  # fmt: skip


def torchrun(*words: str) -> tuple[str, ...]:
    return (*TORCHRUN, *words, f"--master-port={free_port()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def finished(words: list[str] | tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        words, capture_output=True, text=True, timeout=300, env=environment, cwd=ROOT
    )


@contextmanager
def started(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def workers(outdir: Path) -> list[int]:
    """The processes that train into a folder, lowest rank first."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and str(outdir).encode() in (entry / "cmdline").read_bytes():
                environment = (entry / "environ").read_bytes().split(b"\0")
                rank = [item for item in environment if item.startswith(b"RANK=")]
                found += [(int(rank[0][5:]), int(entry.name))] if rank else []
    return [pid for _, pid in sorted(found)]


def close_states(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        if name.startswith("average"):
            torch.testing.assert_close(tensor, second[name], rtol=1e-3, atol=1e-4, msg=name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise").path


@pytest.fixture(scope="module")
def alone(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outdir = tmp_path_factory.mktemp("alone")
    result = finished(command(data, outdir, sys.executable))
    assert result.returncode == 0, result.stderr
    return outdir / "00000-noise-demo"


def test_gradients_of_two_processes_are_those_of_one() -> None:
    result = finished([*torchrun("--nproc-per-node=2"), "-m", "tests.training.two_processes"])
    assert result.returncode == 0, result.stderr
    errors = json.loads(result.stdout.splitlines()[-1])
    assert len(errors) == 6
    for name, error in errors.items():
        assert error < (1e-12 if name.endswith("float64") else 1e-6), (name, error)


def test_two_processes_train_like_one(alone: Path, data: Path, tmp_path: Path) -> None:
    result = finished(command(data, tmp_path, *torchrun("--nproc-per-node=2")))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("tick 1 ") == 1 and ", 2 processes" in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["00000-noise-demo"]
    together = tmp_path / "00000-noise-demo"
    names = {path.name for path in together.iterdir() if not path.name.startswith("events")}
    assert names == {
        path.name for path in alone.iterdir() if not path.name.startswith("events")
    } | {".launch"}
    assert len(list(together.glob("events*"))) == 1
    close_states(list_states(alone)[-1], list_states(together)[-1])
    for picture in alone.glob("fakes-0*.png"):
        one, other = (
            np.asarray(Image.open(path / picture.name)).astype(int) for path in (alone, together)
        )
        assert np.abs(one - other).max() <= 1  # of 255
    ours, theirs = statistics(together), statistics(alone)
    assert len(ours) == len(theirs)
    for row, expected in zip(ours, theirs, strict=True):
        assert row.keys() == expected.keys()
        assert row["scores/real"] == pytest.approx(expected["scores/real"], rel=1e-3, abs=1e-4)


def test_two_nodes_on_one_machine(alone: Path, data: Path, tmp_path: Path) -> None:
    """As documented, with the run directory on a disk that both see."""
    port = free_port()
    nodes = [
        command(
            data,
            tmp_path,
            *TORCHRUN,
            "--nnodes=2",
            "--nproc-per-node=1",
            "--rdzv-id=tiny",
            "--rdzv-backend=c10d",
            f"--rdzv-endpoint=localhost:{port}",
        )
        for _ in range(2)
    ]
    with started(*nodes[0]) as first, started(*nodes[1]) as second:
        said = [process.communicate(timeout=300)[0] for process in (first, second)]
        assert [first.returncode, second.returncode] == [0, 0], said
    assert sum("tick 1 " in words for words in said) == 1
    close_states(list_states(alone)[-1], list_states(tmp_path / "00000-noise-demo")[-1])


def test_a_batch_that_cannot_be_shared_is_refused_once(data: Path, tmp_path: Path) -> None:
    result = finished(command(data, tmp_path, *torchrun("--nproc-per-node=3")))
    assert result.returncode != 0
    assert (
        result.stderr.count(
            "Error: The batch of 8 images at resolution 4 cannot be shared "
            "equally among 3 processes"
        )
        == 1
    )
    assert "1 or 2 could" in result.stderr and not list(tmp_path.iterdir())


def test_a_device_that_is_missing_is_reported_once(data: Path, tmp_path: Path) -> None:
    words = command(data, tmp_path / "runs", *torchrun("--nproc-per-node=2"))
    words[words.index("cpu")] = "mps"
    result = finished(words)
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if "mps device" in line]
    assert sum(line.startswith("Error: ") for line in lines) == 1, result.stderr
    assert len(lines) <= 2, result.stderr  # torchrun's summary repeats it


def test_a_process_that_is_killed_ends_all_with_one_message(data: Path, tmp_path: Path) -> None:
    endless = [*OPTIONS, "--total-kimg", "100"]
    with started(
        *command(data, tmp_path, *torchrun("--nproc-per-node=2"), options=endless)
    ) as process:
        wait_for(process, "tick 1 ")
        os.kill(workers(tmp_path)[1], signal.SIGKILL)
        said = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert said.count("process of this training has ended without a message") <= 2  # torchrun's too
    assert "--max-restarts" in said and "PeerLost" not in said and "gloo" not in said
    (log,) = tmp_path.glob("*/log.txt")
    assert "Stopped by an error: A process of this training has ended" in log.read_text()
    assert not workers(tmp_path)


def test_torchrun_continues_what_it_began(alone: Path, data: Path, tmp_path: Path) -> None:
    """The leader is killed after its first state; nobody gives another command."""
    long = [*OPTIONS, "--total-kimg", "0.8", "--snapshot-ticks", "1"]
    with started(
        *command(data, tmp_path, *torchrun("--nproc-per-node=2", "--max-restarts=1"), options=long)
    ) as process:
        wait_for(process, "tick 3 ")
        os.kill(workers(tmp_path)[0], signal.SIGKILL)
        said = process.communicate(timeout=300)[0]
    assert process.returncode == 0, said
    assert [path.name for path in tmp_path.iterdir()] == ["00000-noise-demo"]
    run = tmp_path / "00000-noise-demo"
    assert "from kimg 0 to" not in said and "Done." in said
    ticks = [row["progress/tick"] for row in statistics(run)]
    assert ticks == list(range(1, len(ticks) + 1)) and ticks[-1] >= 12


def test_a_signal_to_one_process_stops_all_at_the_same_step(data: Path, tmp_path: Path) -> None:
    endless = [*OPTIONS, "--total-kimg", "100"]
    with started(
        *command(data, tmp_path, *torchrun("--nproc-per-node=2"), options=endless)
    ) as process:
        wait_for(process, "tick 1 ")
        os.kill(workers(tmp_path)[1], signal.SIGTERM)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == 0, said
    assert "Stopped by another process" in said and "everything is saved" in said
    assert "torchrun --nproc-per-node=2" in said and "--resume" in said
    assert len(list_states(tmp_path / "00000-noise-demo")) >= 1


def test_gpus_end_like_one_process_after_a_signal(data: Path, tmp_path: Path) -> None:
    """Slurm sends SIGUSR1 to the command of the script, which --gpus has made the launcher."""
    words = command(data, tmp_path, sys.executable, options=[*OPTIONS, "--total-kimg", "100"])
    with started(*words, "--gpus", "2") as process:
        wait_for(process, "tick 1 ")
        process.send_signal(signal.SIGUSR1)
        said = process.communicate(timeout=120)[0]
    assert process.returncode == EXIT_RESUMABLE, said
    assert "Traceback" not in said and not workers(tmp_path)
    assert "everything is saved" in said and list_states(tmp_path / "00000-noise-demo")
    assert re.search(r"--resume \S+ --device cpu --gpus 2\n", said) and "torchrun" not in said


def test_a_plan_for_gpus_needs_none(tmp_path: Path) -> None:
    words = [sys.executable, "train.py", "--preset", "v2-8gpus", "--gpus", "8", "--dry-run"]
    done = finished(words)
    assert done.returncode == 0 and "Preset v2-8gpus" in done.stdout
    wrong = finished([*words, "--batch-at", "1024:12"])
    assert wrong.returncode == 1 and "8 processes" in wrong.stderr


def wait_for(process: subprocess.Popen[str], start: str) -> None:
    """Read what a process says up to a line that starts like this."""
    assert process.stdout is not None
    deadline = time.monotonic() + 240
    said = []
    for line in process.stdout:
        said.append(line)
        if line.startswith(start):
            return
        assert time.monotonic() < deadline, "".join(said)
    raise AssertionError("".join(said))


def test_gpus_starts_the_processes_itself(tmp_path: Path) -> None:
    """On the CPU, as the command and as a module; the run is that of torchrun."""
    data = noise_dataset(tmp_path / "data", classes=3).path
    runs = []
    for name, program in (
        ("script", (str(ROOT / "train.py"),)),
        ("module", ("-m", "progan", "train")),
    ):
        words = command(data, tmp_path / name, sys.executable)
        words[1:2] = program
        done = finished([*words, "--gpus", "2"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 processes" in done.stdout
        runs.append(next((tmp_path / name).glob("0*")))
    assert statistics(runs[0]) == statistics(runs[1])


def test_gpus_that_are_not_there(tmp_path: Path) -> None:
    data = noise_dataset(tmp_path / "data", classes=3).path
    script = command(data, tmp_path / "runs", sys.executable)
    script[script.index("cpu")] = "auto"
    done = finished([*script, "--gpus", "64"])
    assert done.returncode == 1
    assert "--gpus 64: this machine has" in done.stderr
    assert not (tmp_path / "runs").exists()
    other = finished(
        [*command(data, tmp_path / "runs", *torchrun("--nproc-per-node=2")), "--gpus", "3"]
    )
    assert other.returncode != 0
    assert "torchrun has started 2 processes" in other.stderr


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_gpus_fail_with_one_message(tmp_path: Path, more: tuple[str, ...]) -> None:
    data = noise_dataset(tmp_path / "data", classes=3).path
    words = command(data, tmp_path / "runs", sys.executable)
    done = finished([*words, "--gpus", "3", *more])
    assert done.returncode == 1
    assert "cannot be shared equally among 3 processes" in done.stderr
    assert "Traceback" not in done.stderr and "torch" not in done.stderr.replace("torchrun", "")
