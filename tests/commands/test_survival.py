"""Nothing is lost: killed, stopped, on a full disk, with damaged states, started twice."""

import errno
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from progan import run_directory
from progan.cli import train_run
from progan.cli.train import main
from progan.errors import UserError
from progan.run_directory import list_states
from progan.runtime.distributed import PeerLost
from progan.runtime.log import Log
from progan.runtime.signals import EXIT_INTERRUPTED, EXIT_RESUMABLE, SIGNALS
from progan.runtime.weights_file import hash_content
from progan.sampling.checkpoint_format import read_checkpoint
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import find_interim_networks, load_network
from progan.training import in_process
from progan.training.checkpoint_writer import CheckpointWriter
from tests.builders import in_foreground, message, noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 300
OF_THE_MACHINE = ("speed/", "memory/", "progress/hours", "hours", "seconds")
# Two fades, adaptive augmentation, and a snapshot every 256 images.
OPTIONS = [
    "--preset", "demo", "--mirror", "--augment", "adaptive", "--augment-p", "0.3",
    "--augment-steps", "50",
    *tiny_options(
        total_kimg=2, training_kimg=0.5, transition_kimg=0.5, tick_kimg=0.25, keep_states=3,
        fmap_max=4,
    ),
]  # fmt: skip
METRICS = ["--metrics", "swd16", "--best", "swd"]


