"""The session on a GPU, rehearsed on the CPU, and its page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from benchmarks import gpu, gpu_report
from benchmarks.gpu_training import affordable_kimg, estimate_seconds, scale_to_kimg
from benchmarks.isolated import append_line, read_lines
from progan import presets, schedule
from progan.config import override

ROOT = Path(__file__).resolve().parents[2]
PEER = """
class ProgressiveGAN:
    def __init__(self, **settings): print("stands for the checkout of another project")
    def addScale(self, feature_maps): pass
    def optimizeParameters(self, reals): assert reals.shape[1:] == (3, 8, 8)
"""


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every part, with so much time that none runs out of it."""
    folder = tmp_path_factory.mktemp("gpu")
    output, peer = folder / "results", folder / "pytorch_GAN_zoo"
    (peer / "models").mkdir(parents=True)
    (peer / "models/progressive_gan.py").write_text(PEER)
    finished = subprocess.run(
        [
            sys.executable, str(ROOT / "benchmarks/gpu.py"), "--device", "cpu", "--minutes", "15",
            "--output", str(output), "--peer", str(peer),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return output


def test_every_part_is_rehearsed(rehearsal: Path) -> None:
    lines = read_lines(rehearsal / "results.jsonl")
    ended = {
        (line["part"], line["task"]): (line["event"], line.get("message"))
        for line in lines
        if line["event"] in ("finished", "failed", "crashed", "timed out")
    }
    expected = {
        (part.name, task.name)
        for part in gpu.plan("cpu", rehearsal, [Path()])
        for task in part.tasks
    }
    assert ended == {key: ("finished", None) for key in expected}


def test_what_is_right_is_right_in_the_rehearsal(rehearsal: Path) -> None:
    found = {
        (line["task"], line["name"]): line["ok"]
        for line in read_lines(rehearsal / "results.jsonl")
        if "ok" in line
    }
    assert found == {
        **{
            (f"float64 {each}", name): True
            for each, name in (
                (4, "bf16"),
                (4, "fp32"),
                (8, "bf16"),
                (8, "fp32"),
                (8, "bf16 fading"),
                (8, "fp32 fading"),
            )
        },
        ("graph", "graph 4"): True,
        ("graph", "graph 8"): True,
        ("resume", "resume"): True,
        ("batches", "side stream"): True,
        ("batches", "device memory"): True,
        ("tests", "tests"): True,
    }


def test_the_training_leaves_images_and_a_network(rehearsal: Path) -> None:
    names = {path.name.split("-")[0].split(".")[0] for path in (rehearsal / "training").iterdir()}
    assert names == {"grid", "fakes", "reals", "network", "stats", "log"}
    assert len(list(rehearsal.rglob("*"))) < 10  # few files, to be carried home


def test_the_page_is_made_of_the_lines(rehearsal: Path) -> None:
    found = CliRunner().invoke(gpu.main, ["--report", str(rehearsal)], catch_exceptions=False)
    assert found.exit_code == 0 and found.output.startswith("# cpu (")
    for title in (
        "Correctness",
        "Steps",
        "Compilation",
        "A whole training",
        "Other projects",
        "Data and images",
        "A training of portraits",
    ):
        assert f"\n## {title}\n" in found.output
    assert "**no**" not in found.output and "Failed and missing" not in found.output
    assert "| 8 | pytorch_GAN_zoo | 4 |" in found.output
    assert "| 8 | eager-bf16 | 4 |" in found.output and "\n| eager-bf16 | " in found.output
    assert (rehearsal / "results.md").read_text() == found.output[:-1]


def test_a_second_call_has_nothing_to_do(rehearsal: Path) -> None:
    before = len(read_lines(rehearsal / "results.jsonl"))
    found = CliRunner().invoke(
        gpu.main, ["--device", "cpu", "--output", str(rehearsal)], catch_exceptions=False
    )
    assert found.exit_code == 0
    (line,) = read_lines(rehearsal / "results.jsonl")[before:]
    assert line["event"] == "call"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_nothing_is_measured(tmp_path: Path) -> None:
    finished = subprocess.run(
        [sys.executable, ROOT / "benchmarks/gpu.py", "--parts", "machine", "--output", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 1 and "Nothing could be measured" in finished.stderr
    assert "This machine has no cuda device" in finished.stdout
    (line,) = [line for line in read_lines(tmp_path / "results.jsonl") if line["event"] == "failed"]
    assert "Traceback" not in line["message"]


def test_results_of_two_devices_are_not_mixed(tmp_path: Path) -> None:
    append_line(
        tmp_path / "results.jsonl",
        {"event": "call", "part": "", "task": "", "device": "cuda", "command": "x"},
    )
    found = CliRunner().invoke(gpu.main, ["--device", "cpu", "--output", str(tmp_path)])
    assert found.exit_code == 1 and "has results of --device cuda" in found.output


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--parts", "speed"], "--parts speed: no such part: 'speed'. Parts: machine, correctness"),
        (["--skip", "machine,x"], "--skip machine,x: no such part: 'x'"),
        (["--parts", "peers"], "peers has nothing to measure; name checkouts with --peer"),
        (["--parts", "machine"], "Name a folder for the results with --output"),
        (["--report", "absent"], "absent has no results of benchmarks/gpu.py"),
    ],
)
def test_what_cannot_be_done_is_refused(arguments: list[str], words: str) -> None:
    found = CliRunner().invoke(gpu.main, ["--device", "cpu", *arguments])
    assert found.exit_code == 1 and words in found.output


def test_nine_minutes_are_planned_in_order(tmp_path: Path) -> None:
    parts = gpu.plan("cuda", tmp_path, [tmp_path])
    planned = [part for part in parts if not part.name.startswith("other")]
    assert sum(part.seconds for part in planned) == 540
    assert [part.name for part in planned[:4]] == ["machine", "correctness", "steps", "compilation"]
    assert sorted(int(task.name) for task in planned[2].tasks[:9]) == [1 << n for n in range(2, 11)]
    words = gpu.format_plan(gpu.select(parts, "steps,machine", "machine"), 9)
    assert words.startswith("  0.0 min   540 s  steps: 1024, 256, 64")


def test_a_schedule_fits_the_time() -> None:
    run = override(presets.preset("demo"), {"resolution": 64})
    speeds = {4: 4000.0, 8: 3000.0, 16: 2000.0, 32: 1000.0, 64: 500.0}
    kimg = affordable_kimg(run, speeds, 60)
    assert 54 < estimate_seconds(run, kimg, speeds) <= 60
    phases = list(schedule.iterate_phases(scale_to_kimg(run, kimg).growth, run.network))
    assert phases[-1].stage.resolution == 64 and not phases[-1].stage.fading


def test_a_schedule_too_long_for_the_time_trains_every_resolution_all_the_same() -> None:
    run = presets.preset("demo")
    kimg = affordable_kimg(run, {4: 1.0, 8: 1.0, 16: 1.0, 32: 1.0}, 0.001)
    assert 0 < kimg < 1 and {
        phase.stage.resolution
        for phase in schedule.iterate_phases(scale_to_kimg(run, kimg).growth, run.network)
    } == {4, 8, 16, 32}


def test_a_projection_is_the_sum_of_its_phases() -> None:
    run = presets.preset("v2-1gpu")
    speeds = {1 << level: 1000.0 / level for level in range(2, 11)}
    expected = {4: 600 * 2, **{1 << level: 1200 * level for level in range(3, 10)}, 1024: 3000 * 10}
    assert gpu_report.seconds_by_resolution(run, speeds) == pytest.approx(expected)
    assert gpu_report.growing_seconds(run, speeds) == pytest.approx(sum(expected.values()))
    assert gpu_report.whole_seconds(run, speeds) == 12000 * 10


def test_what_failed_is_on_the_page(tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    append_line(
        results,
        {
            "event": "call",
            "part": "",
            "task": "",
            "device": "cpu",
            "command": "python benchmarks/gpu.py",
        },
    )
    key = {"part": "steps", "task": "8"}
    append_line(
        results,
        key | {"event": "measured", "name": "eager-bf16", "resolution": 8, "out_of_memory": True},
    )
    append_line(results, key | {"event": "crashed", "message": "exit code 7. a | b"})
    append_line(
        results,
        {
            "part": "correctness", "task": "graph", "event": "measured", "name": "graph 8",
            "error": 0.5, "limit": 1e-5, "ok": False,
        },
    )  # fmt: skip
    page = gpu_report.write_report(tmp_path)
    assert "| steps | 8 | crashed | exit code 7. a \\| b |" in page
    assert "| steps | 4 | not measured |  |" in page
    assert "| 8 | eager-bf16 | out of memory |" in page
    assert "| graph | graph 8 | **no** | 5.0e-01 (error) | 1e-05 |" in page
    assert json.loads(results.read_text().splitlines()[-1])


@pytest.mark.parametrize(
    "images_per_second, words",
    [
        (400.0, "8.3 hours; the aim of 10 is reached"),
        (300.0, "11.1 hours; the aim of 10 is missed"),
    ],
)
def test_the_aim_is_held_against_the_fastest_ways(
    tmp_path: Path, images_per_second: float, words: str
) -> None:
    results = tmp_path / "results.jsonl"
    append_line(
        results,
        {
            "event": "call",
            "part": "",
            "task": "",
            "device": "cuda",
            "command": "python benchmarks/gpu.py",
        },
    )
    for level in range(2, 11):
        for way, speed in (("eager-bf16", 10.0), ("eager-graph-bf16", images_per_second)):
            append_line(
                results,
                {
                    "event": "measured", "part": "steps", "task": str(1 << level), "name": way,
                    "resolution": 1 << level, "batch": 4, "seconds": [0.1, 0.1],
                    "peak_bytes": 2**30, "images_per_second": speed,
                },
            )  # fmt: skip
    page = gpu_report.write_report(tmp_path)
    assert f"v2-1gpu, 12000 kimg: {words}." in page
    assert "1024: 'eager-graph'" in page and "1024: bf16" in page
