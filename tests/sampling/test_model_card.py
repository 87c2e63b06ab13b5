"""Model cards: what they say, that no name breaks them, and that edits stay."""

import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from progan.config import LossConfig
from progan.losses import LOSSES
from progan.runtime.text import MAX_LINE_LENGTH
from progan.sampling.model_card import (
    MAX_CLASSES,
    OBJECTIVE_TERMS,
    Measurement,
    ModelCard,
    SourceFile,
    Training,
    TrainingData,
    append_card_hash,
    code_span,
    describe_by_resolution,
    describe_growth,
    escape_markdown,
    extract_training_section,
    is_unedited,
    render_card,
    write_card,
)
from progan.sizes import Size
from tests.builders import tiny_run, tiny_snapshot

HOSTILE = (
    "a\n---\nlicense: mit\n---\n# Mine",
    "`",
    "``` x",
    "| a | b |",
    "[x](http://y)",
    "*b*",
    "<script>alert()</script>",
    "<!-- Written by progan",
    "\u202etxt",
    "\udcff",
    "",
    " ",
    "key: [unclosed",
    "!important",
    "~~gone~~",
    "\\",
    "x" * 1000,
    "- item",
    "    block",
)


def training(name: str = "mine", **overrides: object) -> Training:
    return Training(
        run=tiny_run(**overrides),
        software="progan 9",
        machine="cpu (1 thread)",
        seconds=3661.0,
        data=TrainingData(name=name, count=1000, held_out=24, size=Size(16, 16)),
    )


def card(
    file: str = "x.safetensors",
    classes: tuple[str, ...] = (),
    *,
    alpha: float = 1.0,
    **values: object,
) -> ModelCard:
    return ModelCard(
        file=file, sha256="0" * 64, snapshot=tiny_snapshot(classes, alpha=alpha), **values
    )  # type: ignore[arg-type]


def front_matter(text: str) -> dict[str, object]:
    """The little of YAML that a card has: words, lists of words and comments, or it fails."""
    first, *lines = text.splitlines()
    assert first == "---"
    found: dict[str, object] = {}
    for line in lines[: lines.index("---")]:
        if match := re.fullmatch(r"([a-z_]+): ([a-z-]+)", line):
            found[match[1]] = match[2]
        elif match := re.fullmatch(r"([a-z_]+):", line):
            listed = found[match[1]] = []
        elif match := re.fullmatch(r"- ([a-z-]+)", line):
            listed.append(match[1])
        else:
            assert re.fullmatch(r"# [a-z:; ]+", line)
    return found


def headings(text: str) -> list[str]:
    return [line for line in text.split("\n---\n", 1)[1].splitlines() if line.startswith("#")]


def test_the_front_matter_is_what_the_hub_reads() -> None:
    found = front_matter(render_card(card(training=training())))
    assert found["library_name"] == "progan"
    assert found["pipeline_tag"] == "unconditional-image-generation"
    assert isinstance(found["tags"], list) and {"progan", "gan"} <= set(found["tags"])
    assert "license" not in found


def test_a_card_tells_all_that_is_known() -> None:
    measured = Measurement(
        images_seen=1_234_000,
        num_images=16,
        values={"SWDx1e3_avg": 12.345},
        reals={"SWDx1e3_avg": 6.0},
    )
    text = render_card(
        card(
            classes=("cat", "dog"),
            alpha=0.25,
            training=replace(
                training(
                    mirror=True,
                    conditional=True,
                    label_size=2,
                    batch_at=((8, 32), (512, 4)),
                    penalty_interval=4,
                    cooldown=0.25,
                ),
                measurements=(measured,),
                status="ok",
            ),
        )
    )
    for words in (
        "16x16 after 1,234,000 images. This size was still being faded in, at 25 %: its images "
        "are blended with those of 8x8",
        "2: `cat`, `dog`",
        "0" * 64,
        "`mine`, 1,000 images of 16x16; 24 more were held out",
        "yes, half of the images",
        "2 classes, with an AC-GAN loss",
        "wgan-gp: gradient penalty weight 10, target norm 1, penalty interval 4, drift weight",
        "both fall to 0 over the last 25 % of the planned images",
        "64 (32 at 8)",
        "`cpu (1 thread)`",
        "1h 01m",
        "at that time: ok.",
        r"| SWDx1e3\_avg | 12.35 | 6 | 16 | 1234 |",
        "--network x.safetensors --seeds 0-15",
        "progan.load('x.safetensors')",
        "uint8 [16, 16, 16, 3]",
        "all images show the class `cat`",
        "No license was chosen",
    ):
        assert words in text, words
    assert "was not measured" not in text


