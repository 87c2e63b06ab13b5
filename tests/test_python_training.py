"""progan.train, progan.measure and progan.open_dataset."""

import os
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

import progan
from progan import presets
from progan.errors import UserError
from progan.run_directory import list_states, load_config
from progan.runtime.signals import SIGNALS
from progan.runtime.torch_settings import restore_process_settings, set_up_compiler
from tests.builders import noise_dataset
from tests.commands.test_train import assert_same_state, train

SETTINGS = {
    "total_kimg": 0.16, "training_kimg": 0.032, "transition_kimg": 0.032, "tick_kimg": 0.064,
    "fmap_base": 16, "fmap_max": 4, "latent_size": 4, "batch": 4, "image_ticks": 1,
}  # fmt: skip
NARROW = {name: SETTINGS[name] for name in ("fmap_base", "fmap_max", "latent_size")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return noise_dataset(tmp_path_factory.mktemp("data") / "noise", classes=3).path


def test_a_training_in_python_is_that_of_the_command(data: Path, tmp_path: Path) -> None:
    seen: list[Mapping[str, float]] = []
    run = progan.train(data, "demo", outdir=tmp_path / "a", callbacks=[seen.append], **SETTINGS)
    words = [word for name, value in SETTINGS.items() for word in (f"--{name}", value)]
    done = train("--data", data, "--outdir", tmp_path / "b", "--preset", "demo", *words)
    assert done.exit_code == 0, done.output
    assert_same_state(list_states(run)[-1], list_states(next((tmp_path / "b").iterdir()))[-1])
    assert [row["progress/kimg"] for row in seen] == [0.064, 0.128, 0.16]
    assert progan.load(run, "cpu").render([0]).shape == (1, 16, 16, 3)
    assert train("--resume", run, "--total-kimg", 0.2).exit_code == 0


def test_a_setting_holds_at_all_resolutions_as_that_of_the_command(
    data: Path, tmp_path: Path
) -> None:
    """The preset has tables of them for all resolutions."""
    settings: dict[str, object] = {
        "total_kimg": 0.04, "batch": 8, "tick_kimg": 0.02, "g_lr": 0.002, **NARROW
    }  # fmt: skip
    run = load_config(progan.train(data, outdir=tmp_path, **settings))
    assert (run.growth.batch_at, run.growth.tick_kimg_at, run.growth.g_lr_at) == ((), (), ())
    kept = progan.train(data, outdir=tmp_path, **settings, batch_at=((4, 16),))
    assert load_config(kept).growth.batch_at == ((4, 16),)


def test_measure_and_open_dataset(data: Path, tmp_path: Path) -> None:
    run = progan.train(data, "demo", outdir=tmp_path, **SETTINGS)
    found = progan.measure(run, data, ["swd", "ms-ssim"], num_images=16)
    assert found.keys() == {"images", "reals"}
    assert found["images"].keys() == found["reals"].keys() >= {"SWDx1e3_avg", "MS-SSIM"}
    assert 0 < found["reals"]["SWDx1e3_avg"] < found["images"]["SWDx1e3_avg"]
    dataset = progan.open_dataset(data)
    assert dataset.images(4, np.arange(2)).shape == (2, 16, 16, 3)
    assert len(progan.open_dataset(data, "1")) < len(dataset)


def test_the_network_in_the_package_is_measured_by_its_name(tmp_path: Path) -> None:
    path = noise_dataset(tmp_path / "data", resolution=64).path
    assert progan.measure("portraits", path, "ms-ssim", num_images=2)["images"].keys() == {
        "MS-SSIM"
    }


def test_reals_of_another_size_have_a_remedy_in_python(tmp_path: Path) -> None:
    path = noise_dataset(tmp_path / "data", resolution=16).path
    with pytest.raises(UserError, match="create-from-images --resolution 64") as error:
        progan.measure("portraits", path, "swd", num_images=2)
    assert "--resize" not in str(error.value)


def test_metrics_of_a_preset_are_left_to_measure(data: Path, tmp_path: Path) -> None:
    preset = "ada-birds"
    assert presets.preset(preset).output.best == "kid75"
    run = load_config(progan.train(data, preset, outdir=tmp_path, **SETTINGS))
    assert (run.preset, run.output.metrics, run.output.best) == (preset, "", "")
    with pytest.raises(UserError, match="measured by progan.measure"):
        progan.train(data, preset, outdir=tmp_path, **SETTINGS, metrics="kid75")


@pytest.mark.parametrize(
    ("preset", "settings", "words"),
    [
        ("dmo", {}, "Did you mean demo"),
        ("demo", {"total_kimgs": 3}, "Unknown setting: total_kimgs. Did you mean total_kimg?"),
        ("demo", {"kimg": 3}, "Unknown setting: kimg. Did you mean total_kimg?"),
        ("demo", {"batch_size": 8, "lr": 1}, "batch?\nUnknown setting: lr. Did you mean g_lr and"),
        ("demo", {"out": "runs"}, "Unknown setting: out. Did you mean outdir?"),
        ("demo", {"n_epochs": 3}, "Unknown setting: n_epochs. Lengths are in thousands of images"),
        ("demo", {"zzz": 3}, "Unknown setting: zzz. train.py --help-all lists the settings."),
        ("demo", {"batch": -1}, "--batch must be at least 1"),
        ("demo", {"metrics": "swd"}, "progan.measure"),
        ("demo", {"best": "swd"}, "progan.measure"),
        ("demo", {"freeze_d": 1}, "--freeze-d 1 keeps weights that were trained before"),
        ("demo", {"micro_batch": 1}, "--micro-batch 1"),
        ("demo", {"init_from": "runs"}, "init_from cannot be set"),
        ("demo", {"label_size": 3, "channels": 1}, "channels, label_size cannot be set"),
        ("demo", {"max_hours": 0}, "max_hours must be more than 0"),
        ("demo", {"max_hours": "1"}, "max_hours must be more than 0, a number of hours such as"),
        ("demo", {"max_hours": float("nan")}, "max_hours must be more than 0"),
    ],
)
def test_mistakes(
    preset: str, settings: dict[str, object], words: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        progan.train(data, preset, outdir=tmp_path / "runs", **settings)
    assert words in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_metric(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Unknown metric 'swdd'") as caught:
        progan.measure(tmp_path, data, "swdd")
    assert "discrete-modes" not in str(caught.value)


def test_modes_are_counted_by_their_command(data: Path, tmp_path: Path) -> None:
    said = "discrete-modes is measured by .*metrics discrete-modes --network NETWORK --data DATASET"
    with pytest.raises(UserError, match=said):
        progan.measure(tmp_path, data, ["swd", "discrete-modes"])


def test_metrics_are_needed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No metrics were given: name at least one of swd, "):
        progan.measure(tmp_path, data, [])


@pytest.mark.parametrize("number", [2.5, "10", 1, True, float("nan"), float("inf"), -4.0])
def test_a_number_of_images_is_whole(number: float, data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="num_images cannot be .*: a whole number of at least 2"):
        progan.measure(tmp_path, data, num_images=number)


def test_a_number_of_images_may_be_a_whole_float(tmp_path: Path) -> None:
    path = noise_dataset(tmp_path / "data", resolution=64).path
    for number in (2e0, np.float32(2), np.int64(2)):
        assert progan.measure("portraits", path, "ms-ssim", num_images=number)["images"]


def test_devices_may_be_those_of_torch(data: Path, tmp_path: Path) -> None:
    device = torch.device("cpu")
    run = progan.train(data, "demo", outdir=tmp_path, device=device, max_hours=np.float32(1),
                       **SETTINGS)  # fmt: skip
    assert progan.load(run, device).render([0]).shape == (1, 16, 16, 3)
    assert progan.measure(run, data, num_images=16, device=device)["images"]


def test_signals_work_again_after_a_training(data: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    progan.train(data, "demo", outdir=tmp_path, **SETTINGS)
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_settings_of_the_process_are_as_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads, hook = torch.get_num_threads(), threading.excepthook
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/dev/null/no-directory")
    torch.set_num_threads(2)
    torch.backends.cudnn.allow_tf32, tf32 = True, torch.backends.cudnn.allow_tf32
    try:
        run = progan.train(data, "demo", outdir=tmp_path, **SETTINGS, threads=1)
        assert torch.get_num_threads() == 2 and torch.backends.cudnn.allow_tf32
        assert threading.excepthook is hook
        assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "/dev/null/no-directory"
        progan.measure(run, data, "swd", num_images=16)
        assert torch.backends.cudnn.allow_tf32
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.allow_tf32 = tf32


def test_settings_of_the_compiler_are_as_before_a_training() -> None:
    from torch._dynamo import config

    before = config.recompile_limit
    with restore_process_settings(compiles=True):
        set_up_compiler()
        assert config.recompile_limit > before
    assert config.recompile_limit == before


def test_files_of_a_tick_are_written_before_its_callbacks(data: Path, tmp_path: Path) -> None:
    counts: list[int] = []

    def count(_: Mapping[str, float]) -> None:
        counts.append(len(list(tmp_path.glob("*/network-snapshot-*.safetensors"))))

    progan.train(data, "demo", outdir=tmp_path, callbacks=[count], **SETTINGS, snapshot_ticks=1)
    assert counts == [1, 2, 3]


def test_settings_have_their_forms_of_python(data: Path, tmp_path: Path) -> None:
    run = load_config(
        progan.train(
            data,
            "demo",
            outdir=tmp_path,
            **SETTINGS,
            batch_at={4: 8},
            g_lr_at=[[8, 0.5]],
            micro_batch="auto",
            augment="adaptive",
            augment_kinds=["flip", "color"],
        )  # fmt: skip
    )
    assert (run.growth.batch_at, run.growth.g_lr_at) == (((4, 8),), ((8, 0.5),))
    assert (run.micro_batch, run.augment.augment_kinds) == (0, "flip,color")


def test_learning_rates_are_those_of_the_optimizers(data: Path, tmp_path: Path) -> None:
    """A lazy penalty lowers that of D by k / (k + 1) (Karras et al. 2020, appendix B)."""
    seen: list[Mapping[str, float]] = []
    progan.train(
        data, "demo", outdir=tmp_path, callbacks=[seen.append], g_lr=0.002, d_lr=0.004,
        penalty_interval=4, **SETTINGS,
    )  # fmt: skip
    assert {row["learning-rate/generator"] for row in seen} == {0.002}
    assert [row["learning-rate/critic"] for row in seen] == pytest.approx([0.0032] * len(seen))
