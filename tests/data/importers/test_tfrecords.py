"""TFRecords of the official tool, their framing, and damaged ones."""

import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from progan.cli.dataset import main
from progan.data.image_source import UnreadableImage
from progan.data.importers.tfrecords import (
    compute_masked_crc32c,
    import_tfrecords,
    index_records,
    parse_image_example,
    read_record,
)
from progan.data.reader import Dataset
from progan.errors import UserError

pytest.importorskip("google_crc32c")

CONTENT = [b"one", b"", b"three" * 100]


def frame_record(data: bytes) -> bytes:
    """One record as it stands in a file: length, its checksum, data, their checksum."""
    parts = struct.pack("<Q", len(data)), data
    return b"".join(part + struct.pack("<I", compute_masked_crc32c(part)) for part in parts)


def test_the_masked_checksum_of_tfrecord_files() -> None:
    # The first record of a file of one 4x4 RGB image: its length is 82, and this follows.
    assert compute_masked_crc32c(b"\x52" + bytes(7)) == int.from_bytes(
        b"\x25\xeb\x07\xb7", "little"
    )
    # CRC-32C of b"123456789" is 0xE3069283 (RFC 3720), of b"" 0.
    assert compute_masked_crc32c(b"") == 0xA282EAD8
    rotated = (0xE3069283 >> 15 | 0xE3069283 << 17) & 0xFFFFFFFF
    assert compute_masked_crc32c(b"123456789") == (rotated + 0xA282EAD8) & 0xFFFFFFFF


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("records") / "a.tfrecords"


@given(contents=st.lists(st.binary(max_size=400), max_size=5))
def test_what_is_framed_is_read_back(path: Path, contents: list[bytes]) -> None:
    path.write_bytes(b"".join(map(frame_record, contents)))
    records = index_records(path)
    assert [read_record(path, record) for record in records] == contents
    assert [record.number for record in records] == list(range(len(contents)))


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (1, "ends in record 2 at byte 35, 1 bytes too early: it was cut short"),
        (516, "ends in record 2 at byte 35, .*too early"),
        (510, "ends in record 2 at byte 35, .*too early"),
    ],
)
def test_a_file_that_was_cut_short(path: Path, cut: int, message: str) -> None:
    whole = b"".join(map(frame_record, CONTENT))
    cut = min(cut, len(frame_record(CONTENT[2])) - 12)
    path.write_bytes(whole[:-cut])
    with pytest.raises(UserError, match=message):
        index_records(path)


@pytest.mark.parametrize("left", [1, 11])
def test_a_file_cut_within_a_length(path: Path, left: int) -> None:
    path.write_bytes(frame_record(b"one") + frame_record(b"two")[:left])
    with pytest.raises(UserError, match=rf"record 1 at byte 19 has only {left} bytes left"):
        index_records(path)


def test_a_damaged_length(path: Path) -> None:
    data = bytearray(b"".join(map(frame_record, CONTENT)))
    data[20] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="record 1 at byte 19: the CRC-32C of its length"):
        index_records(path)


def test_damaged_data_is_named_with_its_place(path: Path) -> None:
    data = bytearray(b"".join(map(frame_record, CONTENT)))
    data[-5] ^= 128
    path.write_bytes(data)
    first, _, last = index_records(path)
    assert read_record(path, first) == b"one"
    with pytest.raises(UnreadableImage, match="a.tfrecords: record 2 at byte 35: its CRC-32C"):
        read_record(path, last)


pytest.importorskip("google_crc32c")

IMAGES = np.random.RandomState(0).randint(0, 256, (6, 3, 8, 8)).astype(np.uint8)


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def example(image: np.ndarray, *, packed: bool = True, shape: tuple[int, ...] = ()) -> bytes:
    """An Example as TensorFlow encodes it, and with an unpacked list of numbers."""
    sizes = [varint(size) for size in shape or image.shape]
    numbers = field(1, b"".join(sizes)) if packed else b"".join(b"\x08" + size for size in sizes)
    entries = {
        b"shape": field(3, numbers),
        b"data": field(1, field(1, image.tobytes())),
        b"other": field(2, field(1, struct.pack("<f", 1.0))),
    }
    return field(
        1, b"".join(field(1, field(1, name) + field(2, value)) for name, value in entries.items())
    )


