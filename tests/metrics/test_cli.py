"""python -m metrics from the outside."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from metrics.cli import main
from metrics.evaluation import METRICS
from metrics.options import DESCRIPTIONS
from metrics.sources import flip_half_of_source, open_network_source, open_source, resize_source
from progan import networks as nets
from progan.cli.dataset import main as dataset_tool
from progan.config import Network
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.state import initialize
from tests.builders import Energies, detector_file, message, noise_dataset, split_words
from tests.interop import official_files

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*split_words(arguments), "--device", "cpu"])


def refusal(*arguments: object) -> str:
    """What a refused command says, on one line."""
    result = run(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    return " ".join(result.stderr.split())


def noise(seed: int, count: int, side: int, channels: int = 3) -> np.ndarray:
    shape = (count, side, side, channels)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def save(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels.squeeze()).save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `fakes` (10 images 32x32), `reals` (24), `small` (12, 16x16), `grey`, and others."""
    root = tmp_path_factory.mktemp("metrics")
    save(root / "fakes", noise(0, 10, 32))
    # Blocks of four pixels: swd normalises contrast, so another texture has to tell them apart.
    reals = save(root / "reals", noise(1, 24, 8).repeat(4, 1).repeat(4, 2))
    save(root / "small", noise(2, 12, 16))
    save(root / "grey", noise(3, 12, 32, 1))
    with zipfile.ZipFile(root / "reals.zip", "w") as archive:
        for path in sorted(reals.iterdir()):
            archive.write(path, f"inside/{path.name}")
    result = CliRunner().invoke(
        dataset_tool,
        ["create-from-images", "--source", str(reals), "--dest", str(root / "dataset")],
    )
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture(scope="module")
def network(place: Path) -> Path:
    """A run directory whose network was trained to 16x16 of 32x32."""
    generator = nets.build_generator(
        Network(resolution=32, latent_size=8, fmap_base=64, fmap_max=8)
    )
    initialize(generator, 0, "generator")
    path = place / "run" / "network-snapshot-000001.safetensors"
    path.parent.mkdir()
    save_network(path, Snapshot(generator=generator, level=4, alpha=0.5, images_seen=1000))
    return path.parent