def train(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise").path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    return finished(data, tmp_path_factory.mktemp("whole"))


def finished(data: Path, outdir: Path, *more: object) -> Path:
    result = train("--data", data, "--outdir", outdir, *OPTIONS, *more)
    assert result.exit_code == 0, result.output
    return next(outdir.iterdir())


def process_of(*words: object) -> "subprocess.Popen[str]":
    return in_foreground(sys.executable, ROOT / "train.py", *words)  # type: ignore[return-value]


def lines_of(process: "subprocess.Popen[str]") -> Iterator[str]:
    assert process.stdout is not None
    return process.stdout


def rows(path: Path) -> list[dict[str, object]]:
    """The lines of a file of numbers, without those of the machine."""
    return [
        {
            name: value
            for name, value in json.loads(line).items()
            if not name.startswith(OF_THE_MACHINE)
        }
        for line in path.read_text().splitlines()
    ]


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, moments, dials, clocks and curves are equal, and nothing is left lying about."""
    first, second = (read_checkpoint(list_states(run)[-1]) for run in (one, other))
    for content in (first, second):
        del content["seconds"], content["config"]
    for name in first:
        assert hash_content(first[name]) == hash_content(second[name]), name
    curves = sorted(path.name for path in one.glob("*.jsonl"))
    assert curves == sorted(path.name for path in other.glob("*.jsonl")) and curves
    for name in curves:
        assert rows(one / name) == rows(other / name)
    lines = rows(one / "stats.jsonl")
    board = EventAccumulator(str(one)).Reload()
    for tag in ("loss/critic", "dials/augmentation"):
        assert [point.step for point in board.Scalars(tag)] == [
            line["images_seen"] for line in lines
        ]
        assert [point.value for point in board.Scalars(tag)] == pytest.approx(
            [line[tag] for line in lines]
        )
    kinds = "network-*.safetensors", "network-*.md", "fakes-*.png", "state-best-*.pt"
    names = [sorted(path.name for kind in kinds for path in run.glob(kind)) for run in (one, other)]
    assert names[0] == names[1]
    assert not [path for path in one.iterdir() if path.name.startswith(".")]


def assert_same_moment(state: Path, network: Path) -> None:
    """A state, and a network file of its averaged generator."""
    content, snapshot = read_checkpoint(state), load_network(network, torch.device("cpu"))
    assert content["images_seen"] == snapshot.images_seen
    weights = snapshot.generator.state_dict()
    assert content["average"].keys() == weights.keys()
    for name, weight in weights.items():
        assert torch.equal(weight, content["average"][name]), name


def kill_at_some_moment(run: Path, words: list[object], chance: random.Random) -> bool:
    """Start a training and SIGKILL it while it loads, trains, or writes; False if it ended.

    On a fast machine too it comes a few ticks further at most.
    """
    moment: Callable[[float], bool] = chance.choice(
        [
            lambda start, limit=chance.uniform(0.5, 5): (
                time.monotonic() > start + limit or reached_tick(run, before + 2)
            ),
            lambda start, ticks=chance.randint(1, 4), more=chance.uniform(0, 0.3): (
                reached_tick(run, before + ticks) and not time.sleep(more)
            ),
            lambda start: stopped_while_writing(process, run, cut),
        ]
    )
    before, cut, start = newest_tick(run), being_written(run), time.monotonic()
    with process_of(*words) as process:
        while process.poll() is None and not moment(start):
            time.sleep(0.0005)
            assert time.monotonic() < start + PATIENCE_SECONDS
        process.kill()
        assert process.stderr is not None
        assert process.wait() <= 0, process.stderr.read()
        return process.returncode < 0


def stopped_while_writing(process: "subprocess.Popen[str]", run: Path, cut: set[str]) -> bool:
    """Stop a process that writes a state, if it still does so once it stands."""
    if not being_written(run) - cut:
        return False
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    if being_written(run) - cut:
        return True
    process.send_signal(signal.SIGCONT)
    return False


def newest_tick(run: Path) -> int:
    path = run / "stats.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def reached_tick(run: Path, tick: int) -> bool:
    return newest_tick(run) >= tick


def being_written(run: Path) -> set[str]:
    """The temporary files of states; a kill leaves one, which the next start removes."""
    return {path.name for path in run.glob(".state-*")}


def killed_and_resumed(data: Path, run: Path, kills: int, *more: object) -> int:
    """Kill a run so many times, and let it end; return how many writes were cut by that."""
    cut = 0
    seed = int(os.environ.get("KILL_SEED", "1"))
    print(f"Repeat these kills with KILL_SEED={seed}.")  # pytest shows it if the test fails
    chance = random.Random(seed)
    words = ["--data", data, "--outdir", run.parent, *OPTIONS, *more]
    for number in range(kills):
        if (run / "config.json").exists():
            words = ["--resume", run]
        if not kill_at_some_moment(run, words, chance):
            assert number >= kills // 3, f"it ended before kill {number + 1} of {kills}"
            break
        cut += len(being_written(run))
    result = train("--resume", run)
    if result.exit_code:  # the last kill came after the last state
        assert "is finished" in message(result)
    return cut


def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / whole.name
    killed_and_resumed(data, run, 3)
    assert_same_run(run, whole)


@pytest.mark.long
def test_thirty_kills(data: Path, tmp_path: Path) -> None:
    more = [*METRICS, "--total-kimg", 16, "--training-kimg", 2, "--transition-kimg", 2]
    whole = finished(data, tmp_path / "whole", *more)
    run = tmp_path / "killed" / whole.name
    assert killed_and_resumed(data, run, 30, *more) > 0
    assert_same_run(run, whole)


def test_no_snapshot_replaces_another_within_a_thousand_of_images(whole: Path) -> None:
    ticks = len(rows(whole / "stats.jsonl"))
    assert ticks > 6
    assert len(list(whole.glob("network-snapshot-*.safetensors"))) == ticks
    assert len(list(whole.glob("fakes-0*.png"))) == ticks // 2
    assert len(list_states(whole)) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_saves_everything_and_says_how_to_go_on(
    whole: Path, data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """In the middle of a tick, whose means are those of all of its steps nevertheless."""
    run = tmp_path / whole.name
    lines = []
    with process_of("--data", data, "--outdir", tmp_path, *OPTIONS, "--device", "cpu") as process:
        for line in lines_of(process):
            lines.append(line)
            if line.startswith("tick 3"):
                process.send_signal(number)
                break
        lines += lines_of(process)
        assert process.wait() == EXIT_RESUMABLE
    command = f"python {ROOT / 'train.py'} --resume {run} --device cpu"
    said = re.search(
        f"Stopped by {number.name} at kimg [0-9.]+; everything is saved in (.+) and "
        f"(.+). To resume: {re.escape(command)}\n",
        lines[-1],
    )
    assert said
    assert_same_moment(Path(said[1]), Path(said[2]))
    assert find_network(run) == Path(said[2]) and not list(run.glob(".*"))
    result = train(*command.split()[2:])
    assert result.exit_code == 0, result.output
    assert_same_run(run, whole)


def test_a_second_signal_ends_it_at_once(whole: Path, data: Path, tmp_path: Path) -> None:
    """Steps are slow here, so that the second signal comes in the same one as the first."""
    with process_of(
        "--data",
        data,
        "--outdir",
        tmp_path,
        *OPTIONS,
        "--batch",
        1500,
        "--minibatch-repeats",
        1,
        "--tick-kimg",
        1,
        "--total-kimg",
        30,
    ) as process:
        for line in lines_of(process):
            if line.startswith("tick 1 "):
                break
        run = tmp_path / whole.name
        while not list_states(run):
            time.sleep(0.001)
        assert process.stderr is not None
        process.send_signal(signal.SIGTERM)
        while "Stopping after this step" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGTERM)
        rest = "".join(lines_of(process))
        assert process.wait() == EXIT_INTERRUPTED, rest
        assert "Interrupted." not in process.stderr.read()
    assert "Stopped at once; what came after the last state is lost" in rest and "--resume" in rest
    assert not list(run.glob(".*"))
    assert len(list_states(run)) == 1 and read_checkpoint(list_states(run)[0])["tick"] == 1


@pytest.fixture
def signals_restored() -> Iterator[None]:
    """A command that was interrupted ignores signals until its process ends."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_step_ends_it_at_once(
    signals_restored: None,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(in_process, "prepare_execution", lambda *_: os.kill(os.getpid(), number))
    result = train("--data", data, "--outdir", tmp_path, *OPTIONS)
    assert result.exit_code == early_code(number)
    assert "Stopped at once, before any state was saved. To start again: " in result.stdout
    assert "Interrupted." not in result.stderr
    assert not list(next(tmp_path.iterdir()).glob(".*"))


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_first_step_of_a_resumed_run_loses_nothing(
    signals_restored: None,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.5)
    before = list_states(run)[-1].read_bytes()
    monkeypatch.setattr(in_process, "prepare_execution", lambda *_: os.kill(os.getpid(), number))
    result = train("--resume", run, "--total-kimg", 1)
    assert result.exit_code == early_code(number)
    assert "Stopped at once before the first step; nothing is lost. To resume: " in result.stdout
    assert list_states(run)[-1].read_bytes() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_before_the_run_exists_ends_it_at_once(
    signals_restored: None,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setattr(
        "progan.cli.train_run.create_state", lambda *_: os.kill(os.getpid(), number)
    )
    result = train("--data", data, "--outdir", tmp_path, *OPTIONS)
    assert (result.exit_code, result.stderr) == (early_code(number), "\nInterrupted.\n")
    assert not list(tmp_path.iterdir())


def early_code(number: signal.Signals) -> int:
    return EXIT_RESUMABLE if number.name == "SIGUSR1" else EXIT_INTERRUPTED


@pytest.mark.parametrize(
    ("words", "options", "code"),
    [("Done", (), 0), ("Stopped by --max-hours", ("--max-hours", 1e-9), EXIT_RESUMABLE)],
)
def test_a_signal_after_the_last_words_changes_nothing(
    signals_restored: None,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: str,
    options: tuple[object, ...],
    code: int,
) -> None:
    append = Log.append_to_file

    def append_and_signal(log: Log, text: str) -> None:
        append(log, text)
        for number in SIGNALS if text.startswith(words) else ():
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Log, "append_to_file", append_and_signal)
    result = train("--data", data, "--outdir", tmp_path, *OPTIONS, "--total-kimg", 0.5, *options)
    assert result.exit_code == code
    assert words in result.stdout and not result.stderr
    assert not list(next(tmp_path.iterdir()).glob(".*"))


def test_a_crash_costs_no_more_than_the_minutes_between_two_checkpoints(
    data: Path, tmp_path: Path
) -> None:
    """Of a tick that is far from its end."""
    options = [*OPTIONS, "--tick-kimg", 30, "--checkpoint-minutes", 1e-9]
    run = tmp_path / "00000-noise-demo"
    with process_of(
        "--data", data, "--outdir", tmp_path, *options, "--total-kimg", 1000
    ) as process:
        assert next(lines_of(process)).startswith("progan")
        while len(list_states(run)) < 2:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
        process.wait()
    assert newest_tick(run) == 0
    newest, interim = list_states(run)[-1], find_interim_networks(run)
    for path in interim:  # one, or the next one too
        assert load_network(path, torch.device("cpu")).images_seen
    assert interim and find_network(run) == interim[-1]
    kimg = read_checkpoint(newest)["images_seen"] / 1000
    result = train("--resume", run, "--total-kimg", kimg + 1)
    assert result.exit_code == 0, result.output
    assert f"from kimg {kimg:g} to" in result.output
    assert not find_interim_networks(run)


def test_checkpoints_change_nothing(data: Path, tmp_path: Path) -> None:
    """But for the files that they are; nor does it what goes on from one of them."""
    options = [*OPTIONS, "--tick-kimg", 1.5, "--total-kimg", 3, "--checkpoint-minutes"]
    runs = [
        finished(data, tmp_path / name, *options, minutes)
        for name, minutes in (("without", 0), ("with", 1e-9))
    ]
    assert_same_run(*runs)
    between = [path for path in list_states(runs[1]) if read_checkpoint(path)["tick"] == 1]
    assert len(list_states(runs[0])) == 2 and len(between) > 1
    result = train("--resume", between[-1])
    assert result.exit_code == 0, result.output
    assert_same_run(*runs)


def test_max_hours_ends_like_a_signal(whole: Path, data: Path, tmp_path: Path) -> None:
    run = tmp_path / whole.name
    result = train("--data", data, "--outdir", tmp_path, *OPTIONS, "--max-hours", 1e-9)
    for number in range(3):
        assert result.exit_code == EXIT_RESUMABLE
        said = re.search(
            "Stopped by --max-hours at kimg .* in (.+) and (.+). To resume", result.output
        )
        assert said
        assert_same_moment(Path(said[1]), Path(said[2]))
        assert len(find_interim_networks(run)) == 1
        assert f"--resume {run} --max-hours 1e-09" in result.output
        assert read_checkpoint(list_states(run)[-1])["images_seen"] == 64 * (number + 1)
        result = train("--resume", run, "--max-hours", 1e-9)
    assert train("--resume", run, "--max-hours", 100).exit_code == 0
    assert_same_run(run, whole)
    assert "--max-hours" in message(train("--resume", run, "--max-hours", 0))


def test_the_log_says_why_a_training_ended(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise UserError("Out of memory at resolution 8.")

    monkeypatch.setattr(train_run, "train_until_stopped", fail)
    result = train("--data", data, "--outdir", tmp_path, *OPTIONS, "--total-kimg", 1)
    assert result.exit_code == 1 and result.output.count("Out of memory at resolution 8.") == 1
    (log,) = tmp_path.glob("*/log.txt")
    assert log.read_text().endswith("Stopped by an error: Out of memory at resolution 8.\n")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."),
            "Not enough memory: CUDA out of memory. Tried to allocate 2.00 GiB. Choose smaller ",
        ),
        (PeerLost("Connection closed"), "A process of this training has ended without a message: "),
        (KeyError("a bug"), "KeyError: 'a bug'"),
    ],
    ids=["memory", "peer", "bug"],
)
def test_the_log_says_too_what_other_errors_ended_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(train_run, "train_until_stopped", fail)
    words = ["--data", data, "--outdir", tmp_path, *OPTIONS, "--total-kimg", 1]
    assert CliRunner().invoke(main, [str(word) for word in words]).exit_code == 1
    (log,) = tmp_path.glob("*/log.txt")
    assert f"  Stopped by an error: {reason}" in log.read_text().splitlines()[-1]


