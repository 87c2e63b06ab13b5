"""What generate.py is asked for, and the files it makes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from progan import __version__
from progan.errors import UserError
from progan.sampling.latents import seed_latents
from progan.sampling.network_file import Snapshot, fingerprint
from progan.sampling.pictures import (
    from_file,
    from_seeds,
    of_class,
    parse_grid,
    place,
    provenance,
    write,
)
from progan.sampling.render import render
from progan.sizes import Size
from tests.builders import tiny_snapshot

TEXT = {"Software": "progan"}


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_seeds_become_names_latents_and_classes(with_classes: Snapshot) -> None:
    wish = from_seeds(with_classes, "2,10000")
    assert wish.names == ("seed0002", "seed10000")
    assert torch.equal(wish.latents, seed_latents([2, 10000], 8))
    assert wish.labels.tolist() == [[0, 0, 1], [0, 1, 0]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_rows_of_a_file_become_pictures(snapshot: Snapshot, tmp_path: Path, dtype: type) -> None:
    rows = np.random.RandomState(0).randn(3, 8).astype(dtype)
    np.save(tmp_path / "z.npy", rows)
    wish = from_file(snapshot, tmp_path / "z.npy")
    assert wish.names == ("latent0000", "latent0001", "latent0002")
    assert wish.latents.dtype == torch.float32
    np.testing.assert_array_equal(wish.latents, rows.astype(np.float32))


@pytest.mark.parametrize(("rows", "found"), [
    (np.zeros((2, 7)), r"float64 \[2, 7\]"), (np.zeros(8), r"float64 \[8\]"),
    (np.zeros((0, 8)), r"float64 \[0, 8\]"), (np.zeros((2, 8), int), r"int64 \[2, 8\]"),
    (np.zeros((1, 2, 8), np.float32), r"float32 \[1, 2, 8\]")])
def test_latents_of_another_shape_are_described(
    snapshot: Snapshot, tmp_path: Path, rows: np.ndarray, found: str
) -> None:
    np.save(tmp_path / "z.npy", rows)
    with pytest.raises(UserError, match=rf"holds {found}; this network takes .*float32 \[N, 8\]"):
        from_file(snapshot, tmp_path / "z.npy")


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_latents_that_are_no_numbers_are_refused(
    snapshot: Snapshot, tmp_path: Path, number: float
) -> None:
    np.save(tmp_path / "z.npy", np.full((2, 8), number))
    with pytest.raises(UserError, match="not finite"):
        from_file(snapshot, tmp_path / "z.npy")


def test_an_archive_is_no_array(snapshot: Snapshot, tmp_path: Path) -> None:
    np.savez(tmp_path / "z.npz", a=np.zeros((2, 8)))
    with pytest.raises(UserError, match="holds archive"):
        from_file(snapshot, tmp_path / "z.npz")


class Bomb:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def test_pickles_are_refused_and_not_executed(snapshot: Snapshot, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    np.save(tmp_path / "z.npy", np.array([Bomb(trace)], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="Cannot read latents from .*z.npy"):
        from_file(snapshot, tmp_path / "z.npy")
    assert not trace.exists()


@pytest.mark.parametrize("content", [None, b"", b"text\n"])
def test_missing_and_foreign_files_are_named(
    snapshot: Snapshot, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "z.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"Cannot read latents from .*z.npy.*float32 \[N, 8\]"):
        from_file(snapshot, tmp_path / "z.npy")


@pytest.mark.parametrize(("name", "index"), [("3", 0), ("7", 1), ("1", 2), ("0", 0), ("2", 2)])
def test_a_class_is_a_name_first_and_else_an_index(
    with_classes: Snapshot, name: str, index: int
) -> None:
    wish = of_class(with_classes, from_seeds(with_classes, "0-4"), name)
    assert wish.labels.argmax(dim=1).tolist() == [index] * 5
    assert wish.labels.sum().item() == 5


@pytest.mark.parametrize("name", ["4", "-1", "three", "", "1.0"])
def test_an_unknown_class_is_answered_with_all(with_classes: Snapshot, name: str) -> None:
    with pytest.raises(UserError) as caught:
        of_class(with_classes, from_seeds(with_classes, "0"), name)
    assert str(caught.value) == f"There is no class {name!r}. Classes: 0 3, 1 7, 2 1."


def test_a_network_without_labels_has_no_classes(snapshot: Snapshot) -> None:
    with pytest.raises(UserError, match="--class 3: this network was trained without labels"):
        of_class(snapshot, from_seeds(snapshot, "0"), "3")


def test_pictures_are_as_large_as_was_trained_or_smaller() -> None:
    fading = tiny_snapshot(level=4, alpha=0.25)
    assert place(fading, None) == place(fading, 16) == (4, 0.25)
    assert place(fading, 8) == (3, 1.0)
    assert place(fading, 4) == (2, 1.0)


@pytest.mark.parametrize("resolution", [0, 2, 12, 16, 1024, -8])
def test_other_resolutions_are_answered_with_those_there_are(resolution: int) -> None:
    message = f"--resolution {resolution}: .*up to 8; choose one of 4, 8"
    with pytest.raises(UserError, match=message):
        place(tiny_snapshot(level=3), resolution)


@pytest.mark.parametrize(("text", "count", "layout"), [("8x4", 32, (8, 4)), ("8x4", 1, (8, 4)),
                                                       ("1x1", 1, (1, 1))])
def test_grids(text: str, count: int, layout: tuple[int, int]) -> None:
    assert parse_grid(text, count) == layout


@pytest.mark.parametrize("text", [
    "", "8", "8x", "x4", "8*4", "0x4", "4x0", "8x4x2", "-1x4", "2.5x2"])
def test_what_is_no_grid_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(UserError, match="is not COLSxROWS such as 8x4"):
        parse_grid(text, 1)


def test_a_grid_that_is_too_small_is_counted() -> None:
    with pytest.raises(UserError, match="--grid 3x2 has 6 cells, too few for 7 pictures"):
        parse_grid("3x2", 7)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_seed_gets_its_file(tmp_path: Path, channels: int) -> None:
    snapshot = tiny_snapshot(channels=channels)
    wish = from_seeds(snapshot, "0-70")  # more than a batch
    paths = list(write(snapshot, wish, 3, 1.0, tmp_path / "new/out", TEXT, None))
    assert [path.name for path in paths] == [f"seed{seed:04d}.png" for seed in range(71)]
    assert sorted((tmp_path / "new/out").iterdir()) == sorted(paths)
    expected = render(snapshot.generator, wish.latents, wish.labels, 3)
    for path, picture in zip(paths, expected, strict=True):
        np.testing.assert_array_equal(pixels(path).reshape(picture.shape), picture)
    with Image.open(paths[7]) as image:
        assert image.text == {"Software": "progan", "Latent": "seed0007"}


def test_a_grid_is_one_file_with_all_cells(snapshot: Snapshot, tmp_path: Path) -> None:
    wish = from_seeds(snapshot, "0-2")
    (path,) = write(snapshot, wish, 4, 1.0, tmp_path, TEXT, (2, 3))
    sheet = pixels(path)
    assert (path.name, sheet.shape) == ("grid.png", (48, 32, 3))
    pictures = render(snapshot.generator, wish.latents, wish.labels, 4)
    for picture, (y, x) in zip(pictures, [(0, 0), (0, 16), (16, 0)], strict=True):
        np.testing.assert_array_equal(sheet[y:y + 16, x:x + 16], picture)
    assert not sheet[16:, 16:].any() and not sheet[32:].any()
    with Image.open(path) as image:
        assert image.text["Latents"] == "seed0000 seed0001 seed0002"


def test_pictures_of_other_shapes(tmp_path: Path) -> None:
    landscape = tiny_snapshot(base=Size(4, 6))
    wish = from_seeds(landscape, "0-2")
    for path in write(landscape, wish, 3, 1.0, tmp_path, TEXT, None):
        assert pixels(path).shape == (8, 12, 3)
    (path,) = write(landscape, wish, 4, 1.0, tmp_path, TEXT, (2, 2))
    assert pixels(path).shape == (32, 48, 3)
    with pytest.raises(UserError, match=r"choose one of 4 \(6x4\), 8 \(12x8\), 16 \(24x16\)"):
        place(landscape, 24)
    with pytest.raises(UserError, match="--grid 2000x2000 of 24x16 pictures is a sheet of 4.3 GiB"):
        list(write(landscape, wish, 4, 1.0, tmp_path, TEXT, (2000, 2000)))


def test_a_picture_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "n.safetensors").write_bytes(b"abc")
    assert provenance(tmp_path / "n.safetensors", "generate.py --seeds 0") == {
        "Software": f"progan {__version__}", "Command": "generate.py --seeds 0",
        "Network": f"n.safetensors {fingerprint(tmp_path / 'n.safetensors')}"}