def folder_with(folder: Path, examples: list[bytes], name: str = "a-r03.tfrecords") -> Path:
    (folder / name).write_bytes(b"".join(map(frame_record, examples)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "in"
    source.mkdir()
    return folder_with(source, list(map(example, IMAGES)))


@given(image=arrays(np.uint8, st.tuples(*[st.integers(1, 40)] * 3)), packed=st.booleans())
def test_an_example_is_read_back(image: np.ndarray, packed: bool) -> None:
    np.testing.assert_array_equal(parse_image_example(example(image, packed=packed)), image)


@given(cut=st.integers(1, 250))
def test_a_broken_example_is_refused(cut: int) -> None:
    with pytest.raises(ValueError, match="field|number|shape"):
        parse_image_example(example(IMAGES[0])[:-cut])


@given(data=st.binary(max_size=60))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_image_example(data)


def test_the_official_dataset_at_every_level(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden/tfrecord/tfr32rgb"
    result = CliRunner().invoke(
        main, ["create_from_tfrecords", "--source", str(source), "--dest", str(tmp_path / "d")]
    )
    assert result.exit_code == 0, result.output
    expected = np.load(shared / "golden/tfrecord/tfr32rgb_expected.npz")
    dataset = Dataset.open(tmp_path / "d")
    rows = np.arange(len(dataset))
    assert len(dataset) == 64
    for level in range(2, 6):
        official = expected[f"read_images_lod{5 - level}"]
        np.testing.assert_array_equal(dataset.images(level, rows), official.transpose(0, 2, 3, 1))
        lower = import_tfrecords(folder_of_level(source, level, tmp_path))
        np.testing.assert_array_equal(
            dataset.images(level, rows), np.stack([lower.read(row).image for row in rows])
        )
    one_hot = np.eye(10)[dataset.labels(rows)]
    np.testing.assert_array_equal(one_hot, expected["read_labels_lod0"])


def folder_of_level(source: Path, level: int, tmp_path: Path) -> Path:
    """A folder with the official file of one level only."""
    folder = tmp_path / f"r{level}"
    folder.mkdir()
    (folder / f"tfr32rgb-r{level:02d}.tfrecords").symlink_to(
        source / f"tfr32rgb-r{level:02d}.tfrecords"
    )
    return folder


def test_the_largest_file_counts(folder: Path) -> None:
    folder_with(folder, [example(IMAGES[0, :, ::2, ::2])], "a-r02.tfrecords")
    images = import_tfrecords(folder, max_images=4, seed=2)
    assert (images.resolution, images.channels, images.count) == (8, 3, 4)
    assert images.labels is None
    originals = IMAGES.transpose(0, 2, 3, 1)
    for row in range(4):
        assert (originals == images.read(row).image).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize(
    "stored", [np.eye(3, dtype=np.float32)[[0, 1, 2, 2, 1, 0]], np.array([0, 1, 2, 2, 1, 0])]
)
def test_labels_follow_the_chosen_images(folder: Path, stored: np.ndarray) -> None:
    with (folder / "a-rxx.labels").open("wb") as file:
        np.save(file, stored)
    images = import_tfrecords(folder, max_images=4, seed=2)
    assert images.label_names == ("0", "1", "2")
    assert images.labels is not None
    for row in range(4):
        picture = images.read(row).image.transpose(2, 0, 1)
        original = int(np.flatnonzero((IMAGES == picture).all(axis=(1, 2, 3)))[0])
        assert images.labels[row] == [0, 1, 2, 2, 1, 0][original]


def test_labels_of_no_width_are_none(folder: Path) -> None:
    with (folder / "a-rxx.labels").open("wb") as file:
        np.save(file, np.zeros((6, 0), np.float32))
    assert import_tfrecords(folder).labels is None


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (np.zeros(5, int), r"a-rxx.labels has labels of the shape \(5,\) for 6 images"),
        (np.zeros((6, 2, 2)), r"shape \(6, 2, 2\)"),
        (np.float64(3), r"shape \(\)"),
        (np.zeros((6, 2)), "holds no classes"),
        (np.full(6, -1), "holds no classes"),
        (np.full(6, 0.5), "holds no classes"),
        (np.ones((6, 2)), "holds no classes"),
        (np.array(["x"] * 6), "holds no classes"),
        (np.full(6, np.nan), "holds no classes"),
    ],
)
def test_labels_that_do_not_fit(folder: Path, stored: np.ndarray, message: str) -> None:
    with (folder / "a-rxx.labels").open("wb") as file:
        np.save(file, stored)
    with pytest.raises(UserError, match=message):
        import_tfrecords(folder)


@pytest.mark.parametrize("data", [b"", b"text", b"\x93NUMPY\x01\x00"])
def test_labels_that_are_no_array(folder: Path, data: bytes) -> None:
    (folder / "a-rxx.labels").write_bytes(data)
    with pytest.raises(UserError, match="Cannot read the labels .*a-rxx.labels"):
        import_tfrecords(folder)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ([], "a-r03.tfrecords is empty"),
        (
            [example(IMAGES[0, :, :4, :4])],
            r"record 0 at byte 0 has the shape \[3, 4, 4\]; .* be 8x8",
        ),
        ([example(IMAGES[0, :2])], r"the shape \[2, 8, 8\]; .* with 1, 3 or 4 channels"),
        ([b""], "holds no image: it has no feature 'shape'"),
        (
            [example(IMAGES[0], shape=(3, 8, 9))],
            r"its shape \(3, 8, 9\) does not fit its 192 bytes",
        ),
        ([example(IMAGES[0], shape=(192,))], r"its shape \(192,\) does not fit"),
    ],
)
def test_files_of_something_else(tmp_path: Path, examples: list[bytes], message: str) -> None:
    with pytest.raises((UserError, UnreadableImage), match=message):
        import_tfrecords(folder_with(tmp_path, examples))


