"""Network files: the same network after the trip, and plain words for all other files."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from progan.errors import UserError
from progan.sampling.find_network import find_network
from progan.sampling.snapshot_file import Snapshot, compute_fingerprint, load_network, save_network
from tests.builders import tiny_snapshot

CPU = torch.device("cpu")
NAME = "network-snapshot-001234.safetensors"


@pytest.fixture
def path(snapshot: Snapshot, tmp_path: Path) -> Path:
    save_network(tmp_path / NAME, snapshot)
    return tmp_path / NAME


def rewritten(path: Path, change: Callable[[dict], None]) -> Path:
    """The file with a changed header and the same weights."""
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["progan"])
        weights = {name: file.get_tensor(name) for name in file.keys()}
    change(header)
    save_file(weights, path, {"progan": json.dumps(header)})
    return path


def test_files_that_tell_no_base_hold_squares(path: Path, snapshot: Snapshot) -> None:
    def older(header: dict) -> None:
        del header["network"]["base_height"], header["network"]["base_width"]

    assert load_network(rewritten(path, older), CPU).generator.config == snapshot.generator.config


def test_a_network_survives_the_trip(with_classes: Snapshot, tmp_path: Path) -> None:
    save_network(tmp_path / NAME, with_classes)
    loaded = load_network(tmp_path / NAME, CPU)
    assert loaded.generator.config == with_classes.generator.config
    assert (loaded.level, loaded.alpha, loaded.images_seen, loaded.label_names) == (
        4,
        1.0,
        1_234_000,
        ("3", "7", "1"),
    )
    ours, theirs = with_classes.generator.state_dict(), loaded.generator.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    z, labels = torch.randn(2, 8, generator=torch.Generator().manual_seed(0)), torch.eye(3)[:2]
    assert torch.equal(loaded.generator(z, labels, 4), with_classes.generator(z, labels, 4))
    assert not any(p.requires_grad for p in loaded.generator.parameters())


def test_a_network_without_labels_has_no_names_of_classes(tmp_path: Path) -> None:
    """Files of earlier versions have those of the dataset."""
    save_network(tmp_path / NAME, replace(tiny_snapshot(), label_names=("a", "b")))
    assert load_network(tmp_path / NAME, CPU).label_names == ()


def test_the_file_says_of_itself_what_it_is(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["progan"])
        assert all(file.get_tensor(name).dtype == torch.float32 for name in file.keys())
    assert (header["format"], header["version"], header["level"]) == ("progan network", 1, 4)
    assert header["network"]["resolution"] == 16
    assert header["software"].startswith("progan ")
    assert header["conventions"]["images"].startswith("float32 [N, 3, 16, 16], -1 is black")
    assert "numpy.random.RandomState(k).randn(1, 8)" in header["conventions"]["latents"]


@pytest.mark.parametrize(
    ("untrained", "sound"),
    [
        ([], True),
        ([1], True),
        ([0, 2], True),
        ([0, 1, 2], False),
        ([3], False),
        ([-1], False),
        (["0"], False),
        ("0", False),
        ([[0]], False),
    ],
)
def test_classes_without_training_images_are_in_the_header(
    tmp_path: Path, untrained: Any, sound: bool
) -> None:
    path = tmp_path / "n.safetensors"
    save_network(path, replace(tiny_snapshot(("a", "b", "c")), untrained_classes=untrained))
    if sound:
        assert load_network(path, CPU).untrained_classes == tuple(untrained)
    else:
        with pytest.raises(UserError, match="is damaged"):
            load_network(path, CPU)


def test_a_failed_save_leaves_the_old_file(path: Path, snapshot: Snapshot) -> None:
    old = path.read_bytes()
    hopeless = Snapshot(
        generator=snapshot.generator, level=4, alpha=1.0, images_seen=0, label_names=(object(),)
    )  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        save_network(path, hopeless)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"", b"hello, I am text\n" * 20, b"\x80\x04}q\x00.", b"{}"])
def test_other_files_are_not_network_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="x.safetensors is not a network file of progan"):
        load_network(tmp_path / "x.safetensors", CPU)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"progan": "no JSON"}])
def test_safetensors_of_others_are_not_network_files(
    tmp_path: Path, metadata: dict[str, str] | None
) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    with pytest.raises(UserError, match="x.safetensors is not a network file of progan"):
        load_network(tmp_path / "x.safetensors", CPU)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.999])
def test_truncated_files_are_damaged(path: Path, part: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(UserError, match="is damaged or cut short. Copy it again"):
        load_network(path, CPU)


def test_a_file_of_which_hardly_anything_is_left(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match="not a network file of progan, or it is badly damaged"):
        load_network(path, CPU)


def test_a_missing_tensor_is_damage(path: Path) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in list(file.keys())[1:]}
    save_file(weights, path, metadata)
    with pytest.raises(UserError, match="is damaged.*Copy it again"):
        load_network(path, CPU)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("x.onnx", "an export, for other programs. Name the network file"),
        ("x.pt2", "an export"),
        ("x.ts", "an export"),
        ("state-001234.pt", "a training state. Name the directory of its run"),
    ],
)
def test_files_beside_network_files_are_told_apart(tmp_path: Path, name: str, advice: str) -> None:
    (tmp_path / name).write_bytes(b"PK\3\4 and so on")
    with pytest.raises(UserError, match=f"is not a network file of progan: .* {advice}"):
        load_network(tmp_path / name, CPU)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_damage(path: Path, number: float) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        weights = {name: file.get_tensor(name) for name in file.keys()}
    next(iter(weights.values())).view(-1)[0] = number
    save_file(weights, path, metadata)
    with pytest.raises(UserError, match="is damaged: .* not finite"):
        load_network(path, CPU)


def test_a_header_as_deep_as_a_well_is_damage(path: Path) -> None:
    deep = '{"format": "progan network", "network": ' + "[" * 100_000
    save_file({"x": torch.zeros(1)}, path, {"progan": deep})
    with pytest.raises(UserError, match="is damaged or cut short"):
        load_network(path, CPU)


def test_settings_that_make_no_sense_are_those_of_the_file(path: Path) -> None:
    rewritten(path, lambda header: header["network"].update(resolution=17))
    with pytest.raises(UserError, match=f"{NAME} cannot be used: the settings in its header"):
        load_network(path, CPU)


def test_a_version_that_is_no_number_is_damage(path: Path) -> None:
    rewritten(path, lambda header: header.update(version="1"))
    with pytest.raises(UserError, match="is damaged: the version of its format is missing"):
        load_network(path, CPU)


def test_a_name_that_is_no_utf_8_is_said(path: Path) -> None:
    try:
        odd = path.rename(path.parent / "bad\udcff.safetensors")
    except (OSError, UnicodeError):
        pytest.skip("this file system has no such names")
    with pytest.raises(UserError, match="is not UTF-8. Rename it"):
        load_network(odd, CPU)


def test_another_version_is_named(path: Path) -> None:
    rewritten(path, lambda header: header.update(version=7))
    with pytest.raises(UserError, match="format version 7; this progan reads version 1"):
        load_network(path, CPU)


def test_weights_that_do_not_fit_the_header_are_damage(path: Path) -> None:
    rewritten(path, lambda header: header["network"].update(fmap_max=4))
    with pytest.raises(UserError, match="is damaged: its header does not describe its weights"):
        load_network(path, CPU)


@pytest.mark.parametrize("header", ["{}", "[]", '{"version": 1}', "null", '"progan network"'])
def test_a_header_that_is_none_is_refused(path: Path, header: str) -> None:
    save_file({"x": torch.zeros(1)}, path, {"progan": header})
    with pytest.raises(UserError, match="is not a network file of progan"):
        load_network(path, CPU)


@pytest.mark.parametrize("name", ["network", "level", "alpha", "images_seen", "label_names"])
def test_a_header_with_a_gap_is_damage(path: Path, name: str) -> None:
    rewritten(path, lambda header: header.pop(name))
    with pytest.raises(UserError, match="is damaged"):
        load_network(path, CPU)


@pytest.mark.parametrize(
    "name, value",
    [
        ("level", 99),
        ("level", 1),
        ("alpha", -3),
        ("alpha", 0),
        ("images_seen", float("inf")),
        ("label_names", [3]),
    ],
)
def test_a_place_that_the_network_does_not_have_is_damage(
    path: Path, name: str, value: object
) -> None:
    rewritten(path, lambda header: header.update({name: value}))
    with pytest.raises(UserError, match="is damaged"):
        load_network(path, CPU)


def test_settings_of_a_later_progan_are_named(path: Path) -> None:
    rewritten(path, lambda header: header["network"].update(attention=True))
    with pytest.raises(UserError, match="Unknown network settings: attention"):
        load_network(path, CPU)


def test_a_file_or_the_newest_of_a_run_is_found(path: Path) -> None:
    run = path.parent
    for kimg in ("000007", "012000", "000999"):
        (run / f"network-snapshot-{kimg}.safetensors").write_bytes(b"")
    (run / "state-099999.pt").write_bytes(b"")
    assert find_network(path) == path
    assert find_network(run).name == "network-snapshot-012000.safetensors"


def test_what_cannot_be_found_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="No such file or directory: .*nowhere. Name a network-snapshot"
    ):
        find_network(tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no network-snapshot-.*has written a snapshot"):
        find_network(tmp_path)


def test_a_fingerprint_is_of_the_content(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    assert compute_fingerprint(copy) == compute_fingerprint(path)
    copy.write_bytes(b"abc")
    assert compute_fingerprint(copy) == "ba7816bf8f01"  # SHA-256 of 'abc', FIPS 180-2
