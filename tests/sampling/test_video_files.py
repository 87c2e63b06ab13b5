"""Frames -> video files, read back."""

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from progan.errors import UserError
from progan.sampling.options import VideoTiming, require_video_format
from progan.sampling.video import (
    VIDEO_FORMATS,
    require_encodable,
    split_frame_durations,
    write_video,
)
from progan.sizes import Size

TEXT = {"Software": "progan 9", "Command": "generate.py --video a.mp4"}
ANIMATIONS = (".gif", ".webp")


def moving(count: int, height: int = 64, width: int = 96) -> list[np.ndarray]:
    """A bright bar that wanders over a slope of colours."""
    slope = np.broadcast_to(np.linspace(0, 160, width)[None, :, None], (height, width, 3))
    video = [slope.astype(np.uint8) for _ in range(count)]
    for number, frame in enumerate(video):
        left = number * (width - 8) // count
        frame[:, left : left + 8] = (250, 120, 30)
    return video


@pytest.fixture
def av() -> object:
    return pytest.importorskip("av", reason='no encoder: pip install ".[video]"')


def read_mp4(path: Path) -> tuple[Fraction, list[np.ndarray]]:
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.average_rate is not None
        return stream.average_rate, [
            frame.to_ndarray(format="rgb24") for frame in file.decode(stream)
        ]


@pytest.mark.parametrize(
    ("seconds", "fps", "rate"),
    [
        (2, 30, Fraction(30)),
        (0.5, 60, Fraction(60)),
        (1, 29.97, Fraction(2997, 100)),
        (0.01, 100, Fraction(100)),
        (3, 2.5, Fraction(5, 2)),
    ],
)
def test_an_mp4_has_its_frames_and_their_speed(
    av: object, tmp_path: Path, seconds: float, fps: float, rate: Fraction
) -> None:
    timing = VideoTiming(seconds, fps)
    video = moving(timing.frames)
    write_video(tmp_path / "a.mp4", video, timing, TEXT)
    read_rate, read = read_mp4(tmp_path / "a.mp4")
    assert (read_rate, len(read)) == (rate, timing.frames)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    for frame, original in zip(read, video, strict=True):
        assert abs(frame.astype(int) - original).mean() < 4


def test_an_mp4_says_where_it_comes_from(av: object, tmp_path: Path) -> None:
    import av as library

    write_video(tmp_path / "a.mp4", moving(3), VideoTiming(3, 1), TEXT)
    with library.open(str(tmp_path / "a.mp4")) as file:
        assert file.metadata["comment"] == "Software: progan 9; Command: generate.py --video a.mp4"


def test_colours_of_an_mp4_are_those_of_the_frames(av: object, tmp_path: Path) -> None:
    """By the equations of ITU-R BT.709, which the file says it follows, in 16 to 235."""
    import av as library

    colours = np.random.RandomState(0).randint(0, 256, (1, 1, 8, 3)).astype(np.uint8)
    frame = colours.repeat(64, 1).repeat(16, 2)[0]
    write_video(tmp_path / "a.mp4", [frame], VideoTiming(1, 1), TEXT)
    with library.open(str(tmp_path / "a.mp4")) as file:
        context = file.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        planes = next(file.decode(video=0)).to_ndarray(format="yuv420p").astype(float)
    light = planes[32, 8::16]
    blue, red = (planes[start : start + 16].reshape(32, 64)[16, 4::8] for start in (64, 80))
    r, g, b = frame[32, 8::16].T / 255
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    assert abs(light - (16 + 219 * luma)).max() < 2
    assert abs(blue - (128 + 224 * (b - luma) / 1.8556)).max() < 2
    assert abs(red - (128 + 224 * (r - luma) / 1.5748)).max() < 2


@pytest.mark.parametrize(("height", "width"), [(255, 257), (256, 255)])
def test_odd_sizes(av: object, tmp_path: Path, height: int, width: int) -> None:
    write_video(tmp_path / "a.mp4", moving(2, height, width), VideoTiming(2, 1), TEXT)
    read = read_mp4(tmp_path / "a.mp4")[1]
    assert read[0].shape == (256, width + width % 2, 3)


@pytest.mark.parametrize("suffix", ANIMATIONS)
@pytest.mark.parametrize(("seconds", "fps"), [(1, 30), (2, 12.5), (0.5, 50), (2, 0.5)])
def test_an_animation_has_its_frames_and_their_time(
    tmp_path: Path, suffix: str, seconds: float, fps: float
) -> None:
    timing = VideoTiming(seconds, fps)
    path = tmp_path / f"a{suffix}"
    video = moving(timing.frames)
    write_video(path, video, timing, TEXT)
    with Image.open(path) as image:
        assert getattr(image, "n_frames", 1) == timing.frames
        shown = 0
        for number, original in enumerate(video):
            image.seek(number)
            assert abs(np.asarray(image.convert("RGB")).astype(int) - original).mean() < 6
            shown += image.info.get("duration", 0)
        if timing.frames > 1:
            assert image.info["loop"] == 0
            assert abs(shown - 1000 * timing.frames / fps) <= 5
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def test_a_webp_is_lossless(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    video = [random.randint(0, 256, (24, 32, 3)).astype(np.uint8) for _ in range(3)]
    video.append(video[-1].copy())
    video[-1][5, 7, 1] ^= 1  # the least difference that there is
    write_video(tmp_path / "a.webp", video, VideoTiming(4, 1), TEXT)
    with Image.open(tmp_path / "a.webp") as image:
        assert getattr(image, "n_frames", 1) == 4
        for number, original in enumerate(video):
            image.seek(number)
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), original)


