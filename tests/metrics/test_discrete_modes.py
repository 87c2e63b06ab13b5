"""The discrete-mode test: its arithmetic, its classifier, and its command."""

import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import save_file

from metrics.cli import main
from metrics.detector import MetricContext, open_detector
from metrics.discrete_modes import (
    ClassifierInfo,
    DigitClassifier,
    augment_digits,
    count_modes_and_kl,
    load_classifier,
    save_classifier,
)
from metrics.evaluation import METRICS
from progan import networks as nets
from progan.cli.train import main as train_command
from progan.config import Network
from progan.data.reader import Dataset
from progan.errors import UserError
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.state import initialize
from tests.builders import (
    Energies,
    detector_file,
    digits_dataset,
    message,
    noise_dataset,
    split_words,
    tiny_options,
    tiny_snapshot,
)

CPU = torch.device("cpu")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["discrete-modes", *split_words(arguments), "--device", "cpu"])


def train(file: Path, data: Path, *arguments: object) -> Result:
    return run("--train-classifier --data", data, "--classifier", file, *arguments)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Datasets `digits`, `stacks` (600 RGB images) and a `classifier.safetensors` of digits."""
    root = tmp_path_factory.mktemp("modes")
    digits_dataset(root / "digits", count=300)
    digits_dataset(root / "stacks", count=600, stacked=True)
    result = train(root / "classifier.safetensors", root / "digits", "--epochs 10")
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture(scope="module")
def network(place: Path) -> Path:
    """A run of two snapshots, of 32x32."""
    generator = nets.build_generator(
        Network(resolution=32, latent_size=8, fmap_base=64, fmap_max=8)
    )
    initialize(generator, 0, "generator")
    folder = place / "run"
    folder.mkdir()
    for kimg, level in ((1, 4), (2, 5)):
        save_network(
            folder / f"network-snapshot-{kimg:06d}.safetensors",
            Snapshot(generator=generator, level=level, alpha=1, images_seen=kimg * 1000),
        )
    return folder


def reference(labels: np.ndarray) -> tuple[int, float]:
    """The same by counting one label after the other."""
    counts = Counter(labels.tolist())
    return len(counts), math.fsum(
        count / len(labels) * math.log(1000 * count / len(labels)) for count in counts.values()
    )


@pytest.mark.parametrize(
    ("labels", "modes", "kl"),
    [
        (np.arange(1000), 1000, 0),
        (np.repeat(np.arange(1000), 7), 1000, 0),
        (np.full(50, 407), 1, math.log(1000)),
        (np.arange(500) * 2, 500, math.log(2)),
        (np.array([0, 0, 0, 999]), 2, 0.75 * math.log(750) + 0.25 * math.log(250)),
    ],
)
def test_known_histograms(labels, modes, kl):
    found, divergence = count_modes_and_kl(labels)
    assert found == modes
    assert divergence == pytest.approx(kl, abs=1e-12)


@pytest.mark.parametrize("power", [1, 2, 5])
def test_histograms_are_as_counted_one_by_one(power):
    labels = (np.random.RandomState(power).rand(3000) ** power * 1000).astype(np.int64)
    assert count_modes_and_kl(labels) == (reference(labels)[0], pytest.approx(reference(labels)[1]))


def test_what_equally_frequent_modes_have():
    """E KL = (K - 1) / 2N + (K² - 1) / 12N² + …, by the expansion of Miller and Madow."""
    random = np.random.RandomState(0)
    found = [count_modes_and_kl(random.randint(1000, size=25600))[1] for _ in range(200)]
    assert np.mean(found) == pytest.approx(999 / 51200 + 999_999 / (12 * 25600**2), rel=0.01)


def test_the_classifier_reads_digits_and_its_file_says_how_well(place):
    classifier, origin = load_classifier(place / "classifier.safetensors", CPU)
    assert (origin.num_training, origin.num_held_out, origin.epochs) == (270, 30, 10)
    assert origin.error <= 0.1
    assert origin.fingerprint == Dataset.open(place / "digits").fingerprint
    assert not classifier.training


def test_training_depends_on_the_seed_alone_and_says_the_error(place, tmp_path):
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.safetensors")]
    for file, seed in zip(files, (3, 3, 4), strict=True):
        result = train(file, place / "digits", "--epochs 1 --seed", seed)
        assert result.exit_code == 0, result.output
        assert result.stdout.startswith(f"{file}: trained on 270 digits in ")
        assert "% on 30 held-out digits." in result.stdout
        torch.rand(1)  # whatever else is drawn
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other


def test_the_hold_out_of_the_dataset_counts_the_errors(tmp_path):
    digits_dataset(tmp_path / "data", count=100, holdout=0.25)
    result = train(tmp_path / "new" / "c.safetensors", tmp_path / "data", "--epochs 1")
    assert "trained on 75 digits" in result.stdout
    assert "on 25 held-out digits" in result.stdout


def test_digits_without_their_border_are_read_the_same():
    classifier = DigitClassifier().eval()
    digits = torch.rand(3, 1, 28, 28) * 2 - 1
    padded = torch.nn.functional.pad(digits, [2] * 4, value=-1)
    assert torch.equal(classifier(digits), classifier(padded))


@pytest.mark.parametrize("side", [None, 75])
def test_digits_that_fit_keep_their_size_whatever_size_a_metric_asks_for(tmp_path, side):
    classifier = DigitClassifier().eval()
    info = ClassifierInfo(
        dataset="", fingerprint="", num_training=1, num_held_out=1, epochs=1, seed=0, error=0.0
    )
    save_classifier(tmp_path / "c.safetensors", classifier, info)
    detector = open_detector(tmp_path / "c.safetensors", "inception", torch.device("cpu"))
    digits = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    features, _ = detector.embed(digits, side)
    assert torch.equal(features, detector.embed(digits)[0])


def test_deforming_moves_digits_a_little():
    digits = torch.full((64, 1, 32, 32), -1.0)
    digits[:, :, 13:19, 13:19] = 1
    moved = augment_digits(digits, torch.Generator().manual_seed(0))
    assert moved.shape == digits.shape
    ink = (moved + 1).sum((1, 2, 3)) / (digits + 1).sum((1, 2, 3))
    assert (ink > 0.7).all() and (ink < 1.4).all()
    rows = torch.arange(32.0)
    centres = ((moved + 1).sum((1, 3)) * rows).sum(1) / (moved + 1).sum((1, 2, 3))
    assert (centres - 15.5).abs().max() < 3.5 and centres.std() > 1


def test_three_channels_are_read_as_hundreds_tens_and_ones(place):
    dataset = Dataset.open(place / "stacks")
    rows = np.arange(200)
    detector = open_detector(place / "classifier.safetensors", "inception", CPU)
    images = torch.from_numpy(dataset.images(5, rows)).permute(0, 3, 1, 2)
    features, logits = detector.embed(images)
    assert features.shape[0] == 200
    assert logits is not None and logits.shape == (200, 1000)
    assert (logits.argmax(1).numpy() == dataset.labels(rows)).mean() > 0.85
    assert logits.exp().sum(1).numpy() == pytest.approx(1, abs=1e-4)


def test_a_network_has_a_row_for_each_snapshot_beside_the_reals(place, network, tmp_path):
    result = run(
        "--network",
        network,
        "--data",
        place / "stacks",
        "--num-images 64 --classifier",
        place / "classifier.safetensors",
        "--repeats 2 --json",
        tmp_path / "found.jsonl",
    )
    assert result.exit_code == 0, result.output
    _, header, *rows = result.stdout.splitlines()
    assert header.split() == ["images", "modes", "KL"]
    assert [row.split()[0] for row in rows] == [
        "network-snapshot-000001",
        "network-snapshot-000002",
        "real-vs-real",
    ]
    lines = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [line["row"] for line in lines] == [
        "network-snapshot-000001",
        "network-snapshot-000002",
        "real-vs-real baseline",
    ]
    assert lines[0]["detector"] == "classifier.safetensors"
    reals = lines[-1]["values"]
    assert 50 < reals["modes"]["mean"] <= 64
    assert lines[0]["values"]["KL"]["mean"] > reals["KL"]["mean"]


def test_lost_modes_are_seen(place, tmp_path):
    dataset = Dataset.open(place / "stacks")
    (tmp_path / "few").mkdir()
    for number in range(40):
        Image.fromarray(dataset.images(5, np.array([number % 4]))[0]).save(
            tmp_path / "few" / f"{number:02}.png"
        )
    run(
        "--images",
        tmp_path / "few",
        "--reference",
        place / "stacks",
        "--num-images 40 --classifier",
        place / "classifier.safetensors",
        "--json",
        tmp_path / "found.jsonl",
    )
    few, reals = (
        json.loads(line)["values"] for line in (tmp_path / "found.jsonl").read_text().splitlines()
    )
    assert few["modes"]["mean"] <= 4 < 30 < reals["modes"]["mean"]
    assert few["KL"]["mean"] > reals["KL"]["mean"] + 1


@pytest.mark.parametrize("change", ["words", "foreign", "version", "weights", "pickle"])
def test_a_foreign_classifier_is_refused(place, tmp_path, change):
    file = tmp_path / "c.safetensors"
    if change == "words":
        file.write_text("these are not weights")
    elif change == "pickle":
        detector_file(file, Energies())
    else:
        header = {
            "foreign": {},
            "version": {"format": "progan digit classifier", "version": 9},
            "weights": {"format": "progan digit classifier", "version": 1},
        }[change]
        save_file({"x": torch.zeros(1)}, file, {"progan": json.dumps(header)})
    said = message(
        run(
            "--images",
            place / "stacks",
            "--data",
            place / "stacks",
            "--num-images 4 --classifier",
            file,
        )
    )
    assert str(file) in said or "c.safetensors is none" in said
    assert "igit classifier" in said


def test_what_has_no_digits_is_refused(place, tmp_path):
    classifier = place / "classifier.safetensors"
    noise_dataset(tmp_path / "noise", resolution=32)
    noise_dataset(tmp_path / "ten", resolution=32, classes=10)
    noise_dataset(tmp_path / "small", resolution=16, count=40)
    said = message(train(tmp_path / "c", tmp_path / "noise"))
    assert "has 0 classes, not the ten digits" in said and "create-mnist" in said
    said = message(train(tmp_path / "c", tmp_path / "ten"))
    assert "has images of 32x32x3, not digits of 32x32x1" in said
    said = message(train(tmp_path / "c", place / "stacks"))
    assert "has 1000 classes, not the ten digits" in said
    assert not (tmp_path / "c").exists()
    few = ("--num-images", 4, "--classifier", classifier)
    said = message(run("--images", place / "digits", "--data", place / "digits", *few))
    assert "images of 32x32x1 have 1" in said and "create-mnist-rgb" in said
    said = message(run("--images", tmp_path / "small", "--data", tmp_path / "small", *few))
    assert "the images are 16x16x3" in said and "Resize them to 32x32" in said
    said = message(
        run("--images", place / "digits", "--data", place / "digits", *few, "--epochs 3")
    )
    assert "--epochs needs --train-classifier" in said
    result = run("--images", tmp_path / "small", "--data", tmp_path / "small", *few, "--resize 32")
    assert result.exit_code == 0, result.output


def test_what_is_missing_is_named(place, tmp_path):
    said = message(
        run(
            "--images",
            place / "stacks",
            "--data",
            place / "stacks",
            "--classifier",
            tmp_path / "none",
        )
    )
    assert f"No such file: {tmp_path / 'none'}" in said and "--train-classifier" in said
    said = message(run("--images", place / "stacks", "--data", place / "stacks"))
    assert "--classifier" in said
    said = message(
        run("--classifier", place / "classifier.safetensors", "--data", place / "stacks")
    )
    assert "Missing option '--network' or '--images'." in said
    said = message(run("--train-classifier --classifier", tmp_path / "c"))
    assert "Missing option '--data' or '--reference'." in said
    said = message(
        run(
            "--train-classifier --classifier",
            tmp_path / "c",
            "--network",
            tmp_path,
            "--data",
            place / "digits",
            "--json x --num-images 4",
        )
    )
    assert "--train-classifier cannot be combined with --network, --json, --num-images." in said
    assert "is a folder. Name a file in it." in message(train(tmp_path, place / "digits"))


def test_other_detectors_read_no_digits(tmp_path):
    detector = open_detector(detector_file(tmp_path / "x.pt", Energies()), "inception", CPU)
    with pytest.raises(UserError, match="x.pt is none"):
        METRICS["discrete-modes"].require_detector(
            MetricContext(seed=0, device=CPU, detector=detector)
        )


def test_networks_are_no_classifiers(tmp_path):
    save_network(tmp_path / "n.safetensors", tiny_snapshot())
    with pytest.raises(UserError, match="is not a digit classifier"):
        load_classifier(tmp_path / "n.safetensors", CPU)


def test_a_training_can_count_modes(place, tmp_path):
    words = [
        "--data",
        str(place / "stacks"),
        "--outdir",
        str(tmp_path),
        "--metrics",
        "discrete-modes64",
        *tiny_options(resolution=32, total_kimg=1),
    ]
    result = CliRunner().invoke(
        train_command,
        [*words, "--detector", str(place / "classifier.safetensors"), "--best", "discrete-modes"],
    )
    assert result.exit_code == 0, result.output
    (lines,) = tmp_path.glob("*/metric-discrete-modes64.jsonl")
    line = json.loads(lines.read_text().splitlines()[-1])
    assert 1 <= line["values"]["modes"] <= 64 and line["reals"]["modes"] > 50
    assert (lines.parent / "network-best-discrete-modes64.safetensors").is_file()
    other = detector_file(tmp_path / "x.pt", Energies())
    said = message(CliRunner().invoke(train_command, [*words, "--detector", str(other)]))
    assert "x.pt is none" in said and "--train-classifier" in said