def test_a_disk_that_fills_up_leaves_the_states_before_intact(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / whole.name
    first = train("--data", data, "--outdir", tmp_path, *OPTIONS, "--total-kimg", 1)
    assert first.exit_code == 0, first.output
    before = {path: path.read_bytes() for path in list_states(run)}
    limit = min(map(len, before.values())) - 1000
    result = subprocess.run(
        [sys.executable, ROOT / "train.py", "--resume", run, "--total-kimg", "40"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    said = " ".join(result.stderr.split())
    assert f"Error: {run}/state-" in said and ".pt: File too large. Raise the limit" in said
    assert "Traceback" not in result.stderr
    assert said.count("File too large") == 1
    assert f"Stopped by an error: {run}/state-" in (run / "log.txt").read_text()
    assert {path: path.read_bytes() for path in list_states(run)} == before
    assert not list(run.glob(".*"))
    assert train("--resume", run, "--total-kimg", 2).exit_code == 0
    assert rows(run / "stats.jsonl")[-1] == rows(whole / "stats.jsonl")[-1]


@pytest.mark.parametrize("more", [(), ("--checkpoint-minutes", 1e-9, "--tick-kimg", 30)])
def test_a_disk_that_is_full_when_a_network_is_written_costs_nothing(
    whole: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[object, ...],
) -> None:
    """Of a snapshot, and of a checkpoint between two: the second of them finds the disk full."""
    write, full = Path.write_bytes, [False]

    def write_half(path: Path, content: bytes) -> int:
        is_network = path.name.startswith(".network-snapshot-") and ".safetensors." in path.name
        if is_network and full[0]:
            write(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        full[0] |= is_network
        return write(path, content)

    run = tmp_path / whole.name
    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", write_half)
        result = train("--data", data, "--outdir", tmp_path, *OPTIONS, *more)
    said = message(result)
    (network,), (state,) = run.glob("network-snapshot-*.safetensors"), list_states(run)
    assert re.search(
        f"Error: {run}/network-snapshot-\\S+.safetensors: No space left on device. Free some space",
        said,
    )
    assert not list(run.glob(".*"))
    assert_same_moment(state, network)
    if not more:
        assert train("--resume", run).exit_code == 0
        assert_same_run(run, whole)


def test_a_damaged_newest_state_is_named_and_the_one_before_is_used(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / whole.name
    assert train("--data", data, "--outdir", tmp_path, *OPTIONS, "--total-kimg", 1).exit_code == 0
    newest = list_states(run)[-1]
    content = bytearray(newest.read_bytes())
    content[content.index(torch_bytes(newest))] ^= 1
    newest.write_bytes(content)
    assert f"{newest} is damaged" in message(train("--resume", newest, "--total-kimg", 2))
    result = train("--resume", run, "--total-kimg", 2)
    assert result.exit_code == 0, result.output
    log = (run / "log.txt").read_text()
    assert f"{newest} is damaged: its checksum differs from its content. Resuming from" in log
    assert f"It was renamed to {newest.name}.damaged." in log
    assert rows(run / "stats.jsonl")[-1] == rows(whole / "stats.jsonl")[-1]


def test_damaged_lines_of_numbers_are_named_at_resume(data: Path, tmp_path: Path) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.5)
    path = run / "stats.jsonl"
    whole = path.read_text()
    path.write_text(whole.replace("{", "{{", 1))
    result = train("--resume", run, "--total-kimg", 1)
    assert result.exit_code == 0, result.output
    assert "Line 1 of stats.jsonl was damaged and is removed (1 of 2).\n" in result.output
    assert [row["progress/tick"] for row in rows(path)] == [2, 3, 4]


@pytest.mark.parametrize(
    ("remove", "left"),
    [
        (("state-*",), "(network-snapshot-000000_768.safetensors, stats.jsonl)"),
        (("state-*", "stats.jsonl"), "(network-snapshot-000000_768.safetensors)"),
        (("state-*", "network-*"), "(stats.jsonl)"),
    ],
)
def test_a_run_whose_states_were_deleted_is_refused(
    data: Path, tmp_path: Path, remove: tuple[str, ...], left: str
) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.75)
    for pattern in remove:
        for path in run.glob(pattern):
            path.unlink()
    before = contents(run)
    said = message(train("--resume", run))
    assert f"{run} has no training state (state-<kimg>.pt), but was trained to kimg 0.768" in said
    assert left in said and "or delete the directory to start again." in said
    assert ("--init-from" in said) == ("network-*" not in remove)
    assert contents(run) == before


def test_a_run_that_was_killed_while_it_wrote_its_first_state_begins_again(
    data: Path, tmp_path: Path
) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.25)
    list_states(run)[0].rename(run / f".{list_states(run)[0].name}.0.partial")
    result = train("--resume", run)
    assert result.exit_code == 0, result.output
    assert "No training state was saved yet: starting from the beginning." in result.output


# Ends the process instead of calling a function: sys.argv[1] is its module, sys.argv[2] its name.
KILLED_AT = (
    "import importlib, os, sys\n"
    "module, name = sys.argv.pop(1), sys.argv.pop(1)\n"
    "setattr(importlib.import_module(module), name, lambda *_: os._exit(9))\n"
    "from progan.cli.train import main\nmain()"
)
FIRST_STATE = "progan.training.checkpoint_writer", "write_state_and_delete_oldest"
FIRST_STEP = "progan.training.in_process", "prepare_execution"


def kill_at(place: tuple[str, str], *words: object) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, *place, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == 9, killed.stderr


@pytest.mark.parametrize("again", [(), (FIRST_STEP,), (FIRST_STEP, FIRST_STATE, FIRST_STEP)])
def test_a_run_that_was_killed_between_its_first_network_and_state_begins_again(
    data: Path, tmp_path: Path, again: tuple[tuple[str, str], ...]
) -> None:
    kill_at(FIRST_STATE, "--data", data, "--outdir", tmp_path / "runs", *OPTIONS)
    (run,) = (tmp_path / "runs").iterdir()
    for place in again:
        kill_at(place, "--resume", run)
    assert list(run.glob("network-*.safetensors")) and not list_states(run)
    result = train("--resume", run, "--total-kimg", 0.25)
    assert result.exit_code == 0, result.output
    assert "No training state was saved yet: starting from the beginning." in result.output
    assert list_states(run) and contents(run).keys() == {
        path for path in contents(run) if not path.name.startswith(".")
    }


def contents(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (None, "stats.jsonl is missing: curves and report begin at kimg 0.512."),
        (0, "stats.jsonl is empty: curves and report begin at kimg 0.512."),
        (
            1,
            "stats.jsonl has 1 of the 2 ticks before kimg 0.512: the others are missing from "
            "curves and report.",
        ),
        (2, ""),
    ],
)
def test_numbers_that_are_missing_are_told_at_resume(
    data: Path, tmp_path: Path, kept: int | None, said: str
) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.5)
    path = run / "stats.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    assert len(lines) == 2
    path.unlink()
    if kept is not None:
        path.write_text("".join(lines[len(lines) - kept :]))
    result = train("--resume", run, "--total-kimg", 0.75)
    assert result.exit_code == 0, result.output
    assert said in result.output
    assert ("stats.jsonl" in result.output) == bool(said)


