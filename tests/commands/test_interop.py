"""Networks of other programs in all commands: images, training, conversion; nothing is ever run."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan.cli.generate import main as generate
from progan.cli.train import main as train
from progan.config import Network
from progan.images import to_pixels
from progan.interop.cli import main as interop
from progan.networks import build_generator
from progan.run_directory import load_config
from progan.runtime.files import hash_file_sha256
from progan.sampling.snapshot_file import compute_fingerprint, load_network, save_network
from progan.training.state import initialize
from tests.builders import call, message, noise_dataset, tiny_snapshot
from tests.interop import official_files, zoo_files
from tests.runtime import attacks

ROOT = Path(__file__).resolve().parents[2]
PICKLES = ("network-snapshot-001234-net32.pkl", "network-snapshot-001234-net32-proto4.pkl")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    return official_files.write(tmp_path / "network-snapshot-000600.pkl", official_files.networks())


@pytest.mark.parametrize("name", PICKLES)
def test_official_pickles_draw_the_official_pictures(
    shared: Path, tmp_path: Path, name: str
) -> None:
    golden = shared / "golden"
    with np.load(golden / "network-snapshot-001234-net32-expected.npz") as expected:
        np.save(tmp_path / "z.npy", expected["latents"])
        images, lod = expected["Gs_out"], float(expected["Gs/lod"])
    result = call(
        generate, "--network", golden / name, "--latents", tmp_path / "z.npy", "--outdir", tmp_path
    )
    assert result.exit_code == 0, result.output
    grey = np.rint(images * 127.5 + 127.5).clip(0, 255).transpose(0, 2, 3, 1)
    for row, picture in enumerate(grey):
        drawn = np.asarray(Image.open(tmp_path / f"latent{row:04d}.png")).astype(int)
        size = 2 ** int(lod)  # the official code doubles what it draws up to the full resolution
        assert abs(drawn.repeat(size, 0).repeat(size, 1) - picture).max() <= 1


def test_seeds_of_a_network_of_the_zoo(tmp_path: Path) -> None:
    path = zoo_files.write(tmp_path / "celeba.pth")
    result = call(generate, "--network", path, "--seeds", "0-1", "--outdir", tmp_path)
    assert result.exit_code == 0, result.output
    assert np.asarray(Image.open(tmp_path / "seed0001.png")).shape == (16, 16, 3)


@pytest.mark.parametrize("resolution", [16, 32])
@pytest.mark.parametrize("kind", ["official", "zoo"])
def test_training_goes_on_from_networks_of_others(
    official: Path, tmp_path: Path, kind: str, resolution: int
) -> None:
    source = official if kind == "official" else zoo_files.write(tmp_path / "zoo.pth")
    data = noise_dataset(tmp_path / "noise", resolution=resolution).path
    result = call(
        train, "--init-from", source, "--data", data, "--outdir", tmp_path / "runs", "--preset",
        "demo", "--total-kimg", 0.1, "--batch", 16, "--preflight", "none",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "generator: 100.0 %" in result.output or resolution == 32
    assert "layers: 9 copied" in result.output and "Warning" not in result.output
    (run,) = (tmp_path / "runs").iterdir()
    settings = load_config(run)
    assert settings.network.pixel_bias == (kind == "zoo")
    assert settings.growth.initial_resolution == 16
    assert settings.growth.fade_first == (resolution == 32)
    picture = call(generate, "--network", run, "--seeds", 0, "--outdir", tmp_path)
    assert picture.exit_code == 0, picture.output


def test_the_table_of_layers(official: Path) -> None:
    result = call(interop, official)
    assert result.exit_code == 0, result.output
    rows = [" ".join(line.split()) for line in result.output.splitlines()]
    assert rows[0] == (
        f"{official}: 16x16, 3 channels, no classes, latents of 8; trained to 16 at kimg 600."
    )
    assert {"generator:", "discriminator:", "average:"} <= set(rows)
    assert "8x8/Conv0_up/weight 3x3x8x8 blocks.8x8.up.weight 8x8x3x3" in rows
    assert "ToRGB_lod2/weight 1x1x8x3 to_rgb.4x4.weight 3x8x1x1" in rows


def test_the_table_of_a_network_of_ours(tmp_path: Path) -> None:
    save_network(tmp_path / "ours.safetensors", tiny_snapshot(alpha=0.25))
    rows = [
        " ".join(line.split())
        for line in call(interop, tmp_path / "ours.safetensors").output.splitlines()
    ]
    assert "trained to 16, faded in by 25 % at kimg 1234." in rows[0]
    assert "4x4/Dense/weight 8x128 blocks.4x4.dense.weight 128x8" in rows


def test_conversions_draw_the_same_pictures(official: Path, tmp_path: Path) -> None:
    steps = [official, tmp_path / "a.safetensors", tmp_path / "b.npz", tmp_path / "c.safetensors"]
    for source, target in zip(steps, steps[1:], strict=False):
        result = call(interop, source, "--to", target)
        assert (result.exit_code, result.output) == (0, f"{target}\n")
    for number, path in enumerate(steps):
        assert (
            call(
                generate, "--network", path, "--seeds", 3, "--outdir", tmp_path / str(number)
            ).exit_code
            == 0
        )
    pictures = [
        np.asarray(Image.open(tmp_path / str(number) / "seed0003.png"))
        for number in range(len(steps))
    ]
    assert all((picture == pictures[0]).all() for picture in pictures)
    with np.load(tmp_path / "b.npz") as archive:
        assert json.loads(str(archive["Gs/static_kwargs"]))["resolution"] == 16


def test_exports_of_a_lower_resolution_draw_its_pictures(official: Path, tmp_path: Path) -> None:
    target, lower = tmp_path / "x.ts", tmp_path / "x.safetensors"
    for path in (target, lower):
        result = call(interop, official, "--to", path, "--resolution", 8)
        assert (result.exit_code, result.output) == (0, f"{path}\n")
    # Layers above it are left out.
    assert load_network(lower, torch.device("cpu")).generator.config.resolution == 8
    latents = np.random.RandomState(3).randn(1, 8).astype(np.float32)
    said = {"command": "", "network": "", "images": ""}
    images = torch.jit.load(str(target), _extra_files=said)(torch.from_numpy(latents))
    assert said["command"].decode().endswith(f"{official} --to {target} --resolution 8")
    assert said["network"].decode() == f"{official.name} {compute_fingerprint(official)}"
    for source, words in ((official, ("--resolution", 8)), (lower, ())):
        assert (
            call(
                generate, "--network", source, "--seeds", 3, "--outdir", tmp_path, *words
            ).exit_code
            == 0
        )
        picture = np.asarray(Image.open(tmp_path / "seed0003.png")).astype(int)
        assert abs(to_pixels(images)[0] - picture).max() <= 1


def test_counts_in_the_table_are_grammatical(tmp_path: Path) -> None:
    save_network(tmp_path / "a.safetensors", tiny_snapshot(("cat",), channels=1))
    assert "16x16, 1 channel, 1 class, latents" in call(interop, tmp_path / "a.safetensors").output
    save_network(tmp_path / "b.safetensors", tiny_snapshot())
    assert "3 channels, no classes, " in call(interop, tmp_path / "b.safetensors").output


def test_classes_keep_their_names(tmp_path: Path) -> None:
    save_network(tmp_path / "a.safetensors", tiny_snapshot(("cat", "dog")))
    assert (
        call(interop, tmp_path / "a.safetensors", "--to", tmp_path / "b.safetensors").exit_code == 0
    )
    loaded = load_network(tmp_path / "b.safetensors", torch.device("cpu"))
    assert loaded.label_names == ("cat", "dog")


def test_half_the_size(tmp_path: Path) -> None:
    whole, half = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_network(whole, tiny_snapshot())
    assert call(interop, whole, "--to", half, "--half").exit_code == 0
    weights = [
        load_network(file, torch.device("cpu")).generator.state_dict() for file in (whole, half)
    ]
    for one, other in zip(weights[0].values(), weights[1].values(), strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one.half().float(), other)
    tensors = sum(tensor.numel() for tensor in weights[0].values())
    assert whole.stat().st_size - half.stat().st_size == pytest.approx(2 * tensors, abs=64)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{official}", "--to", "x.pkl"), "must end in .safetensors, .npz, .onnx, .pt2, .ts, "),
        (("{official}", "--to", "{here}/x.npz", "--resolution", "8"), "complete networks"),
        (("{official}", "--to", "{here}/x.pt2", "--resolution", "32"), "choose one of 4, 8, 16"),
        (("{official}", "--half"), "--half applies to network files"),
        (("{official}", "--to", "{here}/x.npz", "--half"), "--half applies to network files"),
        (("{official}", "--resolution", "8"), "name a file with --to as well"),
        (("{official}", "--to", "{official}/x.npz"), "no such folder"),
        (("{official}", "--to", "{here}/taken.npz"), "exists already"),
        (("{here}/nothing.pkl",), "No such file"),
        (("{here}/taken.npz",), "is a text file that begins with 'mine'"),
    ],
)
def test_mistakes(official: Path, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    (tmp_path / "taken.npz").write_text("mine")
    text = message(
        call(interop, *(word.format(official=official, here=tmp_path) for word in words))
    )
    assert said in text
    assert (tmp_path / "taken.npz").read_text() == "mine"


@pytest.mark.parametrize("command", ["generate", "train", "interop"])
@pytest.mark.parametrize("name", ["posix.system", "builtins.eval", "numpy.*memmap"])
def test_no_command_runs_what_a_pickle_asks_for(tmp_path: Path, command: str, name: str) -> None:
    proof = tmp_path / "proof"
    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps((1, attacks.calls(proof)[name], 2), 2))
    result = {
        "generate": lambda: call(
            generate, "--network", path, "--seeds", 0, "--outdir", tmp_path / "out"
        ),
        "train": lambda: call(train, "--init-from", path, "--dry-run"),
        "interop": lambda: call(interop, path),
    }[command]()
    lines = result.output.strip().splitlines()
    assert len(lines) == 1 and f"Error: {path} is refused. The pickle asks for " in lines[0]
    assert message(result) and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".pkl", ".safetensors", ".pth", ""])
def test_content_counts_and_not_the_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"evil{suffix}"
    path.write_bytes(pickle.dumps(attacks.calls(tmp_path / "proof")["posix.system"], 4))
    text = message(call(generate, "--network", path, "--seeds", 0, "--outdir", tmp_path))
    assert "asks for posix.system" in text and list(tmp_path.iterdir()) == [path]


def test_the_source_inside_of_a_pickle_is_not_run(official: Path, tmp_path: Path) -> None:
    """Through the real script: what the networks of these tests hold as source would end it."""
    done = subprocess.run(
        [
            sys.executable, ROOT / "generate.py", "--network", official, "--seeds", "0", "--outdir",
            tmp_path,
        ],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [str(tmp_path / "seed0000.png")]
    assert b"run!" in official.read_bytes()


def test_a_hostile_file_is_one_line_of_the_real_script(tmp_path: Path) -> None:
    path = tmp_path / "karras.pkl"
    path.write_bytes(attacks.by_hand(tmp_path / "proof")["os.system"])
    done = subprocess.run(
        [sys.executable, ROOT / "generate.py", "--network", path, "--seeds", "0",
         "--outdir", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1 and "asks for os.system" in done.stderr
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_that_began_with_the_zoo_is_no_official_network(tmp_path: Path) -> None:
    path = zoo_files.write(tmp_path / "zoo.pth")
    assert call(interop, path, "--to", tmp_path / "ours.safetensors").exit_code == 0
    rows = [
        " ".join(line.split())
        for line in call(interop, tmp_path / "ours.safetensors").output.splitlines()
    ]
    assert "– – blocks.4x4.dense.weight 128x6" in rows


@pytest.mark.parametrize("name", ["b.safetensors", "b.ts", "b.npz"])
def test_what_is_converted_has_a_card(official: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "b.md").write_text("my notes")
    target = tmp_path / "out" / name
    target.parent.mkdir()
    assert call(interop, official, "--to", target).exit_code == 0
    (path,) = target.parent.glob("*.md")
    assert path.name == ("b.md" if name == "b.safetensors" else f"{name}.md")
    text = path.read_text()
    assert f"`{official.name}`, SHA-256 `{hash_file_sha256(official)}`" in text
    assert hash_file_sha256(target) in text and str(tmp_path) not in text
    assert call(interop, official, "--to", tmp_path / name).exit_code == 0
    assert (tmp_path / "b.md").read_text() == "my notes"


def test_counters_have_no_range(tmp_path: Path) -> None:
    """Batch normalisation counts its batches: in a long training more than float16 can."""
    config = Network(resolution=8, latent_size=8, fmap_base=8, kind="dcgan", g_norm="batch")
    generator = build_generator(config)
    initialize(generator, 5, "generator")
    counters = [each for name, each in generator.named_buffers() if "num_batches" in name]
    for each in counters:
        each.fill_(70_000)
    whole, half = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_network(whole, replace(tiny_snapshot(), generator=generator.eval(), level=3))
    result = call(interop, whole, "--to", half, "--half")
    assert result.exit_code == 0, result.output
    found = dict(load_network(half, torch.device("cpu")).generator.named_buffers())
    values = [int(each) for name, each in found.items() if "num_batches" in name]
    assert counters and values == [70_000] * len(counters)


def test_weights_beyond_the_range_of_half_precision_are_refused(tmp_path: Path) -> None:
    snapshot = tiny_snapshot()
    with torch.no_grad():
        next(iter(snapshot.generator.parameters())).flatten()[0] = 70_000
    save_network(tmp_path / "a.safetensors", snapshot)
    half = tmp_path / "b.safetensors"
    result = call(interop, tmp_path / "a.safetensors", "--to", half, "--half")
    assert result.exit_code == 1 and "beyond the range of float16" in message(result)
    assert not half.exists()
