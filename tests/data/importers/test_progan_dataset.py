"""A dataset of ours at a lower resolution."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from progan.cli.dataset import main
from progan.data.image_source import ImageSource, Sample
from progan.data.importers.catalog import import_dataset
from progan.data.reader import Dataset
from progan.data.writer import write_dataset
from progan.errors import UserError

IMAGES = np.random.RandomState(0).randint(0, 256, (12, 32, 32, 3)).astype(np.uint8)
POINTS = np.random.RandomState(1).uniform(0, 32, (12, 5, 2)).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve images 32x32 with landmarks in two classes, three of them held out."""
    write_dataset(
        ImageSource(
            description="noise",
            resolution=32,
            channels=3,
            count=12,
            labels=np.arange(12) // 6,
            label_names=("cat", "dog"),
            has_landmarks=True,
            read=lambda row: Sample(IMAGES[row], POINTS[row]),
        ),
        tmp_path / "s",
        holdout=0.25,
        seed=3,
    )
    return tmp_path / "s"


def created(source: Path, name: str, *words: object) -> Dataset:
    dest = source.parent / name
    result = CliRunner().invoke(
        main,
        ["create-from-dataset", "--source", str(source), "--dest", str(dest), *map(str, words)],
    )
    assert result.exit_code == 0, result.output
    return Dataset.open(dest)


def test_levels_are_the_same_bytes(source: Path) -> None:
    small, whole = created(source, "d", "--resolution", 8, "--workers", 2), Dataset.open(source)
    assert small.resolution == 8
    assert list(small.info.levels) == [2, 3]
    for name in ("level-02.npy", "level-03.npy", "labels.npy", "holdout.npy"):
        assert (small.path / name).read_bytes() == (source / name).read_bytes()
    assert small.label_names == ("cat", "dog")
    rows = np.arange(12)
    np.testing.assert_allclose(small.landmarks(rows), POINTS / 4)
    # The level below is not that of the rounded pixels of the new top.
    averages = whole.images(3, rows).astype(float).reshape(12, 4, 2, 4, 2, 3).mean((2, 4))
    assert (small.images(2, rows) != np.rint(averages)).any()


def test_a_copy_has_the_same_fingerprint(source: Path) -> None:
    assert created(source, "d").fingerprint == Dataset.open(source).fingerprint


def test_a_part_keeps_what_is_held_out(source: Path) -> None:
    whole = Dataset.open(source)
    part = created(source, "d", "--resolution", 16, "--max-images", 8, "--seed", 5)
    rows = np.sort(np.random.RandomState(5).permutation(12)[:8])
    np.testing.assert_array_equal(part.images(4, np.arange(8)), whole.images(4, rows))
    assert part.labels(np.arange(8)).tolist() == (rows // 6).tolist()
    assert rows[part.held_out_rows].tolist() == sorted(set(rows) & set(whole.held_out_rows))
    assert 0 < len(part.held_out_rows) < 8


def test_holdout_draws_anew(source: Path) -> None:
    assert len(created(source, "d", "--holdout", 0.5, "--seed", 1).held_out_rows) == 6


def test_mistakes_are_named(source: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--resolution is one of 4, 8, 16, 32"):
        import_dataset(source, resolution=64)
    with pytest.raises(UserError, match="absent does not exist"):
        import_dataset(tmp_path / "absent")
    first = int(Dataset.open(source).held_out_rows[0])
    seed = next(
        seed for seed in range(1000) if np.random.RandomState(seed).permutation(12)[0] == first
    )
    with pytest.raises(UserError, match="The 1 image taken of .* is held out there"):
        import_dataset(source, max_images=1, seed=seed)


def test_damage_is_not_copied(source: Path) -> None:
    """The copy would have checksums of its own, that fit the damage."""
    with (source / "level-04.npy").open("r+b") as file:
        file.seek(1000)
        file.write(bytes([file.read(1)[0] ^ 1]))
    fault = r"s is damaged:\n  level-04.npy has other content than when it was written\nCopy"
    with pytest.raises(UserError, match=fault):
        import_dataset(source, resolution=16)
    assert created(source, "d", "--resolution", 8).resolution == 8  # of other files