def torch_bytes(path: Path) -> bytes:
    weight = torch.load(path, weights_only=True)["average"]["to_rgb.16x16.weight"]
    content: bytes = weight.numpy().tobytes()
    return content


def test_two_trainings_in_one_directory_are_one_too_many(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    run = tmp_path / whole.name
    with process_of("--data", data, "--outdir", tmp_path, *OPTIONS) as process:
        assert next(lines_of(process)).startswith("progan")
        text = message(train("--resume", run))
        assert f"{run} is being trained by process {process.pid} on" in text
        assert f"kill {process.pid}" in text
        process.kill()
        process.wait()
    assert (run / ".lock").exists()
    assert train("--resume", run).exit_code == 0
    assert_same_run(run, whole)


def test_what_was_measured_no_more_is_measured_when_the_run_goes_on(
    data: Path, tmp_path: Path
) -> None:
    """Even if nothing is left to train."""
    run = finished(data, tmp_path, *METRICS, "--total-kimg", 0.5)
    path = run / "metric-swd16.jsonl"
    before = rows(path)
    assert len(before) == 2
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    result = train("--resume", run)
    assert result.exit_code == 0, result.output
    assert rows(path) == before
    assert "is finished" in message(train("--resume", run))


class Crash(BaseException):
    """What no code expects, as SIGKILL."""


def crash(*_: object) -> None:
    raise Crash


def test_a_crash_before_the_best_state_is_kept_is_made_up_for(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--data", data, "--outdir", tmp_path, *OPTIONS, *METRICS, "--total-kimg", 0.25]
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(CheckpointWriter, "keep_best", crash)
        train(*words)
    run = tmp_path / "00000-noise-demo"
    assert not (run / "metric-swd16.jsonl").exists()
    result = train("--resume", run)
    assert result.exit_code == 0, result.output
    assert len(rows(run / "metric-swd16.jsonl")) == 1
    assert (run / "state-best-swd16.pt").read_bytes() == list_states(run)[-1].read_bytes()


def test_a_crash_while_a_run_is_created_leaves_no_directory_without_settings(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(Crash):
        patched.setattr(run_directory, "save_config", crash)
        train("--data", data, "--outdir", tmp_path, *OPTIONS)
    assert not list(tmp_path.iterdir())
    assert "No run in" in message(train("--outdir", tmp_path, "--resume"))


def test_an_edited_config_is_explained_and_a_broken_one_refused(
    whole: Path, data: Path, tmp_path: Path
) -> None:
    run = finished(data, tmp_path, "--total-kimg", 0.5)
    path, newest = run / "config.json", list_states(run)[-1]
    text = path.read_text()
    path.write_text(text.replace('"total_kimg": 0.5', '"total_kimg": 0.7'))
    result = train("--resume", run)
    assert result.exit_code == 0, result.output
    assert (
        f"config.json differs from the settings of {newest.name}: total_kimg: 0.5 -> 0.7. "
        "It applies from here on."
    ) in (run / "log.txt").read_text()
    for broken, said in (
        (text[:-30], f"{path} is damaged"),
        (
            text.replace('"batch": 64', '"batch": "x"'),
            f"{path} cannot be used: --batch cannot be 'x'",
        ),
        (text.replace('"fmap_max": 4', '"fmap_max": 5'), "fmap_max: 4 -> 5. Take that back"),
    ):
        path.write_text(broken)
        assert said in message(train("--resume", run, "--total-kimg", 2))
    path.unlink()
    assert "is not the directory of a run" in message(train("--resume", newest))