def test_what_is_not_known_is_not_invented() -> None:
    text = render_card(card(training=training()))
    assert "This snapshot was not measured" in text and "diagnosis" not in text
    earlier = Measurement(images_seen=1000, num_images=None, values={"SWD": 1.0}, reals={})
    text = render_card(card(training=replace(training(), measurements=(earlier,))))
    assert "| SWD | 1 |  |  | 1 |" in text and "This snapshot was not measured" in text
    text = render_card(card(source=SourceFile(name="karras.pkl", sha256="1" * 64)))
    assert f"`karras.pkl`, SHA-256 `{'1' * 64}`" in text and "does not say" in text
    assert "Dataset:" not in text and "None" not in text


@pytest.mark.parametrize("mirror", [False, True])
def test_the_commands_compare_with_the_images_of_the_training(mirror: bool) -> None:
    lines = render_card(card(training=training(mirror=mirror))).splitlines()
    commands = [line for line in lines if "--data DATASET" in line]
    assert len(commands) == 2
    assert all(("--mirror" in line) is mirror for line in commands)


@pytest.mark.parametrize("name", HOSTILE)
def test_names_break_neither_yaml_nor_markdown(name: str) -> None:
    kind = tiny_run(subset=name, init_from=f"/home/me/{name}")
    honest = render_card(card(classes=("a",), training=training()))
    hostile = render_card(
        card(
            file=f"{name or 'x'}.safetensors",
            classes=(name,),
            source=SourceFile(name=name, sha256="0"),
            training=replace(training(name), run=kind, machine=name, status=name or "x"),
        )
    )
    assert front_matter(hostile) == front_matter(honest)
    assert headings(hostile)[1:] == headings(honest)[1:]
    outside = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"(?m)^ {4}.*$", "", hostile))
    assert not re.search(r"(?<!\\)<script", outside)
    assert "/home/me" not in hostile
    assert is_unedited(append_card_hash(hostile).encode())


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_stays_one_span_of_code_or_one_cell(name: str) -> None:
    span, cell = code_span(name), escape_markdown(name)
    assert "\n" not in span + cell and len(span) <= MAX_LINE_LENGTH + 8
    span.encode()
    ticks = re.match("`+", span)
    assert (
        ticks and span.endswith(ticks[0]) and ticks[0] not in span[len(ticks[0]) : -len(ticks[0])]
    )
    assert not re.search(r"(?<!\\)(\\\\)*[|<`]", cell)


def test_thousands_of_classes_are_counted_and_some_named() -> None:
    classes = tuple(f"class-{number}" for number in range(1000))
    text = render_card(card(classes=classes))
    assert f"`class-{MAX_CLASSES - 1}` and 950 more" in text
    assert f"`class-{MAX_CLASSES}`" not in text


@pytest.mark.parametrize("suffix", [".safetensors", ".onnx", ".pt2", ".ts", ".torchscript", ".npz"])
@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_each_kind_of_file_says_how_to_use_it(suffix: str, classes: tuple[str, ...]) -> None:
    text = render_card(card(f"it's {suffix}", classes))
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    for line in lines:
        if not line.startswith("python"):
            compile(line, "card", "exec")
    (neighbours,) = [line for line in lines if "neighbours" in line]
    assert ("NETWORK.safetensors" in neighbours) == (suffix not in (".safetensors", ".npz"))
    assert any("it's" in line or "it'\"'\"'s" in line for line in lines)


