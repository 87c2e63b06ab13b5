"""python -m progan.diagnosis, and what train.py says of a training's status."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from progan import presets, run_directory
from progan.cli.train import main as train
from progan.config import override
from progan.diagnosis.cli import FAILING, main
from progan.diagnosis.diagnose import SYMPTOMS
from progan.diagnosis.history import History
from progan.report.cli import main as report
from tests.builders import message, noise_dataset, tiny_options
from tests.diagnosis.synthetic import after, history, steps

ROOT = Path(__file__).resolve().parents[2]


def diagnosis(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def labelled(output: str) -> dict[str, str]:
    """What the lines of the output say that begin with a label."""
    return {line[2:16].strip(): line[18:] for line in output.splitlines() if line[:2] == "  "}


def run_of(outdir: Path, made: History) -> Path:
    """The directory of a run with that history."""
    run = override(presets.preset("mnist-8"), {"data": "x", "resolution": 32})
    directory = run_directory.create_run(outdir, "digits", run)
    lines = (json.dumps(dict(row)) + "\n" for row in made.rows)
    (directory / run_directory.STATISTICS_FILE).write_text("".join(lines))
    return directory


def test_a_run_without_findings_says_what_was_looked_at(tmp_path: Path) -> None:
    result = diagnosis(run_of(tmp_path, history(steps(320))))
    assert result.exit_code == 0
    assert "Status at kimg 20.5: ok (9 checks found nothing wrong)." in result.output
    words = labelled(result.output)
    assert words["checked"].startswith("non-finite, convergence failure, mode collapse")
    assert "on the curves of kimg 6.1 to 20.5" in words["checked"]
    assert words["not checked"] == (
        "diverging D (the scores of gan do not show it), fade-in shock (no fade now)"
    )
    assert "whether the samples are good" in words["not visible"]
    assert "early" not in words and "healthy" not in result.output


def test_checks_that_the_curves_do_not_allow_are_named(tmp_path: Path) -> None:
    made = [
        {
            name: value
            for name, value in step.items()
            if not name.startswith(("overfitting", "diversity"))
        }
        for step in steps(320)
    ]
    words = labelled(diagnosis(run_of(tmp_path, history(made))).output)
    assert "mode collapse (no diversity/nearest in the statistics)" in words["not checked"]
    assert "overfitting D (no held-out images)" in words["not checked"]
    assert "mode collapse" not in words["checked"]


def test_a_run_without_the_statistics_of_any_check_is_not_ok(tmp_path: Path) -> None:
    made = [{"schedule/resolution": 32.0} for _ in range(320)]
    result = diagnosis(run_of(tmp_path, history(made)))
    assert result.exit_code == 0
    assert "Status at kimg 20.5: not checked (statistics are missing)." in result.output


def test_too_early_to_tell_says_when_it_will_be_told(tmp_path: Path) -> None:
    result = diagnosis(run_of(tmp_path, history(steps(80))))
    assert (
        "Status at kimg 5.1: too early to tell (80 iterations so far, of which the checks "
        "need 144)."
    ) in result.output
    assert "checked" not in labelled(result.output)


def test_ok_of_few_images_or_a_low_resolution_is_ok_so_far(tmp_path: Path) -> None:
    few = diagnosis(run_of(tmp_path, history(steps(320), batch=8)))
    assert "Status at kimg 2.6: ok so far (" in few.output
    assert labelled(few.output)["early"].startswith("only 2.6 kimg of images were shown;")
    low = diagnosis(run_of(tmp_path, history(steps(320, schedule__resolution=lambda n: 4.0))))
    assert "Status at kimg 20.5: ok so far (" in low.output
    assert labelled(low.output)["early"].startswith("the networks are at resolution 4 of 32;")


def test_a_failing_run_with_its_picture(tmp_path: Path) -> None:
    run_of(tmp_path, history(steps(320, diversity__nearest=after(160, 0.1, 0.9))))
    result = diagnosis(tmp_path, "--plot", tmp_path / "curves.png")  # the newest of the directory
    assert result.exit_code == FAILING == 3
    assert "failing: mode collapse, since kimg 10.2" in result.output
    assert "evidence" in result.output and "what to change" in result.output
    assert Image.open(tmp_path / "curves.png").width > 800


def test_a_warning_is_no_failure(tmp_path: Path) -> None:
    result = diagnosis(
        run_of(tmp_path, history(steps(320, speed__data_wait_percent=lambda n: 40.0)))
    )
    assert result.exit_code == 0 and "warning: data starvation, since kimg 0.0" in result.output


@pytest.mark.parametrize("iterations", [0, 320])
def test_a_run_that_its_guard_stopped_is_failing(tmp_path: Path, iterations: int) -> None:
    directory = run_of(tmp_path, history(steps(iterations)))
    for number, images_seen, what in (
        (1, 64, "not finite: scores/real"),
        (2, 21000, "not finite: loss"),
    ):
        (directory / f"rollback-{number:02d}.json").write_text(
            json.dumps({"images_seen": images_seen, "what": what})
        )
    (directory / "rollback-03.json").write_text("garbage")
    result = diagnosis(directory)
    assert result.exit_code == FAILING
    assert "Status at kimg 21.0: failing: non-finite" in result.output
    assert "not finite: loss (more in rollback-02.json)" in result.output


def test_what_the_guard_mended_is_no_finding(tmp_path: Path) -> None:
    directory = run_of(tmp_path, history(steps(320)))
    (directory / "rollback-01.json").write_text('{"images_seen": 20000, "what": "not finite: x"}')
    assert diagnosis(directory).exit_code == 0


def test_what_a_resume_undid_is_no_finding(tmp_path: Path) -> None:
    directory = run_of(tmp_path, history(steps(320)))
    evidence = directory / "rollback-01.json"
    evidence.write_text('{"images_seen": 21000, "what": "not finite: loss"}')
    assert diagnosis(directory).exit_code == FAILING
    earlier = (directory / run_directory.CONFIG_FILE).stat().st_mtime_ns - 1
    os.utime(evidence, ns=(earlier, earlier))
    assert diagnosis(directory).exit_code == 0


def test_rollbacks_are_counted(tmp_path: Path) -> None:
    made = history(steps(320, progress__rollbacks=lambda n: float(n >= 100) + float(n >= 200)), 4)
    assert "Rollbacks: 2, before kimg 6.7 and 13.1" in diagnosis(run_of(tmp_path, made)).output


def test_mistakes_are_one_message(tmp_path: Path) -> None:
    assert "No such file" in message(diagnosis(tmp_path / "nothing"))
    directory = run_of(tmp_path, history(steps(320)))
    assert "no such folder" in message(diagnosis(directory, "--plot", tmp_path / "no" / "x.png"))
    assert "x.pdf must end in .png" in message(diagnosis(directory, "--plot", tmp_path / "x.pdf"))
    (directory / "stats.jsonl").write_text("{}\n")
    assert "line 1" in message(diagnosis(directory))
    (directory / "stats.jsonl").unlink()
    assert "no statistics yet" in message(diagnosis(directory))


@pytest.mark.parametrize("name", ["a$b$", b"b\xff", "c_{"])
def test_a_run_may_have_any_name(tmp_path: Path, name: str | bytes) -> None:
    """Of its picture and of its report, too."""
    directory = run_of(tmp_path, history(steps(320)))
    try:
        directory = directory.rename(tmp_path / os.fsdecode(name))
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert diagnosis(directory, "--plot", tmp_path / "x.png").exit_code == 0
    assert CliRunner().invoke(report, [str(directory)], catch_exceptions=False).exit_code == 0


def test_it_needs_no_torch(tmp_path: Path) -> None:
    directory = run_of(tmp_path, history(steps(320)))
    code = (
        "import sys; from progan.diagnosis.cli import main; "
        f"main([{str(directory)!r}], standalone_mode=False); "
        "print([name for name in ('torch', 'matplotlib', 'numpy') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose generator cannot move: all of its pictures stay alike."""
    folder = tmp_path_factory.mktemp("trained")
    data = noise_dataset(folder / "noise").path
    result = CliRunner().invoke(
        train,
        [
            "--data", str(data), "--outdir", str(folder / "runs"), "--preset", "demo",
            *tiny_options(
                batch=8,
                total_kimg=1.6,
                tick_kimg=0.4,
                training_kimg=10.0,
                latent_size=1,
                g_lr=1e-9,
                d_lr=1e-9,
            ),
        ],
        catch_exceptions=False,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return folder / "runs" / "00000-noise-demo"


def test_a_training_says_how_it_is(trained: Path) -> None:
    log = (trained / "log.txt").read_text()
    ticks = [line for line in log.splitlines() if "  tick " in line]
    assert ticks[0].endswith("too early to tell")
    assert ticks[-1].endswith("FAILING: mode collapse since kimg 0.0")
    assert log.count("Diagnosis: failing: mode collapse since kimg 0.0: nearest") == 1
    assert "(Curves: python -m progan.diagnosis " in log


def test_tensorboard_has_a_curve_for_each_symptom_and_the_words(trained: Path) -> None:
    events = EventAccumulator(str(trained))
    events.Reload()
    names = {f"diagnosis/{symptom.name.replace(' ', '-')}" for symptom in SYMPTOMS}
    assert names <= set(events.Tags()["scalars"])
    assert [event.value for event in events.Scalars("diagnosis/mode-collapse")][-1] == 1
    assert any("diagnosis" in tag for tag in events.Tags()["tensors"])


def test_a_resumed_training_remembers_what_it_has_seen(trained: Path, tmp_path: Path) -> None:
    """Nothing is told twice, and the status is that of the whole history."""
    run = tmp_path / trained.name
    shutil.copytree(trained, run)
    result = CliRunner().invoke(
        train, ["--resume", str(run), "--total-kimg", "2"], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    assert "FAILING: mode collapse since kimg 0.0" in result.output
    assert "mode collapse since kimg 0.0: nearest" not in result.output


def test_a_directory_that_is_not_utf_8_trains_without_tensorboard(tmp_path: Path) -> None:
    data, outdir = (tmp_path / os.fsdecode(name) for name in (b"data-\xff", b"runs-\xff"))
    try:
        outdir.mkdir()
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    noise_dataset(data, resolution=8)
    result = CliRunner().invoke(
        train,
        ["--data", str(data), "--outdir", str(outdir), *tiny_options(resolution=8, total_kimg=0.1)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    assert result.output.count("TensorBoard gets no curves") == 1
    assert list(outdir.glob("*/network-snapshot-*.safetensors"))
