"""Model cards: Markdown beside each network file, in the format of the Hugging Face Hub.

The text is in model_card.md.jinja; this module has its values and writes the files.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from pathlib import Path, PurePath
from textwrap import indent
from typing import TYPE_CHECKING, TypeVar

from progan import schedule
from progan.config import LossConfig, Run
from progan.invocation import command_line
from progan.runtime.files import write_atomically
from progan.runtime.text import MAX_LINE_LENGTH, format_duration, sanitize_and_truncate_line
from progan.sampling.snapshot_file import NETWORK_SUFFIX, Snapshot, describe_inputs_and_outputs
from progan.sizes import Size

if TYPE_CHECKING:
    from jinja2 import Template

N = TypeVar("N", int, float)

CARD_SUFFIX = ".md"
TEMPLATE = "model_card.md.jinja"
MAX_CLASSES = 50  # named in a card
MEASURABLE = (NETWORK_SUFFIX, ".pkl", ".pth", ".npz")  # what `metrics` reads; not exports
# First heading on the training and the heading after it, today and in earlier versions.
TRAINING_SECTIONS = {
    "## Training data": "## Usage",
    "## What it was trained on": "## How to use it",
}

# The last line of a card, which is not rendered. Its hash reveals edits.
_SEAL = "<!-- Written by progan: {}. Edited cards are not overwritten. -->\n"
_OLD_SEAL = "<!-- As progan wrote it: {}. Edited cards are not written over. -->\n"
_SEALED = re.compile(
    "|".join(re.escape(line).replace(r"\{\}", "([0-9a-f]{16})") for line in (_SEAL, _OLD_SEAL))
)
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]<>&#|~$!@])")

_LAZY = {"penalty_interval": "penalty interval"}
_PENALTY = {"gp_weight": "gradient penalty weight", "gp_target": "target norm"} | _LAZY
_DRIFT = {"drift": "drift weight"}
_TARGETS = {"label_smoothing": "label smoothing", "label_noise": "label noise"}
# The settings that each objective uses, and their names in a card.
OBJECTIVE_TERMS: dict[str, dict[str, str]] = {
    "wgan-gp": _PENALTY | _DRIFT,
    "wgan": _DRIFT,
    "gan": _TARGETS,
    "lsgan": {"fake_weight": "weight of the generated images"},
    "dragan": _PENALTY | _TARGETS,
    "ebgan": {"margin": "margin", "pulling_away": "pulling-away weight"},
    "began": {"diversity": "diversity ratio", "balance_rate": "balance rate"},
    "r1": {"gp_weight": _PENALTY["gp_weight"]} | _LAZY | _TARGETS,
    "relativistic": {"gp_weight": _PENALTY["gp_weight"]} | _LAZY,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """The images that a network was trained on.

    Attributes:
        name: Of the dataset, without its folder, which is private.
        count: Training images.
        held_out: Images that were held out of training.
        size: Of the stored images.
    """

    name: str
    count: int
    held_out: int
    size: Size


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """The values of one metric, of one snapshot of the run.

    Attributes:
        images_seen: By that snapshot, which may be an earlier one.
        num_images: Generated images that were compared; None if unknown.
        values, reals: By column, of generated images and of the real-vs-real baseline.
    """

    images_seen: int
    num_images: int | None
    values: Mapping[str, float]
    reals: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """Settings, data and results of a training.

    Attributes:
        software: Versions.
        machine: Devices and processes of the session that wrote the card.
        seconds: Training time so far; None if unknown.
        status: Of the training diagnostics at that time; '' if unknown.
    """

    run: Run
    data: TrainingData
    software: str
    machine: str
    seconds: float | None
    measurements: tuple[Measurement, ...] = ()
    status: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFile:
    """The file that a network was converted from.

    Attributes:
        name: Without its folder.
        training_section: Section on the training of its card, in Markdown; '' if it has none.
    """

    name: str
    sha256: str
    training_section: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCard:
    """All values of a card.

    Attributes:
        file: Name of the network file, without its folder.
        sha256: Of its content, in hexadecimal.
        snapshot: Its content; only settings and shapes of the generator are used.
        training: None if unknown.
        source: None if it was not converted.
    """

    file: str
    sha256: str
    snapshot: Snapshot
    training: Training | None = None
    source: SourceFile | None = None


def render_card(card: ModelCard) -> str:
    """Return the text of a card."""
    snapshot, config = card.snapshot, card.snapshot.generator.config
    stem = PurePath(card.file).stem
    # A file that `metrics` can read: this one, its source, or a placeholder.
    names = [card.file, *([card.source.name] if card.source else []), f"NETWORK{NETWORK_SUFFIX}"]
    return _load_template().render(
        card=card,
        snapshot=snapshot,
        config=config,
        training=card.training,
        source=card.source,
        size=config.size(snapshot.level),
        signature=describe_inputs_and_outputs(config, snapshot.level, ()),
        num_parameters=sum(weights.numel() for weights in snapshot.generator.parameters()),
        suffix=PurePath(card.file).suffix,
        onnx_file=f"{stem}.onnx",
        network_file=f"{stem}{NETWORK_SUFFIX}",
        measurable_file=next(name for name in names if name.endswith(MEASURABLE)),
        max_classes=MAX_CLASSES,
    )


def extract_training_section(text: str) -> str:
    """Return the sections of a card on the training, '' if there are none."""
    for heading, following in TRAINING_SECTIONS.items():
        _, found, rest = text.partition(f"{heading}\n")
        section, ended, _ = rest.partition(f"\n{following}\n")
        if found and ended:
            return f"{heading}\n{section}".strip()
    return ""


def card_path(network: Path) -> Path:
    """Return the path of the card of a network file: network-snapshot-000012.md."""
    return network.with_suffix(CARD_SUFFIX)


def export_card_path(export: Path) -> Path:
    """Return the path of an export's card: mine.onnx.md, beside mine.md of mine.safetensors."""
    return export.with_name(export.name + CARD_SUFFIX)


