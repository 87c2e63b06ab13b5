"""train.py as its users know it: start, resume, mistakes."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from progan.cli.generate import main as generate
from progan.cli.train import main
from progan.run_directory import list_states
from tests.builders import message, noise_dataset, tiny_options

ROOT = Path(__file__).resolve().parents[2]


def train(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def weights(state: Path) -> dict[str, torch.Tensor]:
    """All tensors of a state, by name."""
    content = torch.load(state, weights_only=True)
    tensors = {
        f"{part}.{name}": tensor
        for part in ("generator", "discriminator", "average")
        for name, tensor in content[part].items()
    }
    for part in ("g_optimizer", "d_optimizer"):
        for number, moments in content[part]["state"].items():
            tensors |= {f"{part}.{number}.{name}": value for name, value in moments.items()}
    return tensors


def assert_same_state(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def statistics(run: Path) -> list[dict[str, float]]:
    lines = (run / "stats.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    machine = ("speed/", "memory/", "progress/hours")
    return [
        {name: value for name, value in row.items() if not name.startswith(machine)} for row in rows
    ]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise", classes=3).path


LAZY = {"penalty_interval": 3}  # no tick and no phase is a multiple of three steps


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, with lazy penalties; it keeps the state of each tick."""
    outdir = tmp_path_factory.mktemp("whole")
    options = ["--preset", "demo", "--mirror", *tiny_options(**LAZY)]
    result = train("--data", data, "--outdir", outdir, *options)
    assert result.exit_code == 0, result.output
    return outdir / "00000-noise-demo"


def test_a_run_leaves_everything_that_the_contract_names(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    assert {
        "config.json",
        "log.txt",
        "stats.jsonl",
        "reals.png",
        "fakes-init.png",
        "fakes-000007.png",
        "network-snapshot-000007.safetensors",
        "network-snapshot-000007.md",
        "state-000007.pt",
    } <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert not [name for name in names if name.endswith(".partial")]


def test_the_statistics_cover_all_that_is_watched(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "stats.jsonl").read_text().splitlines()]
    assert [row["progress/tick"] for row in rows] == list(range(1, len(rows) + 1))
    assert set(rows[-1]) >= {
        "loss/critic",
        "loss/generator",
        "loss/penalty",
        "scores/real",
        "scores/fake",
        "gradient/norm",
        "schedule/lod",
        "schedule/alpha",
        "learning-rate/generator",
        "learning-rate/critic",
        "speed/images-per-second",
        "speed/data-wait-percent",
        "memory/peak-gib",
    }
    assert {row["schedule/resolution"] for row in rows} == {4, 8, 16}
    assert any(0 < row["schedule/alpha"] < 1 for row in rows)


@pytest.mark.parametrize("kimg", [2, 4])
def test_a_resumed_run_ends_in_the_very_same_state(whole: Path, tmp_path: Path, kimg: int) -> None:
    """Cut a copy of the run back to an early state, and continue it. 2 is inside a fade."""
    run = crashed_copy(whole, tmp_path, kimg)
    result = train("--resume", "--outdir", tmp_path)
    assert result.exit_code == 0, result.output
    assert_same_state(list_states(run)[-1], list_states(whole)[-1])
    assert statistics(run) == statistics(whole)


