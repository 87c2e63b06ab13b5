"""--config and --print-config of train.py."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from progan.cli.train import main
from progan.config import list_values, override, to_dict
from progan.data.image_source import ImageSource, Sample
from progan.data.writer import write_dataset
from progan.presets import preset
from progan.sizes import SQUARE
from progan.training.checkpoint import save_state_and_delete_oldest
from progan.training.start import resolve_new_run
from progan.training.state import create_state
from tests.builders import message, noise_dataset, tiny_run

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
        ("a.yaml", "? [a]\n: {b: 3}", ("cannot be read as YAML", "unhashable")),
        ("a.yaml", "growth: {batch: 2024-13-45}", ("a.yaml cannot be read as YAML",)),
        ("a.yaml", "growth: {batch: 8.9}", ("a.yaml: --batch cannot be 8.9: a whole number is",)),
        ("a.json", f'{{"growth": {{"g_lr": 1{"0" * 400}}}}}', ("--g-lr cannot be 1000", "finite")),
        ("a.json", '{"growth": {}, "1": 2}', ("a.json: Unknown settings: 1;",)),
        ("a.yaml", "growth: {}\n3: 4\nzz: 5", ("a.yaml: Unknown settings: 3, zz;",)),
        (
            "a.yaml",
            "network: {}\ngrowth: {}\ndata: datasets/two",
            (
                "a.yaml has sections (network, growth)",
                "data is a section, too, and cannot be 'datasets/two'. Write all options without "
                "sections, or give --data on the command line.",
            ),
        ),
        ("a.json", '{"data": {}, "augment": "fixed"}', ("or give --augment on the command",)),
        (
            "a.json",
            '{"data": {}, "optim": 3}',
            ("cannot be 3. Write all options without sections.",),
        ),
        ("a.yaml", "batch: 8.9", ("'--batch': ", "a.yaml: '8.9' is not a valid integer")),
        ("a.json", '{"batch": 8.9}', ("'--batch': ", "a.json: '8.9' is not a valid integer")),
        ("a.yaml", "batch: true", ("a.yaml: batch cannot be true",)),
        ("a.json", '{"batch": true}', ("a.json: batch cannot be true",)),
        ("a.yaml", "batch: [8]", ("batch cannot be ['8']. Write one value.",)),
        ("a.yaml", "seed: 1.7", ("'--seed': ", "a.yaml: '1.7' is not a valid integer")),
        ("a.yaml", "outdir: yes", ("outdir cannot be true", "in quotation marks")),
        ("a.yaml", "outdir: [a, b]", ("outdir cannot be ['a', 'b']. Write one value.",)),
        ("a.yaml", "outdir: ''", ("'--outdir': ", "a.yaml: the path is empty")),
        ("a.yaml", "mirror: 3", ("a.yaml: mirror must be true or false, not '3'",)),
        ("a.json", '{"conditional": 1.5}', ("conditional must be true or false, not 1.5",)),
        ("a.yaml", "dry-run: true", ("unknown option 'dry_run'",)),
        ("a.yaml", "list_presets: true", ("unknown option 'list_presets'",)),
        ("a.yaml", "augment_kinds: [flip, true]", ("augment_kinds cannot be ['flip', True]",)),
        ("a.json", '{"batch_at": {"8": true}}', ("'--batch-at': ", "is not a list of RESOLUTION")),
        ("a.json", '{"batch": ' + "[" * 100_000, ("a.json is nested too deeply",)),
        ("a.yaml", "batch: " + "[" * 3000, ("a.yaml is nested too deeply",)),
        ("a.yaml", "- 3", ("has no options", "total_kimg: 100")),
        ("a.yaml", "batch: {a: [1]}", ("batch cannot be {'a': ['1']}. Write one value.",)),
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


def test_values_of_yaml_are_what_was_written(tmp_path: Path) -> None:
    """YAML 1.1 has numbers of base 60 and 8, and dates: 8:32 is 512, 010 is 8."""
    pytest.importorskip("yaml")
    file = tmp_path / "run.yaml"
    file.write_text("preset: cpu\nbatch_at: 8:32\nsubset: 010\nmirror: on")
    found = settings("--config", file)
    assert (found["batch_at"], found["subset"], found["mirror"]) == ('"8:32"', '"010"', "true")
    file.write_text("subset: 8")
    assert settings("--config", file)["subset"] == '"8"'
    file.write_text("outdir: 2024\ndata: 2024-01-01")
    assert "2024-01-01 does not exist" in message(train("--config", file))


def test_parts_of_sections_do_not_replace_a_preset_by_defaults(tmp_path: Path) -> None:
    file, values = tmp_path / "config.json", to_dict(preset("cpu"))
    file.write_text('{"preset": "cpu", "growth": {"batch": 4}, "network": {"latent_size": 32}}')
    said = message(train("--config", file, "--dry-run"))
    assert f"{file} has sections" in said and "lacks settings" in said and " fmap_max," in said
    assert "write options without sections" in said and "latent_size," not in said
    # What is the default in the preset, too, may be left out, as in runs of older versions.
    del values["guard"], values["growth"]["batch_at"]
    file.write_text(json.dumps(values))
    assert settings("--config", file) == settings("--preset", "cpu")


def test_the_config_of_a_run_that_began_with_another_has_all_its_settings(tmp_path: Path) -> None:
    """Those of the preset, too: what the file left out would be inherited from the source."""
    source = tiny_run(resolution=32, latent_size=16)
    state = create_state(source, torch.device("cpu"))
    state.images_seen = state.round_images_seen = 7000
    saved = save_state_and_delete_oldest(tmp_path, state, source)
    # These two are the preset's, and neither the source's nor what it would begin with.
    options = {"fmap_max": 48, "initial_resolution": 4}
    run, _, _ = resolve_new_run("demo", None, saved, options)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(to_dict(run)))
    again = settings("--config", file)
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    assert again == settings("--init-from", saved, "--preset", "demo", *words)
    assert (again["fmap_max"], again["latent_size"], again["initial_resolution"]) == (
        "48",
        "16",
        "4",
    )


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


def test_a_subset_named_none_is_no_silent_choice(tmp_path: Path) -> None:
    images, labels = np.zeros((4, 16, 16, 3), np.uint8), np.arange(4) % 2
    source = ImageSource(
        description="zeros", resolution=16, base=SQUARE, channels=3, count=4,
        read=lambda row: Sample(images[row]), labels=labels, label_names=("some", "none"),
    )  # fmt: skip
    write_dataset(source, tmp_path / "data", options={}, holdout=0.0)
    words = ("--data", tmp_path / "data", "--preset", "mnist-8", "--resolution", 16)
    said = message(train(*words, "--subset", "none", "--print-config"))
    assert "--subset none trains on all classes" in said and "has a class of that name" in said
    assert "Pass --subset 1 to train on that class, or --subset '' to train on all." in said
    assert settings(*words, "--subset", 1)["subset"] == '"1"'
    assert settings(*words, "--subset", "")["subset"] == '""'
    file = tmp_path / "run.json"
    file.write_text('{"subset": "none"}')
    assert "has a class of that name" in message(train(*words, "--config", file, "--dry-run"))
    file.write_text('{"subset": ""}')  # as --print-config prints it
    assert settings(*words, "--config", file)["subset"] == '""'
    other = noise_dataset(tmp_path / "other", classes=2).path
    assert settings(*words, "--data", other, "--subset", "none")["subset"] == '""'
