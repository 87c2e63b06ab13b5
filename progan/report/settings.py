"""Sections on the settings of a run, its phases, and the machine."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from progan import presets, schedule
from progan.config import SECTIONS, Network, Run, config_changes
from progan.diagnosis.curves import Span, spans
from progan.diagnosis.history import Row
from progan.errors import UserError
from progan.invocation import respell_commands
from progan.option_fields import option_fields, option_name
from progan.report.markup import Markup, Material, element, facts, joined, table
from progan.run_directory import LOG_FILE
from progan.runtime.log import human_rate, human_seconds
from progan.schedule import Phase
from progan.training.progress import size_words

OF_THE_DATA = ("preset", "data", "fingerprint", "init_from")  # told apart from the changes
SETTINGS_HEADINGS = ("setting", "value", "what it is")


def settings_section(material: Material) -> Markup:
    """What a person chose, and what that made of all settings."""
    run = material.run
    changed = changes(run)
    words = (
        element("ul", *(element("li", element("code", each)) for each in changed))
        if changed
        else element("p", "All other settings are those of the preset.")
    )
    return joined(
        [
            facts(_chosen(run)),
            element("h3", "Other than in the preset"),
            words,
            *(
                element(
                    "details",
                    element("summary", f"All settings: {name}"),
                    table(SETTINGS_HEADINGS, _rows(part)),
                )
                for name, part in _parts(run).items()
            ),
        ]
    )


def changes(run: Run) -> list[str]:
    """'--total-kimg: 12000 -> 140' for what is not as in its preset."""
    try:
        usual = presets.preset(run.preset)
    except UserError:  # 'custom', or one of another version
        usual = Run()
    return [option_name(each) for each in config_changes(usual, run, OF_THE_DATA)]


def _chosen(run: Run) -> Iterator[tuple[str, str]]:
    yield "preset", run.preset
    yield "dataset", run.data.data or "–"
    if run.data.fingerprint:
        yield "fingerprint", run.data.fingerprint
    if run.init_from:
        yield "began with", run.init_from
    yield "seed", f"{run.seed}"
    yield "images", f"{run.network.size(run.network.max_level)}x{run.network.channels}"


def _parts(run: Run) -> dict[str, Any]:
    return {"run": run, **{name: getattr(run, name) for name in SECTIONS}}


def _rows(part: Any) -> list[list[str]]:
    return [
        [
            item.name.replace("_", "-"),
            _value(getattr(part, item.name), item.metadata["auto"]),
            respell_commands(item.metadata["text"]),
        ]
        for item in option_fields(type(part))
    ]


def _value(value: Any, auto: float | None) -> str:
    """As the command line has it: '256:14,512:6' for a table."""
    if isinstance(value, tuple):
        return ",".join(f"{resolution}:{each}" for resolution, each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "auto" if value == auto else f"{value}"


LAST_LINES = 40
# The first line that train.py logs: progan 0.1.0, torch 2.11, cuda (NVIDIA H100), 2 processes
SESSION = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  progan (\S+), torch (\S+), (.+)")
MACHINE_HEADINGS = ("from", "progan", "torch", "device")


class Session(NamedTuple):
    """From the start of train.py to its end."""

    began: str
    version: str
    torch: str
    device: str


def machine_section(material: Material) -> Markup:
    """Devices, memory, and the end of the log; raises UserError if nothing is known."""
    if not material.log and not material.rows:
        raise UserError(f"There is no {LOG_FILE} that could tell.")
    found = sessions(material.log)
    return joined(
        [
            facts(_facts(material, found)),
            *([table(MACHINE_HEADINGS, found, brief=True)] if len(found) > 1 else []),
            element(
                "details",
                element("summary", f"The last lines of {LOG_FILE}"),
                element("pre", "\n".join(material.log[-LAST_LINES:]), tabindex="0"),
            ),
        ]
    )


def sessions(log: Sequence[str]) -> list[Session]:
    """All starts of train.py that a log tells of."""
    return [Session(*match.groups()) for line in log if (match := SESSION.fullmatch(line))]


def _facts(material: Material, found: Sequence[Session]) -> list[tuple[str, str]]:
    """What the last session tells, and the sums of all."""
    told = (
        [
            ("device", found[-1].device),
            ("progan", found[-1].version),
            ("torch", found[-1].torch),
            ("started", f"{len(found)} times" if len(found) > 1 else found[0].began),
        ]
        if found
        else []
    )
    peaks = [row["memory/peak-gib"] for row in material.rows if "memory/peak-gib" in row]
    hours = [row["progress/hours"] for row in material.rows if "progress/hours" in row]
    return [
        *told,
        *([("peak memory", f"{max(peaks):.1f} GiB")] if peaks else []),
        *([("trained for", human_seconds(hours[-1] * 3600))] if hours else []),
    ]


GROWTH_HEADINGS = ("resolution", "", "kimg", "batch", "images/s", "time", "")
UNKNOWN = "–"


class Clock(NamedTuple):
    """A moment of the training."""

    kimg: float
    hours: float


def growth_section(material: Material) -> Markup:
    """A row for each phase, also of those to come."""
    growth, network = material.run.growth, material.run.network
    return table(
        GROWTH_HEADINGS,
        [_row(phase, network, material.rows) for phase in schedule.phases(growth, network)],
        brief=True,
    )


def shaded(material: Material) -> list[Span]:
    """The phases behind the curves: by the schedule, or by the ticks if it is not known."""
    if material.settings is None:
        return spans(material.rows)
    growth, network = material.settings.growth, material.settings.network
    return [
        Span(
            phase.start_kimg,
            min(phase.end_kimg, material.kimg),
            phase.stage.resolution,
            phase.stage.fading,
        )
        for phase in schedule.phases(growth, network)
        if phase.start_kimg < material.kimg
    ]


def hours_at(kimg: float, rows: Sequence[Row]) -> float | None:
    """How long it had been trained then, between two ticks in proportion; None if not known."""
    clocks = [
        Clock(0.0, 0.0),
        *(
            Clock(row["images_seen"] / 1000, row["progress/hours"])
            for row in rows
            if "progress/hours" in row
        ),
    ]
    for before, after in zip(clocks, clocks[1:], strict=False):
        if before.kimg <= kimg <= after.kimg and after.kimg > before.kimg:
            share = (kimg - before.kimg) / (after.kimg - before.kimg)
            return before.hours + share * (after.hours - before.hours)
    return None


def _row(phase: Phase, network: Network, rows: Sequence[Row]) -> list[str]:
    now = rows[-1]["images_seen"] / 1000 if rows else 0.0
    state = "done" if phase.end_kimg <= now else "now" if phase.start_kimg < now else "to come"
    return [
        size_words(phase.stage, network),
        "fading in" if phase.stage.fading else "stable",
        f"{phase.start_kimg:g}–{phase.end_kimg:g}",
        f"{phase.stage.batch}",
        _speed(phase, rows),
        _time(phase, now, rows),
        state,
    ]


def _speed(phase: Phase, rows: Sequence[Row]) -> str:
    """Mean of the ticks that ended in the phase."""
    speeds = [
        row["speed/images-per-second"]
        for row in rows
        if phase.start_kimg < row["images_seen"] / 1000 <= phase.end_kimg
        and "speed/images-per-second" in row
    ]
    return human_rate(sum(speeds) / len(speeds)) if speeds else UNKNOWN


def _time(phase: Phase, now: float, rows: Sequence[Row]) -> str:
    if phase.start_kimg >= now:
        return UNKNOWN
    begin, end = hours_at(phase.start_kimg, rows), hours_at(min(phase.end_kimg, now), rows)
    return UNKNOWN if begin is None or end is None else human_seconds((end - begin) * 3600)