def test_a_run_from_before_gp_resolution_resumes_exactly_as_it_began(
    data: Path, tmp_path: Path
) -> None:
    """Its config.json has no such setting; it took gradients at the trained resolution."""
    result = train(
        "--data", data, "--outdir", tmp_path / "whole", "--preset", "demo",
        *tiny_options(total_kimg=2.5), "--gp-resolution", "trained",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    whole = tmp_path / "whole" / "00000-noise-demo"
    run = crashed_copy(whole, tmp_path / "old", 1)
    config = json.loads((run / "config.json").read_text())
    assert config["loss"].pop("gp_resolution") == "trained"
    (run / "config.json").write_text(json.dumps(config))
    result = train("--resume", run)
    assert result.exit_code == 0, result.output
    assert_same_state(list_states(run)[-1], list_states(whole)[-1])
    assert statistics(run) == statistics(whole)
    config = json.loads((run / "config.json").read_text())
    assert config["loss"]["gp_resolution"] == "trained"


def test_images_that_stay_on_the_device_change_nothing(whole: Path, tmp_path: Path) -> None:
    run = crashed_copy(whole, tmp_path, 2)
    result = train("--resume", run, "--device-data-gib", 0.5)
    assert result.exit_code == 0, result.output
    for size in ("8x8", "16x16"):
        assert result.output.count(f"40 images of {size} stay in the device's memory") == 1
    assert_same_state(list_states(run)[-1], list_states(whole)[-1])
    assert statistics(run) == statistics(whole)


def crashed_copy(whole: Path, outdir: Path, kimg: int) -> Path:
    """Copy a run and take away all states after `kimg`; the curves stay longer than the states."""
    run = outdir / whole.name
    shutil.copytree(whole, run)
    for state in list_states(run):
        if int(state.stem.removeprefix("state-")) > kimg:
            state.unlink()
    assert 1 <= len(list_states(run)) < len(list_states(whole))
    return run


def test_a_directory_of_runs_stands_for_its_newest(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / whole.name)
    result = train("--resume", tmp_path, "--dry-run")
    assert result.exit_code == 0, result.output


def test_resume_can_go_on_beyond_the_old_end(whole: Path, tmp_path: Path) -> None:
    run = tmp_path / whole.name
    shutil.copytree(whole, run)
    assert train("--resume", run, "--total-kimg", 8.5).exit_code == 0
    assert json.loads((run / "config.json").read_text())["growth"]["total_kimg"] == 8.5
    assert "Changed: total_kimg: 7.5 -> 8.5" in (run / "log.txt").read_text()
    assert statistics(run)[-1]["progress/kimg"] >= 8.5


def test_exchanged_images_are_told(tmp_path: Path) -> None:
    data = noise_dataset(tmp_path / "noise", count=16).path
    outdir = tmp_path / "runs"
    options = tiny_options(total_kimg=0.2)
    first = train("--data", data, "--outdir", outdir, "--preset", "demo", *options)
    assert first.exit_code == 0, first.output
    shutil.rmtree(data)
    noise_dataset(data, count=24)
    result = train("--resume", "--outdir", outdir, "--total-kimg", 0.4)
    assert result.exit_code == 0
    assert f"The images of {data} are not those that the run was trained with" in result.output
    assert "Changed: total_kimg: 0.2 -> 0.4.\n" in result.output


def test_a_preset_for_larger_images_begins_where_the_dataset_ends(data: Path) -> None:
    smaller = train("--data", data, "--preset", "table1-a", "--dry-run")
    assert smaller.exit_code == 0 and "16x16 to 16x16" in smaller.output
    asked = train("--data", data, "--preset", "table1-a", "--initial-resolution", 64, "--dry-run")
    assert "--initial-resolution 64 is larger than the final resolution 16" in message(asked)


def test_bare_resume_takes_the_newest_run(whole: Path, tmp_path: Path) -> None:
    for name in ("00000-noise-demo", "00007-noise-demo", "00003-noise-demo"):
        shutil.copytree(whole, tmp_path / name)
    text = message(train("--resume", "--outdir", tmp_path))
    assert f"{tmp_path / '00007-noise-demo'} is finished" in text and "--total-kimg" in text


def test_an_outdir_beside_a_named_run_is_refused(whole: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({"outdir": "elsewhere"}))
    for words in (("--outdir", "elsewhere"), ("--config", file)):
        text = message(train("--resume", whole, *words))
        assert f"--resume {whole} continues that run in its own directory" in text
        assert "omit --outdir elsewhere, or omit the name" in text


def test_the_command_to_resume_has_what_a_file_set(data: Path, tmp_path: Path) -> None:
    file, values = tmp_path / "run.json", {"device": "cpu", "max_hours": 1e-9}
    file.write_text(json.dumps(values))
    options = tiny_options(total_kimg=0.1)
    stopped = train("--config", file, "--data", data, "--outdir", tmp_path, *options)
    run = tmp_path / "00000-noise-v2-1gpu"
    assert f"--resume {run} --device cpu --max-hours 1e-09" in stopped.output


def test_runs_are_numbered(data: Path, tmp_path: Path) -> None:
    (tmp_path / "00041-other-thing").mkdir()
    (tmp_path / "00041-other-thing" / "log.txt").touch()
    result = train("--data", data, "--outdir", tmp_path, *tiny_options(total_kimg=0.1))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "00042-noise-v2-1gpu" / "config.json").is_file()