def values(path: Path) -> dict[tuple[str, str], dict]:
    """The values in a JSON lines file, by row and metric."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {(line["row"], line["metric"]): line["values"] for line in lines}


def test_two_folders_are_compared(place):
    result = run("--images", place / "fakes", "--reference", place / "reals")
    assert result.exit_code == 0, result.output
    title, header, images, reals = result.stdout.splitlines()
    assert title.startswith(f"images: {place}/fakes   reals: {place}/reals   size: 32x32x3")
    assert header.split() == ["images", "SWDx1e3_32", "SWDx1e3_16", "SWDx1e3_avg", "MS-SSIM"]
    assert images.startswith("images against reals") and reals.startswith("real-vs-real baseline")
    assert [images.split()[3], reals.split()[2]] == ["10", "10"]


@pytest.mark.parametrize("reals", ["reals", "reals.zip", "dataset"])
def test_folder_zip_and_dataset_hold_the_same_images(place, tmp_path, reals):
    run(
        "swd --images",
        place / "fakes",
        "--reference",
        place / reals,
        "--json",
        tmp_path / "one.jsonl",
    )
    run(
        "swd --images",
        place / "fakes",
        "--reference",
        place / "reals",
        "--json",
        tmp_path / "two.jsonl",
    )
    assert len(values(tmp_path / "one.jsonl")) == 2
    assert values(tmp_path / "one.jsonl") == values(tmp_path / "two.jsonl")


def test_images_from_afar_are_further_than_the_baseline(place, tmp_path):
    file = tmp_path / "new" / "lines.jsonl"
    result = run(
        "ms_ssim swd --images",
        place / "fakes",
        "--reference",
        place / "dataset",
        "--repeats 3 --json",
        file,
    )
    assert result.stdout.count("±") == 8
    found = values(file)
    assert list(found) == [
        (row, metric)
        for row in ("images against reals", "real-vs-real baseline")
        for metric in ("ms-ssim", "swd")
    ]
    spread = found["images against reals", "swd"]["SWDx1e3_16"]
    assert spread["std"] > 0
    assert spread["mean"] > found["real-vs-real baseline", "swd"]["SWDx1e3_16"]["mean"]


def test_lines_are_appended_and_say_how_they_were_made(place, tmp_path):
    for seed in (5, 6):
        run(
            "ms-ssim --images",
            place / "fakes",
            "--reference",
            place / "reals",
            "--num-images 8 --seed",
            seed,
            "--json",
            tmp_path / "lines.jsonl",
        )
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert [line["seed"] for line in lines] == [5, 5, 6, 6]
    assert {(line["num_images"], tuple(line["size"])) for line in lines} == {(8, (32, 32, 3))}
    assert lines[0]["values"] != lines[2]["values"]
    assert lines[0]["values"]["MS-SSIM"]["std"] is None


def test_a_baseline_of_fewer_images_is_pointed_out(place):
    result = run(
        "swd --images", place / "dataset", "--reference", place / "reals", "--num-images 24"
    )
    assert "compare with --num-images 12" in result.stdout


def test_reals_of_one_class(place, tmp_path):
    whole = noise_dataset(tmp_path / "set", resolution=32, count=40, classes=2)
    odd = tmp_path / "odd"
    odd.mkdir()
    for row in range(1, 40, 2):
        (image,) = whole.images(5, np.array([row]))
        Image.fromarray(image).save(odd / f"{row:02d}.png")
    common = ("swd", "--images", place / "fakes", "--num-images", 10)
    found = [
        run(*common, "--reference", path, *more, "--json", tmp_path / f"{number}.json")
        for number, (path, more) in enumerate(
            [(odd, ()), (whole.path, ("--subset", 1)), (whole.path, ("--subset", "class-0"))]
        )
    ]
    assert all(result.exit_code == 0 for result in found), [result.output for result in found]
    swd = [
        values(tmp_path / f"{number}.json")["images against reals", "swd"] for number in range(3)
    ]
    assert swd[0] == swd[1] != swd[2]
    assert "no such class" in message(run(*common, "--reference", whole.path, "--subset x"))
    assert "is not a dataset" in message(run(*common, "--reference", odd, "--subset 1"))


def test_a_growing_network_is_enlarged_to_its_final_size(place, network):
    for path in (network, network / "network-snapshot-000001.safetensors"):
        result = run("--network", path, "--data", place / "dataset")
        assert result.exit_code == 0, result.output
        assert "size: 32x32x3" in result.stdout
        assert "images against reals       12" in result.stdout
    small = (
        open_network_source(next(network.iterdir()), CPU).sample(np.arange(4)).read(np.arange(4))
    )
    assert small.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(small[:, ::2, ::2].repeat(2, 1).repeat(2, 2), small)


def test_a_run_has_a_row_for_each_snapshot(place, network, tmp_path):
    folder = tmp_path / "00000-a-run"
    folder.mkdir()
    for name in ("network-snapshot-000001", "network-snapshot-000002"):
        shutil.copy(network / "network-snapshot-000001.safetensors", folder / f"{name}.safetensors")
    result = run(
        "swd --network", tmp_path, "--data", place / "dataset", "--json", tmp_path / "lines.jsonl"
    )
    assert result.exit_code == 0, result.output
    names = [line.split("  ")[0] for line in result.stdout.splitlines()[2:]]
    assert names == ["network-snapshot-000001", "network-snapshot-000002", "real-vs-real baseline"]
    assert [row for row, _ in values(tmp_path / "lines.jsonl")] == names


def test_a_network_draws_what_generate_draws(network, tmp_path):
    from progan.cli.generate import main as generate

    CliRunner().invoke(
        generate,
        ["--network", str(network), "--seeds", "0-2", "--outdir", str(tmp_path), "--device", "cpu"],
    )
    pictures = [np.asarray(Image.open(path)) for path in sorted(tmp_path.iterdir())]
    drawn = open_source(network, CPU).sample(np.arange(3)).read(np.arange(3))
    np.testing.assert_array_equal(drawn[:, ::2, ::2], pictures)


def test_networks_of_other_programs_are_measured(place, tmp_path):
    path = official_files.write(tmp_path / "official.pkl", official_files.networks())
    result = run("swd --network", path, "--reference", place / "small")
    assert result.exit_code == 0, result.output
    assert "size: 16x16x3" in result.stdout


def test_what_to_measure_must_be_said_once(place, network):
    fakes, reals = place / "fakes", place / "reals"
    assert "Missing option '--network' or '--images'." in refusal("--data", reals)
    said = refusal("--data", reals, "--images", fakes, "--network", network)
    assert "--network and --images exclude each other" in said
    assert "Missing option '--data' or '--reference'." in refusal("--images", fakes)
    said = refusal("--images", fakes, "--data", reals, "--reference", reals)
    assert "--data and --reference exclude each other" in said


def test_sizes_that_differ_are_both_named(place):
    said = refusal("--images", place / "fakes", "--reference", place / "small")
    assert "32x32x3" in said and "16x16x3" in said and "--resize 16" in said
    said = refusal("--images", place / "fakes", "--reference", place / "grey")
    assert "32x32x3" in said and "32x32x1" in said


def test_sizes_that_differ_can_be_made_alike(place):
    images = ("--images", place / "fakes", "--reference")
    result = run("swd", *images, place / "small", "--resize 16")
    assert result.exit_code == 0, result.output
    assert "size: 16x16x3" in result.stdout
    # A dataset has been made of averages, which is what --resize makes of whole multiples.
    of_folder, of_dataset = (
        run("swd", *images, place / name, "--resize 16").stdout.splitlines()
        for name in ("reals", "dataset")
    )
    assert of_folder[1:] == of_dataset[1:]


def test_a_folder_of_several_sizes_can_be_resized(place, tmp_path):
    mixed = tmp_path / "mixed"
    for name in ("reals", "small"):
        shutil.copytree(place / name, mixed / name)
    said = refusal("--images", place / "fakes", "--data", mixed)
    assert "small/0.png is 16x16x3. --resize SIDE makes them alike." in said
    images = open_source(mixed, CPU, resize=8)
    rows = np.arange(24 + 12)
    parts = [resize_source(open_source(place / name, CPU), 8) for name in ("reals", "small")]
    expected = [part.sample(np.arange(part.count)).read(np.arange(part.count)) for part in parts]
    np.testing.assert_array_equal(images.sample(rows).read(rows), np.concatenate(expected))
    result = run("swd", "--images", mixed, "--data", mixed, "--resize 16")
    assert result.exit_code == 0, result.output
    shutil.copytree(place / "grey", mixed / "z")
    assert "create-from-images --channels 3 makes a dataset" in refusal(
        "--images", mixed, "--data", mixed, "--resize 16"
    )


def test_what_was_enlarged_is_itself_when_brought_back(place, network):
    grown = resize_source(open_network_source(next(network.iterdir()), CPU), 16).sample(
        np.arange(4)
    )
    pictures = (
        open_network_source(next(network.iterdir()), CPU).sample(np.arange(4)).read(np.arange(4))
    )
    np.testing.assert_array_equal(grown.read(np.arange(4)), pictures[:, ::2, ::2])


def test_reals_are_mirrored_for_networks_that_mirror(place):
    source = open_source(place / "dataset", CPU)
    rows = np.arange(source.count)
    plain, flipped = (kind.sample(rows) for kind in (source, flip_half_of_source(source)))
    images, found = plain.read(rows), flipped.read(rows)
    is_flipped = (found == images[:, :, ::-1]).all((1, 2, 3))
    assert 0 < is_flipped.sum() < len(rows)
    np.testing.assert_array_equal(found[~is_flipped], images[~is_flipped])
    assert plain.cache != flipped.cache
    arguments = ("swd", "--images", place / "fakes", "--reference", place / "dataset")
    assert run(*arguments).stdout != run(*arguments, "--mirror").stdout


def test_too_many_images_are_refused(place):
    said = refusal("--images", place / "fakes", "--reference", place / "reals", "--num-images 12")
    assert "fakes has 10 images, and 12 are asked for. Ask for 2 to 10" in said


def test_odd_numbers_are_refused_by_the_metric_that_needs_pairs(place):
    arguments = ("--images", place / "fakes", "--reference", place / "reals", "--num-images", 9)
    assert "odd number" in refusal("ms-ssim", *arguments)
    assert run("swd", *arguments).exit_code == 0


def test_too_few_reals_are_refused(place, tmp_path):
    save(tmp_path / "three", noise(0, 3, 32))
    said = refusal("--images", place / "fakes", "--reference", tmp_path / "three")
    assert "three has only 3 images" in said


def test_what_is_no_image_is_named(place, tmp_path):
    save(tmp_path / "broken", noise(0, 6, 32))
    (tmp_path / "broken" / "3.png").write_bytes(b"not a picture")
    said = refusal(
        "--images", tmp_path / "broken", "--reference", place / "reals", "--num-images 6"
    )
    assert "Cannot read 3.png in" in said and "Repair or remove it" in said
    Image.new("RGB", (32, 48)).save(tmp_path / "broken" / "3.png")
    said = refusal(
        "--images", tmp_path / "broken", "--reference", place / "reals", "--num-images 6"
    )
    assert "0.png is 32x32x3" in said and "3.png is 32x48x3" in said


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent", "No such file"),
        ("empty", "No images in"),
        ("text.txt", "is a text file"),
        ("fake.safetensors", "is a text file that begins"),
    ],
)
def test_paths_that_hold_no_images_are_refused(place, tmp_path, name, reason):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("words")
    (tmp_path / "fake.safetensors").write_text("words")
    assert reason in refusal("--images", place / "fakes", "--reference", tmp_path / name)


def test_a_network_is_no_reference(place, network):
    said = refusal("--images", place / "small", "--reference", network)
    assert "is a network. Name the real images" in said


@pytest.fixture(scope="module")
def detector(place: Path) -> Path:
    """A network of features and classes."""
    return detector_file(place / "energies.pt", Energies())


def test_metrics_of_features_end_to_end(place, detector, tmp_path):
    names = ("fid", "kid", "kid75", "is", "pr")
    result = run(
        *names,
        "--images",
        place / "fakes",
        "--reference",
        place / "dataset",
        "--detector",
        detector,
        "--repeats 2 --num-images 10 --json",
        tmp_path / "lines.jsonl",
    )
    assert result.exit_code == 0, result.output
    columns = ["FID", "KIDx1e3", "KID75x1e3", "IS", "precision", "recall"]
    assert result.stdout.splitlines()[1].split() == ["images", *columns]
    assert result.stdout.count("±") == 2 * len(columns)
    found = values(tmp_path / "lines.jsonl")
    assert [metric for _, metric in found] == list(names) * 2
    images, reals = (
        {column: value["mean"] for name in names for column, value in found[row, name].items()}
        for row in ("images against reals", "real-vs-real baseline")
    )
    for column in ("FID", "KIDx1e3", "KID75x1e3"):
        assert images[column] > 2 * abs(reals[column])
    assert images["precision"] == images["recall"] == 0 < reals["precision"]
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert {line["detector"] for line in lines} == {"energies.pt"}


def test_features_need_a_detector_that_works(place, tmp_path):
    (tmp_path / "net.pt").write_text("words")
    compared = ("--images", place / "fakes", "--reference", place / "reals", "--num-images", 10)
    assert "is not a detector" in refusal("fid", *compared, "--detector", tmp_path / "net.pt")
    assert "No such file" in refusal("fid", *compared, "--detector", tmp_path / "absent.pt")
    assert run("swd", *compared, "--detector", tmp_path / "net.pt").exit_code == 0, "not asked"


def test_a_score_of_classes_needs_classes(place, tmp_path):
    class Means(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.float().mean((2, 3))

    file = detector_file(tmp_path / "means.pt", Means())
    said = refusal(
        "fid is --images",
        place / "fakes",
        "--reference",
        place / "reals",
        "--num-images 10 --detector",
        file,
    )
    assert "is needs classes, and the detector means.pt has only features" in said


def test_unknown_metrics_are_answered_with_the_known_ones(place):
    result = run("swdd --images", place / "fakes", "--reference", place / "reals")
    assert result.exit_code == 2
    assert "swd" in result.stderr and "ms-ssim" in result.stderr


def test_the_table_has_all_names():
    assert list(METRICS) == list(DESCRIPTIONS)


def test_help_is_quick():
    script = (
        "import sys, runpy; sys.argv[1:] = ['--help']\n"
        "try: runpy.run_module('metrics', run_name='__main__')\n"
        "finally: print(sorted({'torch', 'numpy', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    assert "ms-ssim" in result.stdout
    assert result.stdout.splitlines()[-1] == "[]", result.stdout


def test_a_json_file_that_cannot_be_written_is_refused_first(place, tmp_path, monkeypatch):
    monkeypatch.setattr("metrics.evaluation.evaluate", None)
    said = refusal("--images", place / "fakes", "--reference", place / "reals", "--json", tmp_path)
    assert f"{tmp_path}: Is a directory" in said