@pytest.mark.parametrize("objective", LOSSES)
def test_every_objective_has_its_terms(objective: str) -> None:
    assert all(hasattr(LossConfig(), name) for name in OBJECTIVE_TERMS[objective])


def test_the_schedule_in_words() -> None:
    assert describe_growth(tiny_run()).startswith(
        "from 4x4 to 16x16; each size is faded in over 1.5 kimg, then trained for 1.5 kimg; 7.5"
    )
    assert describe_growth(tiny_run(kind="dcgan")) == "none: 16x16 from the start, for 7.5 kimg"
    assert describe_by_resolution(4, ((4, 8), (8, 8), (16, 8)), tiny_run()) == "8"
    assert describe_by_resolution(0.5, ((8, 0.25), (32, 9)), tiny_run()) == "0.5 (0.25 at 8)"


def test_an_edited_card_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    assert write_card(path, "one\n") and write_card(path, "two\n")
    assert path.read_text().startswith("two\n")
    path.write_text(path.read_text().replace("two", "my own words"))
    mine = path.read_text()
    assert not write_card(path, "three\n") and path.read_text() == mine
    path.unlink()
    assert write_card(path, "four\n")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"notes",
        b"\xff\xfe",
        b"x\n<!-- As progan wrote it: 0123456789abcdef. Edited cards are not written over. -->\n",
        b"x\n<!-- Written by progan: 0123456789abcdef. Edited cards are not overwritten. -->\n",
    ],
)
def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.md"
    path.write_bytes(content)
    assert not write_card(path, "mine\n") and path.read_bytes() == content


OLD_CARD = """\
# A generator of 16x16 images

## What it was trained on

- **Dataset:** `hills`, 60 images of 16x16

## How well

No metric.

## How to use it

Images.
"""


def test_the_card_of_an_earlier_version_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    digest = hashlib.sha256(OLD_CARD.encode()).hexdigest()[:16]
    old = f"{OLD_CARD}\n<!-- As progan wrote it: {digest}. Edited cards are not written over. -->\n"
    path.write_text(old.replace("hills", "my hills"))
    assert not write_card(path, "new\n")
    path.write_text(old)
    assert write_card(path, "new\n") and path.read_text().startswith("new\n")
    section = extract_training_section(old)
    assert section.startswith("## What it was trained on\n") and section.endswith("No metric.")
    converted = render_card(
        card(source=SourceFile(name="x.safetensors", sha256="1", training_section=section))
    )
    assert "`hills`, 60 images" in converted and "does not say" not in converted


def test_the_training_section_of_a_card_is_found_again() -> None:
    section = extract_training_section(render_card(card(training=training())))
    assert section.startswith("## Training data\n") and "## Evaluation" in section
    assert "## Usage" not in section
    assert extract_training_section(render_card(card())) == ""


def test_blocks_are_separated_by_one_blank_line() -> None:
    measured = Measurement(
        images_seen=1_234_000, num_images=16, values={"A": 1.0, "B": 2.0}, reals={"A": 6.0}
    )
    section = extract_training_section(render_card(card(training=training())))
    for text in (
        render_card(
            card(
                classes=("a", "b"),
                training=replace(training(), measurements=(measured,), status="ok"),
            )
        ),
        render_card(card(training=training(subset="a", init_from="b", conditional=True))),
        *(
            render_card(
                card(
                    f"x{suffix}",
                    ("a",),
                    source=SourceFile(name="y", sha256="0", training_section=section),
                )
            )
            for suffix in (".safetensors", ".onnx", ".pt2", ".ts", ".npz")
        ),
    ):
        lines = text.splitlines()
        for line, following in zip(lines, lines[1:], strict=False):
            assert line or following, text
            assert not line or not following.startswith("##"), text
            assert not line.startswith("##") or not following, text
            assert line.startswith("- ") or not following.startswith("- **") or not line, text


def test_cards_do_not_delay_the_start_of_commands() -> None:
    code = (
        "import sys, progan.training.loop, progan.sampling.generate\nprint('jinja2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