def test_with_labels(data: Path, tmp_path: Path) -> None:
    words = ["--data", data, "--outdir", tmp_path, "--conditional", *tiny_options(total_kimg=0.1)]
    assert train(*words).exit_code == 0
    (run,) = tmp_path.iterdir()
    assert json.loads((run / "config.json").read_text())["network"]["label_size"] == 3
    assert statistics(run)[-1]["loss/label-critic"] > 0
    assert "built for 3 classes: --no-conditional needs a new run" in message(
        train("--resume", run, "--no-conditional", "--total-kimg", 0.2)
    )
    other = noise_dataset(tmp_path / "other", classes=3)
    text = (other.path / "dataset.json").read_text()
    (other.path / "dataset.json").write_text(
        text.replace("class-0", "x").replace("class-1", "class-0").replace('"x"', '"class-1"')
    )
    said = message(train("--resume", run, "--data", other.path, "--total-kimg", 0.2))
    assert "class 0 was 'class-0' and is 'class-1'; class 1 was 'class-1' and is 'class-0'" in said


@pytest.mark.parametrize("subset", ["class-1", "1"])
def test_a_subset_is_one_class(data: Path, tmp_path: Path, subset: str) -> None:
    """Of 40 images, class 1 has those from 1 to 37 in steps of 3."""
    result = train(
        "--data", data, "--outdir", tmp_path, "--subset", subset, *tiny_options(total_kimg=0.1)
    )
    assert result.exit_code == 0, result.output
    assert "noise-class-1, 13 images, 16x16x3;" in result.output
    (run,) = tmp_path.iterdir()
    assert run.name == "00000-noise-class-1-v2-1gpu"
    saved = json.loads((run / "config.json").read_text())["data"]
    assert (saved["subset"], saved["data"]) == (subset, str(data.resolve()))


def test_a_resumed_run_keeps_its_subset(data: Path, tmp_path: Path) -> None:
    assert (
        train(
            "--data",
            data,
            "--outdir",
            tmp_path,
            "--subset",
            "class-1",
            *tiny_options(total_kimg=0.1),
        ).exit_code
        == 0
    )
    result = train("--resume", "--outdir", tmp_path, "--total-kimg", 0.4)
    assert result.exit_code == 0, result.output
    assert "noise-class-1, 13 images, 16x16x3;" in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("--kind", "dcgan", "--objective", "gan", "--conditional", "--g-norm", "batch"),
        ("--kind", "autoencoder", "--objective", "began", "--output", "tanh"),
    ],
)
def test_other_kinds_and_objectives_train_resume_and_draw(
    data: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    runs = tmp_path / "runs"
    result = train(
        "--data", data, "--outdir", runs, *words, *tiny_options(total_kimg=0.3, tick_kimg=0.1)
    )
    assert result.exit_code == 0, result.output
    assert train("--resume", "--outdir", runs, "--total-kimg", 0.7).exit_code == 0
    (run,) = runs.iterdir()
    assert {row["schedule/resolution"] for row in statistics(run)} == {16}
    drawn = CliRunner().invoke(
        generate,
        ["--network", str(run), "--seeds", "0-3", "--outdir", str(tmp_path / "pictures")],
        catch_exceptions=False,
    )
    assert drawn.exit_code == 0, drawn.output
    assert len(list((tmp_path / "pictures").glob("seed*.png"))) == 4


@pytest.mark.parametrize(
    "holdout, images", [(0.0, "40 images"), (0.1, "36 images to train on and 4 held out")]
)
def test_the_log_says_how_many_images_train(holdout: float, images: str, tmp_path: Path) -> None:
    dataset = noise_dataset(tmp_path / "noise", holdout=holdout)
    result = train(
        "--data", dataset.path, "--outdir", tmp_path / "runs", *tiny_options(total_kimg=0.1)
    )
    assert result.exit_code == 0, result.output
    assert f"noise, {images}, 16x16x3;" in result.output


@pytest.mark.parametrize("channels", [1, 4])
def test_other_channels(channels: int, tmp_path: Path) -> None:
    dataset = noise_dataset(tmp_path / "noise", channels=channels)
    result = train(
        "--data", dataset.path, "--outdir", tmp_path / "runs", *tiny_options(total_kimg=0.1)
    )
    assert result.exit_code == 0, result.output
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "config.json").read_text())["network"]["channels"] == channels


