"""--config and --print-config of train.py."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from progan.cli.train import main
from progan.config import list_values, override, to_dict
from progan.presets import preset
from tests.builders import message, noise_dataset

FLAT = """
preset: cpu
total-kimg: 50
batch_at: {8: 32, 16: 16}
mirror: true
augment: fixed
augment_p: 0.2
augment_kinds: [flip, rotate]
"""


def train(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


def settings(*words: object) -> dict[str, str]:
    """The settings that --print-config prints, by name."""
    result = train(*words, "--print-config")
    assert result.exit_code == 0, result.output
    lines = [line.split(": ", 1) for line in result.output.splitlines() if ": " in line]
    return dict(lines)


def test_yaml_names_options_and_the_command_line_takes_precedence(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "run.yaml"
    file.write_text(FLAT)
    found = settings("--config", file, "--total-kimg", 60)
    assert (found["preset"], found["total_kimg"], found["mirror"]) == ("cpu", "60", "true")
    assert (found["batch_at"], found["augment_kinds"]) == ('"8:32,16:16"', '"flip,rotate"')
    assert found["g_lr"] == str(list_values(preset("cpu"))["g_lr"])


def test_what_is_printed_is_read_again(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "run.yaml"
    words = ("--preset", "v2-2gpus", "--objective", "r1", "--g-lr-at", "4:0.5", "--seed", 7)
    file.write_text(train(*words, "--print-config").output)
    assert settings("--config", file) == settings(*words)
    assert "has no effect" not in train("--config", file, "--dry-run").output


def test_the_config_of_a_run_is_read(tmp_path: Path) -> None:
    """What its preset has too is left to the preset, what the dataset decides to the dataset."""
    file = tmp_path / "config.json"
    values = to_dict(preset("demo"))
    values["growth"] |= {"batch": 16, "g_lr_at": [[32, 0.5]]}
    values["network"] |= {"label_size": 3}
    values["data"] |= {"fingerprint": "f" * 16}
    file.write_text(json.dumps(values))
    found = settings("--config", file)
    assert found == settings("--preset", "demo") | {"batch": "16", "g_lr_at": '"32:0.5"'}


def test_a_table_of_the_preset_stays_beside_another_value(tmp_path: Path) -> None:
    run = override(preset("v2-1gpu"), {"batch": 8, "tick_kimg": 1.0, "tick_kimg_at": ()})
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_dict(run)))
    found, base = settings("--config", file), settings("--preset", "v2-1gpu")
    assert found == base | {"batch": "8", "tick_kimg": "1", "tick_kimg_at": '"none"'}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "total_kimgs: 3", ("a.yaml", "total_kimgs", "Did you mean total_kimg?")),
        ("a.yaml", "zzz: 3", ("zzz", "--help lists them")),
        ("a.yaml", "resume: true", ("unknown option 'resume'",)),
        ("a.yaml", "preset: !!python/object/apply:os.system [echo]", ("cannot be read as YAML",)),
        ("a.yaml", "preset: [", ("cannot be read as YAML",)),
        ("a.yaml", "- 3", ("has no options", "total_kimg: 100")),
        ("a.yaml", "batch: {a: [1]}", ("'--batch'",)),
        ("a.yaml", "metrics: [[1, 2, 3]]", ("metrics cannot be",)),
        ("a.yaml", "kimg: 3\ntotal-kimg: 4", ("sets total_kimg twice", "Keep one of them")),
        ("a.yaml", "batch: 3\nbatch: 4", ("sets batch twice",)),
        ("a.yaml", "batch_at:\n  8: 3\n  8: 4", ("sets 8 twice",)),
        ("a.json", '{"batch": 3, "batch": 4}', ("sets batch twice",)),
        ("a.json", '{"batch_at": {"8": 3, "8": 4}}', ("sets 8 twice",)),
        ("a.yaml", "batch: -1", ("--batch must be at least 1",)),
        ("a.json", "preset: cpu", ("is not JSON", "ends in .yaml")),
        ("a.json", "\xff", ("is not JSON",)),
        ("a.json", '{"growth": {"batsh": 1}}', ("Unknown growth settings: batsh",)),
    ],
)
def test_mistakes(name: str, text: str, words: tuple[str, ...], tmp_path: Path) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(text)
    result = train("--config", tmp_path / name, "--dry-run")
    assert result.exit_code != 0
    for word in words:
        assert word in message(result)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    result = train("--config", tmp_path / "run.yaml", "--dry-run")
    assert result.exit_code == 1
    assert "run.yaml is not a file" in message(result)


def test_files_take_the_names_of_other_projects_too(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"kimg": 70, "gamma": 2, "lr-g": 0.5}')
    found = settings("--config", file, "--preset", "demo")
    assert (found["total_kimg"], found["gp_weight"], found["g_lr"]) == ("70", "2", "0.5")
    file.write_text('{"cbase": 32768}')
    assert "half of it" in message(train("--config", file, "--dry-run"))


def test_a_preset_beside_a_file_of_settings_is_noted(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_text('{"preset": "demo", "batch": 8, "g_lr": 0.5}')
    note = "The file of --config sets 2 options, which precede those of --preset cpu."
    assert note in train("--config", file, "--preset", "cpu", "--dry-run").output
    assert "precede" not in train("--config", file, "--dry-run").output


def test_the_command_line_precedes_tables_and_rates_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    rates = {"g_lr": 0.01, "d_lr": 0.02, "g_lr_at": {"8": 0.5}, "batch_at": {"8": 32}}
    file.write_text(json.dumps({"preset": "cpu", **rates}))
    found = settings("--config", file, "--lr", 0.0005, "--batch", 4)
    assert (found["g_lr"], found["d_lr"], found["g_lr_at"]) == ("0.0005", "0.0005", '"none"')
    assert (found["batch"], found["batch_at"]) == ("4", '"none"')
    found = settings("--config", file, "--lr", 0.0005, "--d-lr", 0.003, "--batch-at", "16:8")
    assert (found["g_lr"], found["d_lr"], found["batch_at"]) == ("0.0005", "0.003", '"16:8"')
    found = settings("--config", file)
    assert (found["g_lr"], found["d_lr"], found["g_lr_at"]) == ("0.01", "0.02", '"8:0.5"')


@pytest.mark.parametrize("name", ["faces #2", "a: b", "été"])
def test_names_of_datasets_are_read_again(name: str, tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    data = noise_dataset(tmp_path / name).path
    printed = train("--data", data, "--preset", "demo", "--print-config").output
    assert yaml.safe_load(printed)["data"] == str(data.resolve())
