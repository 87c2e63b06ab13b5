"""train.py --init-from and --freeze-d as their users know them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from progan.cli.train import main
from progan.run_directory import list_states, load_config
from tests.builders import message, noise_dataset, tiny_options

BRIEF: dict[str, object] = dict(
    total_kimg=0.5, batch=16, tick_kimg=0.25, training_kimg=0.25, transition_kimg=0.25,
    initial_resolution=16,
)  # fmt: skip


def train(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def trained(*words: object) -> Path:
    """The directory of the run that these words start; it must end well."""
    outdir = Path(str(words[words.index("--outdir") + 1]))
    before = set(outdir.glob("*"))
    result = train(*words)
    assert result.exit_code == 0, result.output
    (run,) = set(outdir.glob("*")) - before
    return run


def statistics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]


def weights(state: Path, network: str) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(state, weights_only=True)[network]
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise", classes=3, resolution=32).path


@pytest.fixture(scope="module")
def source(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run at 16x16, of three classes."""
    return trained(
        "--data", data, "--outdir", tmp_path_factory.mktemp("source"), "--preset", "demo",
        "--conditional", "--gp-weight", 7, *tiny_options(**BRIEF),
    )  # fmt: skip


def test_a_finished_network_grows_on(source: Path, data: Path, tmp_path: Path) -> None:
    """With nothing but the new resolution: images, networks, losses are the source's."""
    run = trained("--init-from", source, "--outdir", tmp_path, "--resolution", 32)
    settings = load_config(run)
    was = load_config(source)
    assert run.name == "00000-noise-demo"
    assert (settings.network.resolution, settings.growth.initial_resolution) == (32, 16)
    assert settings.growth.fade_first and settings.loss == was.loss
    assert settings.network.latent_size == 8 and settings.network.label_size == 3
    assert settings.data == was.data
    assert settings.init_from == str(list_states(source)[-1].resolve())
    rows = statistics(run)
    assert [(row["schedule/resolution"], row["schedule/alpha"] < 1) for row in rows] == [
        (32, True),
        (32, False),
    ]
    assert rows[0]["progress/kimg"] == 0.256
    log = (run / "log.txt").read_text()
    assert "blocks.32x32.conv" in log and "layers: 9 copied, 3 new" in log
    assert "Warning" not in log


def test_a_run_that_began_elsewhere_resumes_exactly(
    source: Path, data: Path, tmp_path: Path
) -> None:
    """Neither reads the source again nor thaws what is frozen."""
    whole = trained(
        "--init-from", source, "--outdir", tmp_path, "--freeze-d", 2, "--total-kimg", 2.1,
        "--tick-kimg", 1, "--batch", 64,
    )  # fmt: skip
    broken = tmp_path / "broken" / whole.name
    shutil.copytree(whole, broken)
    assert len(list_states(broken)) > 1
    list_states(broken)[-1].unlink()
    result = train("--resume", broken)
    assert result.exit_code == 0, result.output
    first, again = list_states(whole)[-1], list_states(broken)[-1]
    for network in ("generator", "discriminator", "average"):
        ours, same = weights(first, network), weights(again, network)
        before = weights(list_states(source)[-1], network)
        assert all(torch.equal(weight, same[name]) for name, weight in ours.items())
        still = {name for name, weight in ours.items() if torch.equal(weight, before[name])}
        frozen = {
            name
            for name in ours
            if network == "discriminator" and ("16x16" in name or "8x8" in name)
        }
        unused = {name for name in ours if "rgb.4x4" in name or "rgb.8x8" in name}
        assert still == frozen | unused