@pytest.mark.parametrize("suffix", ANIMATIONS)
def test_equal_frames_are_one_and_similar_ones_are_not(tmp_path: Path, suffix: str) -> None:
    first, second = moving(2)
    similar = first + np.uint8(3)  # WebP's own encoder would take it for the first one
    write_video(
        tmp_path / f"a{suffix}", [first, first, first, similar, second], VideoTiming(5, 1), TEXT
    )
    with Image.open(tmp_path / f"a{suffix}") as image:
        shown = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            shown.append(image.info["duration"])
    assert shown == [3000, 1000, 1000]


@pytest.mark.parametrize(
    ("fps", "unit", "expected"),
    [(30, 10, [30, 40, 30, 30, 40, 30]), (30, 1, [33, 34, 33, 33, 34, 33]), (50, 10, [20] * 6)],
)
def test_frames_are_shown_in_whole_units_without_drift(
    fps: float, unit: int, expected: list[int]
) -> None:
    assert split_frame_durations(VideoTiming(6 / fps, fps), unit) == expected


def test_animations_say_where_they_come_from(tmp_path: Path) -> None:
    for suffix in ANIMATIONS:
        write_video(tmp_path / f"a{suffix}", moving(3), VideoTiming(1, 3), TEXT)
    with Image.open(tmp_path / "a.gif") as image:
        assert b"generate.py --video a.mp4" in image.info["comment"]
    with Image.open(tmp_path / "a.webp") as image:
        assert "generate.py --video a.mp4" in image.getexif()[0x010E]


@pytest.mark.parametrize("suffix", VIDEO_FORMATS)
def test_a_video_that_breaks_off_leaves_the_old_one(tmp_path: Path, suffix: str) -> None:
    if suffix == ".mp4":
        pytest.importorskip("av", reason="no encoder")

    def broken() -> object:
        yield from moving(3)
        raise KeyboardInterrupt

    path = tmp_path / f"a{suffix}"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_video(path, broken(), VideoTiming(1, 9), TEXT)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("name", "timing", "size", "words"),
    [
        ("a.avi", VideoTiming(), Size(9, 9), "must end in .mp4, .gif, .webp"),
        ("a", VideoTiming(), Size(9, 9), "must end in .mp4, .gif, .webp"),
        ("a.gif", VideoTiming(1, 60), Size(9, 9), "above the maximum of 50"),
        ("a.webp", VideoTiming(), Size(64, 9000), "larger than 8192x8192"),
        ("a.gif", VideoTiming(600, 30), Size(1024, 1024), "17.6 GiB.* Name a .mp4 file"),
        ("a.webp", VideoTiming(60, 30), Size(1024, 1024), "7.0 GiB.* Name a .mp4 file"),
    ],
)
def test_what_cannot_be_written_is_said_before(
    name: str, timing: VideoTiming, size: Size, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        require_encodable(Path(name), timing, size)


def test_equal_frames_take_memory_once() -> None:
    timing = VideoTiming(60, 30)
    require_encodable(Path("a.webp"), timing, Size(1024, 1024), max_distinct=12)
    with pytest.raises(UserError, match="600 frames .* need 2.3 GiB"):
        require_encodable(Path("a.webp"), timing, Size(1024, 1024), max_distinct=600)


def test_names_may_be_loud(av: object) -> None:
    require_encodable(Path("A.GIF"), VideoTiming(), Size(256, 256))
    require_encodable(Path("A.MP4"), VideoTiming(600, 60), Size(1024, 1024))


def test_without_an_encoder_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r'pip install "progan\[video\]".* \.gif and \.webp'):
        require_encodable(Path("a.mp4"), VideoTiming(), Size(256, 256))
    require_encodable(Path("a.webp"), VideoTiming(), Size(256, 256))


@pytest.mark.parametrize(
    ("name", "fps", "advice"),
    [
        ("a.mp4", 1000, "Choose 240 or less."),
        ("a.gif", 1000, "Choose 50 or less."),
        ("a.webp", 60, "Choose 50 or less, or name a .mp4 file."),
    ],
)
def test_the_advice_on_too_many_frames_helps(name: str, fps: float, advice: str) -> None:
    if name.endswith(".mp4"):
        pytest.importorskip("av", reason='no encoder: pip install ".[video]"')
    with pytest.raises(UserError) as said:
        require_video_format(Path(name), VideoTiming(0.1, fps))
    assert str(said.value).endswith(advice)
