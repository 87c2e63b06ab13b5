"""States of older format versions are read for ever; those in golden/ were written by their time's
own code."""

from pathlib import Path

import pytest
import torch

from progan.sampling.checkpoint_format import FORMAT_VERSION, MIGRATIONS, migrate
from progan.training import checkpoint
from progan.training.state import create_state
from tests.builders import noise_dataset, tiny_run
from tests.training.test_resume import Training

GOLDEN = Path(__file__).with_name("golden_states")
CPU = torch.device("cpu")
# A run inside of a fade to 8x8, with adaptive augmentation. What it had, and what the code that
# wrote it led it to 640 images later; a machine with other roundings may differ a little.
VERSION_1 = tiny_run(
    augment="adaptive",
    augment_p=0.25,
    augment_steps=50,
    augment_accuracy=0.2,
    fmap_base=32,
    fmap_max=4,
    latent_size=4,
    resolution=8,
    mirror=True,
)
CLOCKS = dict(
    images_seen=2304,
    round_images_seen=2304,
    phase=1,
    tick=2,
    tick_images_seen=2048,
    seconds=12.5,
    rollbacks=0,
)


def test_every_older_version_has_a_golden_file_and_a_way_to_the_present() -> None:
    versions = {int(path.stem.rpartition("-")[2]) for path in GOLDEN.iterdir()}
    assert versions == set(MIGRATIONS) == set(range(1, FORMAT_VERSION))


def test_a_state_of_version_1_is_read_whole() -> None:
    path = GOLDEN / "state-version-1.pt"
    loaded = checkpoint.load_state(path, VERSION_1, CPU)
    assert {name: getattr(loaded, name) for name in checkpoint.COUNTERS} == CLOCKS
    assert loaded.controllers["augmentation"].item() == pytest.approx(0.3663, abs=1e-4)
    assert not loaded.stat_sums.sums
    raw = torch.load(path, weights_only=True)
    for name, network in loaded.networks.items():
        assert all(
            torch.equal(value, raw[name][key]) for key, value in network.state_dict().items()
        )
    for name, optimizer in loaded.optimizers.items():
        moments = optimizer.state_dict()["state"]
        assert moments.keys() == raw[name]["state"].keys() and moments
        assert all(
            torch.equal(value, raw[name]["state"][key][part])
            for key, parts in moments.items()
            for part, value in parts.items()
        )


def test_a_state_of_version_1_goes_on_as_it_did_then(tmp_path: Path) -> None:
    loaded = checkpoint.load_state(GOLDEN / "state-version-1.pt", VERSION_1, CPU)
    training = Training(VERSION_1, noise_dataset(tmp_path / "noise"), loaded)
    training.rounds(5)
    assert loaded.images_seen == 2944
    assert loaded.controllers["augmentation"].item() == pytest.approx(0.4594, abs=1e-3)


def test_the_oldest_states_know_no_dials() -> None:
    oldest = torch.load(GOLDEN / "state-version-1.pt", weights_only=True)
    del oldest["dials"]
    assert migrate(oldest)["dials"] == {}


def test_what_was_migrated_is_what_is_saved_today(tmp_path: Path) -> None:
    state = create_state(VERSION_1, CPU)
    today = checkpoint.read_checkpoint(
        checkpoint.save_state_and_delete_oldest(tmp_path, state, VERSION_1)
    )
    assert checkpoint.read_checkpoint(GOLDEN / "state-version-1.pt").keys() == today.keys()