def test_other_images_and_other_classes(source: Path, tmp_path: Path) -> None:
    other = noise_dataset(tmp_path / "other", classes=5).path
    result = train(
        "--init-from", list_states(source)[-1], "--data", other, "--outdir", tmp_path / "runs",
        "--total-kimg", 0.1,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "blocks.4x4.dense 128x11 128x13 copied in part" in rows
    assert "blocks.4x4.output 4x8 6x8 copied in part" in rows
    (run,) = (tmp_path / "runs").iterdir()
    assert load_config(run).network.label_size == 5


def test_networks_are_the_sources_and_the_rest_is_the_presets(source: Path, data: Path) -> None:
    result = train(
        "--init-from", source, "--data", data, "--preset", "mnist", "--resolution", 16, "--dry-run"
    )
    assert result.exit_code == 0, result.output
    assert "Preset mnist: 16x16 to 16x16, 3 channels, no classes, 1200 kimg" in result.output
    assert "blocks.16x16.up 8x8x3x3 8x8x3x3 copied" in " ".join(result.output.split())


def test_a_network_file_alone(source: Path, data: Path, tmp_path: Path) -> None:
    file = shutil.copy(sorted(source.glob("network-snapshot-*.safetensors"))[-1], tmp_path)
    assert "Missing option '--data'" in message(
        train("--init-from", file, "--outdir", tmp_path / "runs")
    )
    result = train(
        "--init-from", file, "--data", data, "--outdir", tmp_path / "runs", "--resolution", 32,
        "--preset", "demo", "--conditional", *tiny_options(total_kimg=0.1, resolution=32),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Warning:" in result.output and "holds no discriminator" in result.output
    (run,) = (tmp_path / "runs").iterdir()
    growth = load_config(run).growth
    assert growth.initial_resolution == 16 and not growth.fade_first


def test_a_subset_belongs_to_its_images(data: Path, tmp_path: Path) -> None:
    source = trained(
        "--data", data, "--subset", "class-1", "--outdir", tmp_path / "a",
        *tiny_options(**BRIEF | dict(total_kimg=0.1)),
    )  # fmt: skip
    same = train("--init-from", source, "--outdir", tmp_path / "b", "--total-kimg", 0.1)
    assert "noise-class-1, 13 images" in same.output
    other = noise_dataset(tmp_path / "other").path
    result = train("--init-from", source, "--data", other, "--outdir", tmp_path / "b")
    assert result.exit_code == 0 and "other, 40 images" in result.output


def test_a_dry_run_shows_plan_and_table_and_writes_nothing(source: Path, tmp_path: Path) -> None:
    result = train(
        "--init-from", source, "--outdir", tmp_path / "runs", "--resolution", 32, "--no-fade-first",
        "--dry-run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Preset demo: 16x16 to 32x32" in result.output
    assert "discriminator: " in result.output and "16→32" in result.output
    assert not (tmp_path / "runs").exists()
    file = shutil.copy(sorted(source.glob("network-snapshot-*.safetensors"))[-1], tmp_path)
    alone = train("--init-from", file, "--preset", "demo", "--dry-run")
    assert alone.exit_code == 0 and "16x16 to 16x16" in alone.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--init-from", "{source}", "--resume", "{source}"), "they cannot be combined"),
        (("--init-from", "{data}/nothing"), "No such file"),
        (("--init-from", "{data}"), "is a dataset, not a network"),
        (("--init-from", "{data}/dataset.json"), "is a JSON file, not a network"),
        (("--init-from", ""), "the path is empty"),
        (("--init-from", "{source}", "--kind", "dcgan"), "Omit --kind"),
        (("--init-from", "{source}", "--resolution", 64), "networks, 64, is higher than"),
        (
            ("--init-from", "{source}", "--resolution", 32, "--freeze-d", 1),
            "would keep random weights",
        ),
        (("--init-from", "{source}", "--freeze-d", 3), "--freeze-d 3 would leave nothing to learn"),
        (("--init-from", "{source}", "--fade-first"), "--fade-first has nothing to fade in"),
        (("--data", "{data}", "--freeze-d", 1), "it needs --init-from"),
        (
            ("--resume", "{source}/network-snapshot-000000.safetensors"),
            "To continue its run: --resume {source}. To start a new run with these weights: "
            "--init-from",
        ),
        (("--resume", "{data}/dataset.json"), "is a JSON file, not a network"),
    ],
)
def test_mistakes(
    words: tuple[Any, ...], said: str, source: Path, data: Path, tmp_path: Path
) -> None:
    def filled(text: Any) -> str:
        return str(text).replace("{source}", str(source)).replace("{data}", str(data))

    before = sorted(source.parent.rglob("*"))
    outdir = () if words[0] == "--resume" else ("--outdir", tmp_path / "runs")
    text = message(train(*map(filled, words), *outdir))
    assert filled(said) in text
    assert not (tmp_path / "runs").exists() and sorted(source.parent.rglob("*")) == before


def test_a_state_away_from_its_run_is_no_run_to_resume(source: Path, tmp_path: Path) -> None:
    lonely = Path(shutil.copy(list_states(source)[-1], tmp_path))
    assert "--init-from" in message(train("--resume", lonely))