def test_an_image_of_another_shape_is_named(tmp_path: Path) -> None:
    images = import_tfrecords(folder_with(tmp_path, [example(IMAGES[0]), example(IMAGES[0, :1])]))
    with pytest.raises(UnreadableImage, match=r"record 1 at byte \d+: its shape is \(1, 8, 8\)"):
        images.read(1)


def test_a_damaged_record_stops_or_is_skipped(folder: Path) -> None:
    path = folder / "a-r03.tfrecords"
    data = bytearray(path.read_bytes())
    data[-50] ^= 1
    path.write_bytes(data)
    words = [
        "create-from-tfrecords",
        "--source",
        str(folder),
        "--dest",
        str(folder.parent / "d"),
        "--workers",
        "1",
    ]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert f"a-r03.tfrecords: record 5 at byte {len(data) // 6 * 5}: its CRC-32C" in result.output
    assert [item.name for item in folder.parent.iterdir()] == ["in"]
    result = CliRunner().invoke(main, [*words, "--on-error", "skip", "--holdout", "0.2"])
    assert result.exit_code == 0, result.output
    dataset = Dataset.open(folder.parent / "d")
    assert (len(dataset), len(dataset.held_out_rows)) == (5, 1)


def test_missing_and_ambiguous_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent is not a folder"):
        import_tfrecords(tmp_path / "absent")
    with pytest.raises(UserError, match="No files NAME-rNN.tfrecords"):
        import_tfrecords(tmp_path)
    folder_with(tmp_path, [example(IMAGES[0])])
    folder_with(tmp_path, [example(IMAGES[0])], "b-r03.tfrecords")
    with pytest.raises(UserError, match="holds several datasets: a, b. Move"):
        import_tfrecords(tmp_path)
    (tmp_path / "b-r03.tfrecords").rename(tmp_path / "a-r11.tfrecords")
    with pytest.raises(UserError, match="a-r11.tfrecords is of the level 11, which is none from 2"):
        import_tfrecords(tmp_path)


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(UserError, match="needs the package google-crc32c: pip install"):
        import_tfrecords(tmp_path)


def test_a_damaged_first_image_is_one_of_those_to_leave_out(tmp_path: Path) -> None:
    file = folder_with(tmp_path, [example(image) for image in IMAGES]) / "a-r03.tfrecords"
    content = bytearray(file.read_bytes())
    content[40] ^= 1
    file.write_bytes(content)
    source = import_tfrecords(tmp_path)
    with pytest.raises(UnreadableImage):
        source.read(0)
    np.testing.assert_array_equal(source.read(1).image, IMAGES[1].transpose(1, 2, 0))
