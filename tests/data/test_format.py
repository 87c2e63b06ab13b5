"""The layout on disk: what is written is what is read, and every fault has its sentence."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from progan.data.array_files import make_npy_header
from progan.data.format import (
    HEADER_BYTES,
    MAX_SHARD_BYTES,
    DatasetInfo,
    SkippedImage,
    compute_rows_per_shard,
    read_info,
    require_array_files,
)
from progan.errors import UserError
from progan.sizes import LONGEST_BASE, SQUARE, Size, level_of, size_at_level

TEXT = st.text(max_size=8)


def info_of(
    resolution: int = 8,
    channels: int = 3,
    count: int = 5,
    max_bytes: int = MAX_SHARD_BYTES,
    base: Size = SQUARE,
) -> DatasetInfo:
    rows = compute_rows_per_shard(resolution, channels, count, max_bytes, base)
    return DatasetInfo(
        name="test",
        resolution=resolution,
        base=base,
        channels=channels,
        count=count,
        rows_per_shard=rows,
    )


@st.composite
def infos(draw: st.DrawFn) -> DatasetInfo:
    resolution, channels = 2 ** draw(st.integers(2, 10)), draw(st.sampled_from([1, 3, 4]))
    count, num_files = draw(st.integers(1, 10**6)), draw(st.integers(1, 20))
    sides = [draw(st.integers(4, 7)), draw(st.integers(4, LONGEST_BASE))]
    base = Size(*draw(st.permutations(sides)))
    num_pixels = size_at_level(base, level_of(resolution)).pixels
    max_bytes = HEADER_BYTES + num_pixels * channels * -(-count // num_files)
    plain = info_of(resolution, channels, count, max_bytes, base)
    return replace(
        plain,
        name=draw(TEXT),
        source=draw(TEXT),
        label_names=tuple(draw(st.lists(TEXT, max_size=3))),
        has_landmarks=draw(st.booleans()),
        holdout_count=draw(st.integers(0, count - 1)),
        options=draw(st.dictionaries(TEXT, st.none() | st.integers() | TEXT, max_size=3)),
        skipped=tuple(
            SkippedImage(*item) for item in draw(st.lists(st.tuples(TEXT, TEXT), max_size=3))
        ),
        checksums=draw(st.dictionaries(TEXT, TEXT, max_size=3)),
    )


@settings(deadline=None)
@given(infos())
def test_json_brings_back_the_same_info(info: DatasetInfo) -> None:
    assert DatasetInfo.from_json(info.to_json()) == info


@settings(deadline=None)
@given(infos())
def test_the_files_of_a_level_hold_each_row_once(info: DatasetInfo) -> None:
    for level in info.levels:
        files = info.list_level_files(level)
        assert sum(file.shape[0] for file in files) == info.count
        assert all(file.shape[1:] == (*info.size(level), info.channels) for file in files)
        assert all(file.shape[0] == info.rows_per_shard[level] for file in files[:-1])
        assert len({file.name for file in files}) == len(files)


@settings(deadline=None)
@given(
    st.integers(2, 10),
    st.sampled_from([1, 3, 4]),
    st.integers(1, 10**6),
    st.integers(1, 20),
    st.integers(0, 100),
)
def test_no_file_exceeds_the_limit_and_none_is_split_without_need(
    level: int, channels: int, count: int, num_files: int, surplus: int
) -> None:
    max_bytes = HEADER_BYTES + 4**level * channels * -(-count // num_files) + surplus
    info = info_of(2**level, channels, count, max_bytes)
    for each in info.levels:
        files = info.list_level_files(each)
        assert all(file.num_bytes <= max_bytes for file in files)
        whole = HEADER_BYTES + count * 4**each * channels
        assert (len(files) == 1) == (whole <= max_bytes)


def test_file_names() -> None:
    assert [
        file.name for level in range(2, 11) for file in info_of(1024).list_level_files(level)
    ] == [
        "level-02.npy",
        "level-03.npy",
        "level-04.npy",
        "level-05.npy",
        "level-06.npy",
        "level-07.npy",
        "level-08.npy",
        "level-09.npy",
        "level-10.npy",
    ]
    large = info_of(1024, 3, 30000)  # 94 GB at 8 GiB each
    assert [file.name for file in large.list_level_files(10)][:2] == [
        "level-10.000.npy",
        "level-10.001.npy",
    ]
    assert len(large.list_level_files(10)) == 11
    labelled = replace(info_of(4), label_names=("a", "b"), has_landmarks=True, holdout_count=2)
    assert [file.name for file in labelled.list_array_files()] == [
        "level-02.npy",
        "labels.npy",
        "landmarks.npy",
        "holdout.npy",
    ]


@settings(deadline=None)
@given(st.integers(1, 10**9), st.integers(2, 10), st.sampled_from([1, 3, 4]))
def test_headers_have_one_length_and_are_numpys_own(count: int, level: int, channels: int) -> None:
    header = make_npy_header((count, 2**level, 2**level, channels), "|u1")
    assert len(header) == HEADER_BYTES == len(make_npy_header((count,), "<i4"))
    assert HEADER_BYTES == len(make_npy_header((count,), "<i8"))
    assert header.startswith(np.lib.format.magic(1, 0))


@pytest.mark.parametrize(("resolution", "level"), [(4, 2), (8, 3), (1024, 10)])
def test_level_is_log2_of_the_resolution(resolution: int, level: int) -> None:
    assert level_of(resolution) == level


@pytest.mark.parametrize(
    "changes",
    [
        {"resolution": 12},
        {"resolution": 2},
        {"channels": 2},
        {"count": 0},
        {"rows_per_shard": {2: 5}},
        {"rows_per_shard": {2: 5, 3: 0}},
        {"count": 10**9},
        {"holdout_count": -1},
        {"holdout_count": 5},
        {"options": 3},
        {"name": ["a"]},
        {"label_names": (1, 2)},
        {"base": Size(8, 8)},
        {"base": Size(4, 64)},
        {"base": Size(-4, 4)},
    ],
)
def test_contradictions_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(info_of(), **changes)  # type: ignore[arg-type]


def test_the_fingerprint_tells_contents_apart() -> None:
    info = replace(info_of(), checksums={"level-02.npy": "aa", "level-03.npy": "bb"})
    assert len(info.fingerprint) == 12
    assert replace(info, name="other", source="elsewhere").fingerprint == info.fingerprint
    assert (
        replace(info, checksums={"level-03.npy": "bb", "level-02.npy": "aa"}).fingerprint
        == info.fingerprint
    )
    assert (
        replace(info, checksums={**info.checksums, "level-02.npy": "ab"}).fingerprint
        != info.fingerprint
    )


def test_reading_says_what_is_not_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="absent does not exist"):
        read_info(tmp_path / "absent")
    with pytest.raises(UserError, match="file is a file, not a dataset"):
        read_info(tmp_path / "file")
    with pytest.raises(UserError, match="is not a dataset: it has no dataset.json"):
        read_info(tmp_path)


def written(folder: Path, **changes: object) -> Path:
    """A dataset.json with some fields changed; None removes a field."""
    document = json.loads(info_of().to_json())
    document |= changes
    text = json.dumps({key: value for key, value in document.items() if value is not None})
    (folder / "dataset.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "has format version 2; this progan reads version 1"),
        ({"version": "one"}, "has format version one"),
        ({"version": None}, "'version' is missing"),
        ({"format": "other"}, "its format is 'other'"),
        ({"count": None}, "count"),
        ({"count": "many"}, "not describe a dataset"),
        ({"resolution": 100}, "power of two from 4 to 1024, not 100"),
        ({"resolution": "large"}, "not describe a dataset"),
        ({"holdout_count": 5}, "holdout_count is 5, of 5 images"),
        ({"holdout_count": "many"}, "not describe a dataset"),
        ({"rows_per_shard": []}, "not describe a dataset"),
        ({"rows_per_shard": {}}, "not describe a dataset"),
        ({"label_names": 3}, "not describe a dataset"),
        ({"skipped": [["a"]]}, "not describe a dataset"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_dataset_json_is_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_info(written(tmp_path, **changes))
    assert str(tmp_path / "dataset.json") in str(caught.value)


def test_an_older_dataset_json_holds_nothing_out(tmp_path: Path) -> None:
    assert '"holdout_count"' in info_of().to_json()
    assert read_info(written(tmp_path, holdout_count=None)) == info_of()


def test_the_base_of_squares_goes_without_saying(tmp_path: Path) -> None:
    assert '"base"' not in info_of().to_json()
    read = DatasetInfo.from_json(info_of(base=Size(4, 6)).to_json())
    assert (read.base, read.top_size, str(read.top_size)) == ((4, 6), (8, 12), "12x8")
    for base in ([4], [4, "x"], 4, [0, 0]):
        with pytest.raises(UserError, match="dataset.json does not describe a dataset"):
            read_info(written(tmp_path, base=base))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe\x00", b"null"])
def test_a_broken_dataset_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(UserError, match="dataset.json does not describe a dataset"):
        read_info(tmp_path)


def test_missing_and_short_files_are_named(tmp_path: Path) -> None:
    info = info_of(resolution=16)
    for file in info.list_array_files():
        (tmp_path / file.name).write_bytes(bytes(file.num_bytes))
    require_array_files(tmp_path, info)
    (tmp_path / "level-02.npy").unlink()
    (tmp_path / "level-03.npy").write_bytes(b"short")
    with pytest.raises(
        UserError, match="level-02.npy is missing; level-03.npy has 5 bytes instead of 1088"
    ):
        require_array_files(tmp_path, info)
