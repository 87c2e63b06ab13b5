"""Birds in their bounding boxes."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from progan.cli.dataset import main
from progan.data.importers.photo_datasets import Box, compute_crop_box, import_cub200
from progan.data.reader import Dataset
from progan.errors import UserError

NAMES = ("001.Albatross", "002.Wren")
BIRDS = np.random.RandomState(0).randint(0, 256, (4, 40, 60, 3)).astype(np.uint8)
BOXES = ("22.0 14.0 16.0 8.0", "0.0 0.0 60.0 40.0", "50.0 10.0 10.0 20.0", "1.0 2.0 3.5 3.0")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "CUB_200_2011"
    paths = [f"{NAMES[row // 2]}/bird_{row}.png" for row in range(4)]
    for path, bird in zip(paths, BIRDS, strict=True):
        (root / "images" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(bird).save(root / "images" / path)
    write(root, "images.txt", paths)
    write(root, "bounding_boxes.txt", BOXES)
    write(root, "classes.txt", NAMES)
    write(root, "image_class_labels.txt", ["1", "1", "2", "2"])
    return root


def write(root: Path, name: str, lines: list[str] | tuple[str, ...]) -> None:
    (root / name).write_text("".join(f"{row} {line}\n" for row, line in enumerate(lines, 1)))


def test_birds_are_cut_out(root: Path) -> None:
    images = import_cub200(root.parent, resolution=4)
    assert (images.resolution, images.channels, images.count) == (4, 3, 4)
    assert images.label_names == NAMES
    assert images.labels is not None
    assert images.labels.tolist() == [0, 0, 1, 1]
    # 16x8 around (30, 18), a quarter larger: 20x20 from (20, 8).
    boxes = BIRDS[0, 8:28, 20:40].reshape(4, 5, 4, 5, 3).mean((1, 3))
    np.testing.assert_allclose(images.read(0).image, boxes, atol=1.01)
    assert images.read(1).image.shape == (4, 4, 3)  # stretched


@pytest.mark.parametrize(
    ("box", "padding", "expected"),
    [
        (Box(22, 14, 16, 8), 0.25, (20, 8, 40, 28)),
        (Box(22, 14, 16, 8), 0.0, (22, 10, 38, 26)),
        (Box(0, 0, 60, 40), 0.25, (0, 0, 60, 40)),  # no farther than the image reaches
        (Box(50, 10, 10, 20), 0.25, (50, 8, 60, 33)),  # 25x25 would leave the image on the right
    ],
)
def test_crop(box: Box, padding: float, expected: tuple[int, ...]) -> None:
    assert compute_crop_box(box, 60, 40, padding) == expected


@given(
    left=st.floats(0, 99),
    top=st.floats(0, 49),
    width=st.floats(1, 200),
    height=st.floats(1, 200),
    padding=st.floats(0, 1),
)
def test_crops_are_inside(
    left: float, top: float, width: float, height: float, padding: float
) -> None:
    x0, y0, x1, y1 = compute_crop_box(Box(left, top, width, height), 100, 50, padding)
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 50
    assert max(x1 - x0, y1 - y0) <= round(max(width, height) * (1 + padding))


def test_labels_follow_the_chosen_images(root: Path) -> None:
    everything = import_cub200(root, resolution=16)
    taken = import_cub200(root, resolution=16, max_images=2, seed=1)
    assert everything.labels is not None
    assert taken.labels is not None
    for row, original in enumerate(sorted(np.random.RandomState(1).permutation(4)[:2])):
        assert taken.labels[row] == everything.labels[original]
        np.testing.assert_array_equal(taken.read(row).image, everything.read(original).image)


def test_a_bad_image_stops_or_is_skipped(root: Path) -> None:
    (root / "images" / NAMES[0] / "bird_1.png").write_text("text")
    write(root, "bounding_boxes.txt", (*BOXES[:3], "70 2 30 3"))
    words = ["create-cub200", "--source", str(root), "--dest", str(root.parent / "d")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert "001.Albatross/bird_1.png: not an image" in result.output
    assert [path.name for path in root.parent.iterdir()] == [root.name]
    result = CliRunner().invoke(main, [*words, "--on-error", "skip", "--holdout", "0.5"])
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(root.parent / "d")
    assert (len(dataset), len(dataset.held_out_rows), dataset.resolution) == (2, 1, 64)
    assert dataset.labels(np.arange(2)).tolist() == [0, 1]
    assert "is beside its 60x40 pixels" in dataset.info.skipped[1].reason


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("images.txt", "", "images.txt is empty"),
        ("images.txt", "1\n", "line 1 is '1', not a number"),
        ("classes.txt", "1 a\n\n", "classes.txt is damaged: line 2 is ''"),
        ("bounding_boxes.txt", "1 2 3 4\n", "bounding_boxes.txt is damaged: line 1"),
        ("bounding_boxes.txt", "1 1 1 1 1\n", "no line of the number '2'"),
        ("bounding_boxes.txt", "1 x 1 1 1\n", "could not convert string to float: 'x'"),
        ("bounding_boxes.txt", "1 0 0 0 5\n", "0 0 0 5 is not a rectangle"),
        ("bounding_boxes.txt", "1 nan 0 9 5\n", "nan 0 9 5 is not a rectangle"),
        ("image_class_labels.txt", "1 3\n", "no line of the number '3'"),
    ],
)
def test_damaged_tables_are_named(root: Path, name: str, content: str, message: str) -> None:
    (root / name).write_text(content)
    with pytest.raises(UserError, match=message):
        import_cub200(root)


def test_missing_tables_are_named(root: Path) -> None:
    (root / "classes.txt").unlink()
    with pytest.raises(UserError, match="Cannot read .*classes.txt"):
        import_cub200(root)
    with pytest.raises(UserError, match="No images.txt in --source"):
        import_cub200(root / "images")
    with pytest.raises(UserError, match="--resolution must be a power of two"):
        import_cub200(root, resolution=65)