def test_unused_labels_are_mentioned(data: Path, tmp_path: Path) -> None:
    result = train("--data", data, "--outdir", tmp_path, *tiny_options(total_kimg=0.1))
    assert "3 classes, which are not used; --conditional does" in result.output


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path: Path) -> None:
    result = train("--preset", "v2-1gpu", "--resolution", 64, "--outdir", tmp_path, "--dry-run")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    (heading,) = [line for line in lines if "from kimg" in line]
    assert heading.split() == [
        "phase",
        "resolution",
        "from",
        "kimg",
        "to",
        "kimg",
        "batch",
        "lr",
        "G",
        "lr",
        "D",
        "GMAC/image",
        "memory",
    ]
    assert [line.split()[:5] for line in lines if "32→64" in line] == [
        ["8", "32→64", "4200", "4800", "32"]
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["dcgan", "resnet", "autoencoder"])
def test_networks_that_do_not_grow_are_planned_in_one_phase(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progan.training.plan.estimate_seconds", lambda run, device: 0.0)
    result = train("--preset", "cifar10", "--kind", kind, "--d-norm", "batch", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "32x32 to 32x32, 3 channels" in result.output
    phases = [line.split() for line in result.output.splitlines() if re.match(r" +\d+  ", line)]
    assert [phase[:4] for phase in phases] == [["1", "32", "0", "6600"]]


def test_the_first_resolution_may_be_above_that_of_the_preset(tmp_path: Path) -> None:
    """The preset `demo` is for 32x32."""
    data = noise_dataset(tmp_path / "data", resolution=64, count=4).path
    words = ("--data", data, "--preset", "demo", "--initial-resolution")
    assert re.search(r"1 +64 +0 +40", train(*words, 64, "--dry-run").output)
    said = message(train(*words, 128, "--dry-run"))
    assert "--initial-resolution 128 is larger than the final resolution 64" in said


def test_a_run_is_not_put_back_into_a_phase_that_it_has_behind_it(
    data: Path, tmp_path: Path
) -> None:
    words = tiny_options(total_kimg=0.9, training_kimg=0.1, transition_kimg=0.1, tick_kimg=0.3)
    result = train("--data", data, "--outdir", tmp_path, "--preset", "demo", *words)
    assert result.exit_code == 0, result.output
    resume = ("--resume", "--outdir", tmp_path, "--total-kimg", 4, "--training-kimg")
    for more in ((), ("--dry-run",)):
        said = message(train(*resume, 2, *more))
        assert "the run trains 16x16, and would go back to train 4x4: training_kimg" in said
    assert train(*resume, 0.15, "--dry-run").exit_code == 0


def test_a_batch_of_one_that_d_cannot_normalize_is_refused(data: Path, tmp_path: Path) -> None:
    words = ("--data", data, "--outdir", tmp_path / "runs", "--preset", "demo", "--batch", 4)
    said = message(train(*words, "--batch-at", "16:1", "--d-norm", "batch"))
    assert "--d-norm batch needs at least 2 images on each device, and resolution 16" in said
    assert not (tmp_path / "runs").exists()
    assert train(*words, "--batch-at", "16:1", "--dry-run").exit_code == 0


class TestMistakes:
    """Each is answered with what is wrong, where, and how to mend it."""

    def test_no_data(self) -> None:
        assert "--data DIR" in message(train("--preset", "demo"))

    def test_missing_dataset(self, tmp_path: Path) -> None:
        text = message(train("--data", tmp_path / "nothing"))
        assert str(tmp_path / "nothing") in text and "does not exist" in text

    def test_unknown_preset(self, data: Path) -> None:
        assert "Did you mean v2-2gpus?" in message(train("--data", data, "--preset", "v2-2gpu"))

    def test_option_out_of_range(self, data: Path) -> None:
        assert "--drift must be at least 0, not -1" in message(train("--data", data, "--drift", -1))

    def test_resolution_that_is_no_power_of_two(self, data: Path) -> None:
        assert "--resolution must be a power of two" in message(
            train("--data", data, "--resolution", 12)
        )

    def test_resolution_beyond_the_dataset(self, data: Path) -> None:
        text = message(train("--data", data, "--resolution", 64))
        assert "16x16" in text and str(data) in text

    def test_mistyped_option(self) -> None:
        assert "--total-kimg" in message(train("--total-kimgs", 3))

    def test_conditional_without_labels(self, tmp_path: Path) -> None:
        dataset = noise_dataset(tmp_path / "plain")
        assert "has none" in message(train("--data", dataset.path, "--conditional"))

    def test_subset_that_is_no_class(self, data: Path, tmp_path: Path) -> None:
        text = message(train("--data", data, "--subset", "cats"))
        assert "--subset cats" in text and "0 class-0, 1 class-1, 2 class-2" in text
        plain = noise_dataset(tmp_path / "plain")
        assert "has no classes" in message(train("--data", plain.path, "--subset", "0"))

    def test_resume_where_there_is_no_run(self, tmp_path: Path) -> None:
        assert "No run in" in message(train("--resume", "--outdir", tmp_path))
        missing = tmp_path / "nowhere"
        assert f"No such file or directory: {missing}" in message(train("--resume", missing))

    def test_an_empty_path(self, data: Path) -> None:
        for option in ("--data", "--outdir"):
            assert "the path is empty" in message(train("--data", data, option, ""))
        assert "empty name" in message(train("--resume", ""))

    def test_resume_with_another_architecture(self, whole: Path) -> None:
        text = message(train("--resume", whole, "--fmap-max", 4, "--g-norm", "none"))
        assert "fmap_max: 8 -> 4" in text and "g_norm: pixel -> none" in text

    def test_resume_with_a_preset(self, whole: Path) -> None:
        assert "omit --preset demo" in message(train("--resume", whole, "--preset", "demo"))

    def test_resume_where_every_state_is_damaged(self, whole: Path, tmp_path: Path) -> None:
        run = crashed_copy(whole, tmp_path, 2)
        for state in list_states(run):
            state.write_bytes(state.read_bytes()[:1000])
        text = message(train("--resume", run))
        assert all(str(state) in text for state in list_states(run)) and "start a new run" in text

    def test_resume_from_something_else(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("hello")
        text = message(train("--resume", tmp_path / "notes.txt"))
        assert "notes.txt is a text file" in text

    def test_outdir_below_a_file(self, data: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        text = message(train("--data", data, "--outdir", tmp_path / "file", *tiny_options()))
        assert str(tmp_path / "file") in text

    @pytest.mark.skipif(
        not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
    )
    def test_outdir_without_permission(self, data: Path, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        text = message(train("--data", data, "--outdir", tmp_path / "runs", *tiny_options()))
        assert "Cannot write" in text

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
    def test_a_device_that_is_not_there(self, data: Path, tmp_path: Path) -> None:
        text = message(train("--data", data, "--outdir", tmp_path, "--device", "cuda"))
        assert "--device cpu" in text
        assert not list(tmp_path.iterdir())


def test_measuring_leaves_lines_plots_and_curves_and_the_training_as_it_is(
    data: Path, whole: Path, tmp_path: Path
) -> None:
    result = train(
        "--data", data, "--outdir", tmp_path, "--preset", "demo", "--mirror",
        *tiny_options(snapshot_ticks=3, **LAZY), "--metrics", "swd16,ms_ssim", "--best", "swd",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    run = tmp_path / "00000-noise-demo"
    names = {path.name for path in run.iterdir()}
    assert {
        "metric-swd16.jsonl",
        "metric-swd16.png",
        "metric-ms-ssim.jsonl",
        "metric-ms-ssim.png",
        "network-best-swd16.safetensors",
        "network-best-swd16.md",
    } <= names
    lines = [json.loads(line) for line in (run / "metric-swd16.jsonl").read_text().splitlines()]
    snapshots = sorted(path.name for path in run.glob("network-snapshot-*.safetensors"))
    assert len(lines) == len(snapshots) >= 2
    assert set(lines[0]["values"]) == {"SWDx1e3_16", "SWDx1e3_avg"}
    assert lines[0]["reals"] == lines[1]["reals"]
    events = EventAccumulator(str(run)).Reload()
    assert [point.value for point in events.Scalars("metrics/SWDx1e3_16")] == pytest.approx(
        [line["values"]["SWDx1e3_16"] for line in lines]
    )
    assert_same_state(list_states(run)[-1], list_states(whole)[-1])

    (run / "metric-swd16.jsonl").open("a").write(json.dumps({"images_seen": 10**9}) + "\n")
    result = train("--resume", run, "--total-kimg", 9)
    assert result.exit_code == 0, result.output
    again = [json.loads(line) for line in (run / "metric-swd16.jsonl").read_text().splitlines()]
    assert again[: len(lines)] == lines
    assert all(line["kimg"] > lines[-1]["kimg"] for line in again[len(lines) :])
    assert again[-1]["kimg"] > 9


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metrics", "swd,fidd"), "no such metric: 'fidd'. Choose from swd, ms-ssim, fid"),
        (("--metrics", "swd16k"), "--metrics swd16k: .* has 40 images, and 16384 are asked for"),
        (
            ("--metrics", "swd", "--best", "kid"),
            "--best kid is not one of the metrics in --metrics 'swd'",
        ),
        (("--metrics", "ms-ssim", "--best", "ms-ssim"), "--best ms-ssim is not one of the metrics"),
        (
            ("--metrics", "swd", "--resolution", 8),
            "--metrics swd: swd cannot measure images of 8x8x3",
        ),
        (("--metrics", "kid", "--detector", "absent.pt"), "No such file: .*absent.pt"),
    ],
)
def test_metrics_that_cannot_be_measured_are_refused_before_training(
    data: Path, tmp_path: Path, options: tuple[object, ...], said: str
) -> None:
    result = train("--data", data, "--outdir", tmp_path / "runs", "--preset", "demo", *options)
    assert re.search(said, message(result))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("option", ["--dry-run", "--print-config"])
def test_a_plan_that_would_be_refused_is_refused(data: Path, option: str) -> None:
    result = train("--data", data, "--preset", "demo", "--metrics", "swd16k", option)
    assert re.search("has 40 images, and 16384 are asked for", message(result))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_goes_on_exactly_and_what_cannot_be_compiled_says_so(
    data: Path, tmp_path: Path, precision: str
) -> None:
    options = (
        "--precision", precision, "--low-precision-from", 8, "--acceleration", "compile",
        "--dropout", 0.2,
    )  # fmt: skip
    short = tiny_options(total_kimg=2.5, training_kimg=0.5, transition_kimg=0.5, tick_kimg=0.5)
    for name, more in (("whole", ()), ("cut", ("--total-kimg", 1))):
        result = train(
            "--data", data, "--outdir", tmp_path / name, "--preset", "demo", *short, *options, *more
        )
        assert result.exit_code == 0, result.output
        assert "--acceleration compile: layers that draw random numbers" in result.output
    result = train("--resume", "--outdir", tmp_path / "cut", "--total-kimg", 2.5)
    assert result.exit_code == 0, result.output
    ends = [list_states(tmp_path / name / "00000-noise-demo")[-1] for name in ("whole", "cut")]
    assert_same_state(*ends)
    tensors = weights(ends[0]).values()
    assert {x.dtype for x in tensors if x.is_floating_point()} == {torch.float32}


def stop_in_metric(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Send SIGTERM in the middle of the n-th measurement."""
    from metrics import measure

    real, calls = measure.make_snapshot_metric, []

    def make(*words: object) -> object:
        compute = real(*words)

        def interrupted(snapshot: object) -> object:
            calls.append(snapshot)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGTERM)
            return compute(snapshot)

        return interrupted

    monkeypatch.setattr(measure, "make_snapshot_metric", make)


METRICS = ("--metrics", "swd16", "--snapshot-ticks", 1)


@pytest.mark.parametrize("number", [1, 3])
def test_metrics_that_a_signal_cut_short_are_measured_by_the_resumed_run(
    number: int, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the last snapshot, too, with the default preflight."""
    words = [*tiny_options(total_kimg=0.7, tick_kimg=0.256), "--preflight", "auto", *METRICS]
    with monkeypatch.context() as patch:
        stop_in_metric(patch, number)
        stopped = train("--data", data, "--outdir", tmp_path, "--preset", "demo", *words)
    assert stopped.exit_code == 75 and "Stopped by SIGTERM" in stopped.output
    run = next(tmp_path.iterdir())
    resumed = train("--resume", run)
    assert resumed.exit_code == 0, resumed.output
    lines = [json.loads(line) for line in (run / "metric-swd16.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [256, 512, 768]


def test_metrics_that_are_cut_short_once_more_by_a_signal_are_not_lost(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After another step the newest state would no longer be that of the snapshot."""
    words = [*tiny_options(total_kimg=0.5, tick_kimg=0.256), *METRICS]
    start = ("--data", data, "--outdir", tmp_path, "--preset", "demo", *words)
    for command in (start, ("--resume", "--outdir", tmp_path)):
        with monkeypatch.context() as patch:
            stop_in_metric(patch, 1)
            stopped = train(*command)
        assert stopped.exit_code == 75, stopped.output
        assert "Stopped by SIGTERM at kimg 0.3; everything is saved" in stopped.output
    run = next(tmp_path.iterdir())
    assert [path.name for path in list_states(run)] == ["state-000000.pt"]
    assert train("--resume", run).exit_code == 0
    lines = [json.loads(line) for line in (run / "metric-swd16.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [256, 512]


def test_a_time_limit_that_passes_in_the_last_metric_stops_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from progan.runtime.signals import OUT_OF_TIME, StopSignal
    from progan.training.snapshot_metrics import SnapshotMetrics

    real = SnapshotMetrics._compute

    def compute(self: SnapshotMetrics, *words: object) -> None:
        real(self, *words)  # type: ignore[arg-type]
        self.interrupts.reason = OUT_OF_TIME

    assert StopSignal().reason == ""
    monkeypatch.setattr(SnapshotMetrics, "_compute", compute)
    words = [*tiny_options(total_kimg=0.2), *METRICS]
    done = train("--data", data, "--outdir", tmp_path, "--preset", "demo", *words)
    assert done.exit_code == 0 and "Stopped by" not in done.output


def test_a_level_without_a_phase_has_a_batch_that_must_fit(data: Path, tmp_path: Path) -> None:
    """Its first round is trained with --training-kimg 0."""
    words = tiny_options(training_kimg=0, transition_kimg=0.5, batch_at="4:6", micro_batch=4)
    result = train("--data", data, "--outdir", tmp_path, *words, "--stddev-group", 6)
    assert result.exit_code == 1
    assert "--micro-batch 4 is too small for the batch of 6 images at resolution 4" in (
        message(result)
    )