def write_card(path: Path, text: str) -> bool:
    """Write a card atomically unless an edited one exists; return True if it was written."""
    if path.is_file() and not is_unedited(path.read_bytes()):
        return False
    write_atomically(path, append_card_hash(text))
    return True


def append_card_hash(text: str) -> str:
    """Append the line with the hash that `is_unedited` checks."""
    return f"{text}\n{_SEAL.format(_hash_text(text.encode()))}"


def remove_card_hash(text: str) -> str:
    """Remove the line of `append_card_hash` from a card; unchanged without one."""
    body, _, last_line = text.rpartition("\n<!--")
    return body if _SEALED.fullmatch(f"<!--{last_line}") else text


def is_unedited(content: bytes) -> bool:
    """Return True if a card ends with the hash of its content."""
    text, _, last_line = content.rpartition(b"\n<!--")
    match = _SEALED.fullmatch((b"<!--" + last_line).decode("utf-8", "replace"))
    return match is not None and (match[1] or match[2]) == _hash_text(text)


def escape_markdown(text: str, max_length: int = MAX_LINE_LENGTH) -> str:
    """Escape Markdown on one line, cut to a length; safe in tables."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", sanitize_and_truncate_line(text, max_length))


def code_span(text: str) -> str:
    """Format as a code span; in tables use `escape_markdown`, as a | would end the cell."""
    line = sanitize_and_truncate_line(text) or " "
    ticks = "`" * (max(map(len, re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def code_block(text: str) -> str:
    """Indent as a code block; surrogates are escaped."""
    return indent(
        text.strip("\n").encode("utf-8", "backslashreplace").decode(), "    ", lambda line: True
    )


def describe_growth(run: Run) -> str:
    """Describe e.g. 'from 4x4 to 16x16; each size is faded in over 1.5 kimg, …'."""
    network, plan = run.network, run.growth
    last = network.size(network.max_level)
    if not run.grows:
        return f"none: {last} from the start, for {plan.total_kimg:g} kimg"
    first = network.size(schedule.get_first_level(plan, network))
    return (
        f"from {first} to {last}; each size is faded in over {plan.transition_kimg:g} kimg, "
        f"then trained for {plan.training_kimg:g} kimg; {plan.total_kimg:g} kimg in total (1 "
        "kimg is a thousand training images)"
    )


def describe_by_resolution(default: N, exceptions: tuple[tuple[int, N], ...], run: Run) -> str:
    """Describe e.g. '4', or '4 (14 at 256, 6 at 512)', for the resolutions of the run."""
    levels = range(schedule.get_first_level(run.growth, run.network), run.network.max_level + 1)
    values = {
        1 << level: schedule.lookup_exact_resolution(exceptions, 1 << level, default)
        for level in levels
    }
    if len(set(values.values())) == 1:
        return f"{next(iter(values.values())):g}"
    others = [f"{value:g} at {size}" for size, value in values.items() if value != default]
    return f"{default:g} ({', '.join(others)})"


def describe_objective(settings: LossConfig) -> str:
    """Describe e.g. 'wgan-gp: gradient penalty weight 10, target norm 1, drift weight 0'."""
    terms = [
        f"{name} {getattr(settings, field):g}"
        for field, name in OBJECTIVE_TERMS[settings.objective].items()
    ]
    return f"{settings.objective}: {', '.join(terms)}"


def _hash_text(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


@cache
def _load_template() -> "Template":
    from jinja2 import Environment, StrictUndefined  # needed only when a card is written

    environment = Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.filters.update(
        code=code_span,
        plain=escape_markdown,
        block=code_block,
        repr=repr,
        number="{:g}".format,
        thousands="{:,.0f}".format,
        digits4="{:.4g}".format,
        duration=format_duration,
        file_name=lambda path: PurePath(path).name,
    )
    environment.globals.update(
        command=partial(command_line, portable=True),
        describe_growth=describe_growth,
        describe_by_resolution=describe_by_resolution,
        describe_objective=describe_objective,
    )
    return environment.from_string((files("progan.sampling") / TEMPLATE).read_text("utf-8"))
