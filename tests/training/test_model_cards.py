"""What a training tells of its networks."""

import json
from pathlib import Path

import pytest

from progan.runtime.files import hash_file_sha256
from progan.sampling.snapshot_file import save_network
from progan.training.checkpoint_writer import CheckpointWriter
from progan.training.model_cards import (
    ModelCardWriter,
    describe_training_data,
    read_measurements_until,
)
from tests.builders import noise_dataset, tiny_run, tiny_snapshot
from tests.training.test_checkpoint_writer import born, snapshot_of

RUN = tiny_run(keep_states=2)
SAID: list[str] = []


@pytest.fixture
def cards(tmp_path: Path) -> ModelCardWriter:
    directory = tmp_path / "run"
    directory.mkdir()
    dataset = noise_dataset(tmp_path / "secret-place" / "mine", holdout=0.25)
    SAID.clear()
    return ModelCardWriter(
        run=RUN,
        data=describe_training_data(dataset),
        machine="cpu",
        directory=directory,
        log=SAID.append,
    )


def note(path: Path, *moments: int, **more: object) -> None:
    with path.open("a") as file:
        for moment in moments:
            file.write(
                json.dumps(
                    {
                        "images_seen": moment,
                        "values": {"SWD": moment / 1000},
                        "reals": {"SWD": 0.5},
                        **more,
                    }
                )
                + "\n"
            )


def test_a_card_is_written_beside_each_network(cards: ModelCardWriter) -> None:
    with CheckpointWriter(cards.directory, RUN, cards) as writer:
        for images_seen in (1000, 1400):
            writer.save(born(images_seen), snapshot_of(born(images_seen)))
    for name in ("network-snapshot-000001", "network-snapshot-000001_400"):
        text = (cards.directory / f"{name}.md").read_text()
        assert hash_file_sha256(cards.directory / f"{name}.safetensors") in text
        assert "`mine`, 30 images of 16x16; 10 more were held out" in text
        assert "secret-place" not in text


def test_what_is_measured_later_comes_into_the_card(cards: ModelCardWriter) -> None:
    snapshot = snapshot_of(born(1000))
    with CheckpointWriter(cards.directory, RUN, cards) as writer:
        writer.save(born(1000), snapshot)
        writer._background.wait()
        save_network(cards.directory / "network-best-swd.safetensors", snapshot)
        save_network(cards.directory / "network-best-kid.safetensors", tiny_snapshot())
        assert "not measured" in (cards.directory / "network-snapshot-000001.md").read_text()
        note(cards.directory / "metric-swd.jsonl", 1000, num_images=20)
        writer.rewrite_cards(snapshot)
    for name in ("network-snapshot-000001.md", "network-best-swd.md"):
        assert "| SWD | 1 | 0.5 | 20 | 1 |" in (cards.directory / name).read_text()
    assert not (cards.directory / "network-best-kid.md").exists()


def test_a_snapshot_written_again_leaves_an_edited_card(cards: ModelCardWriter) -> None:
    state = born(1000)
    path = cards.directory / "network-snapshot-000001.md"
    for _ in range(2):
        with CheckpointWriter(cards.directory, RUN, cards) as writer:
            writer.save(state, snapshot_of(state))
    path.write_text(path.read_text().replace("# license: ", "license: cc0-1.0  # "))
    mine = path.read_text()
    with CheckpointWriter(cards.directory, RUN, cards) as writer:
        writer.save(state, snapshot_of(state))
    assert path.read_text() == mine


def test_only_what_came_before_a_snapshot_is_told_of(tmp_path: Path) -> None:
    note(tmp_path / "metric-swd.jsonl", 1000, 2000, 3000)
    note(tmp_path / "metric-late.jsonl", 3000)
    (tmp_path / "metric-swd.jsonl").open("a").write('{"images_se')
    (tmp_path / "metric-odd.jsonl").write_text('{"metric": "swd", "row": "reals"}\n[1]\n{}\n')
    (found,) = read_measurements_until(tmp_path, 2500)
    assert (found.images_seen, found.num_images) == (2000, None)
    assert found.values == {"SWD": 2.0} and found.reals == {"SWD": 0.5}


def test_damaged_statistics_cost_the_status_alone(cards: ModelCardWriter) -> None:
    (cards.directory / "stats.jsonl").write_text("words\n")
    network = cards.directory / "x.safetensors"
    save_network(network, tiny_snapshot())
    cards(network, tiny_snapshot())
    text = (cards.directory / "x.md").read_text()
    assert "diagnostics" not in text and "Training time" not in text


def test_a_folder_in_the_way_of_a_card_ends_no_training(cards: ModelCardWriter) -> None:
    (cards.directory / "network-snapshot-000001.md").mkdir()
    with CheckpointWriter(cards.directory, RUN, cards) as writer:
        writer.save(born(1000), snapshot_of(born(1000)))
    (said,) = SAID
    assert said.startswith("network-snapshot-000001.safetensors has no card, training continues")
    assert "it is a folder" in said
    assert (cards.directory / "state-000001.pt").is_file()
