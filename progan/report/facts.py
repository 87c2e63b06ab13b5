"""Sections that state facts of a run: status, growth phases, settings, machine."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from progan import presets, schedule
from progan.config import SECTIONS, Network, Run, list_config_changes
from progan.diagnosis.curves import GrowthPhase, list_growth_phases
from progan.diagnosis.diagnose import diagnose
from progan.diagnosis.history import Row, build_history
from progan.diagnosis.status import Status, explain_status, format_rollbacks, list_coverage_facts
from progan.errors import UserError
from progan.invocation import respell_commands
from progan.option_fields import format_option_name, list_option_fields
from progan.report.run_data import RunData
from progan.run_directory import LOG_FILE
from progan.runtime.text import format_duration, format_rate
from progan.schedule import Phase
from progan.training.progress import format_resolution

# Starts of the last line of the log of a run that has ended, after the time; the last one is of
# earlier versions.
DONE, DIVERGED = "  Done", ("  Training diverged", "  The training has left the numbers")
STOPPED = re.compile(r"[\d: -]{19}  Stopped (.+?)(?:; |\. |$)")
STOPPED_AT = re.compile(r"at kimg (\d+(?:\.\d+)?)$")


def build_status_section(data: RunData) -> dict[str, Any]:
    """Return the diagnosis, or a message in its place, and the progress."""
    message, diagnosis = "", {}
    try:
        history = build_history(data.directory, data.run, data.rows)
        if history.rows or history.rollback:
            found = diagnose(history)
            diagnosis = {
                "status": found,
                "css_class": choose_status_class(found),
                "explanation": explain_status(found).capitalize(),
                "facts": list(list_coverage_facts(found)),
                "rollbacks": format_rollbacks(history.rows),
            }
        else:
            message = "No status yet: it comes with the first ticks."
    except UserError as error:
        message = f"No status: {error}"
    progress = {
        "kimg": find_kimg_at_end(data),
        "total_kimg": data.settings.growth.total_kimg if data.settings else None,
        "facts": [("the run", describe_state(data.log)), *_list_progress_facts(data)],
    }
    return {"message": message, "diagnosis": diagnosis, "progress": progress}


def describe_state(log: Sequence[str]) -> str:
    """Return whether the run ended, stopped or may still be training, by the last log line."""
    last = log[-1] if log else ""
    if DONE in last[:30]:
        return "has ended"
    if any(start in last[:60] for start in DIVERGED):
        return "has stopped, as its numbers were not finite or far too large"
    if stop := STOPPED.match(last):
        return f"was stopped {stop[1]}"
    return f"was training at {last[:19]}, and may still be" if last else "has no log"


def find_kimg_at_end(data: RunData) -> float:
    """Return the kimg of the last tick, or where the run was stopped after it."""
    stop = STOPPED.match(data.log[-1]) if data.log else None
    place = STOPPED_AT.search(stop[1]) if stop else None
    return max(float(place[1]) if place else 0.0, data.kimg)


def choose_status_class(status: Status) -> str:
    """Return the CSS class that colours a status: 'failing', 'warning' or 'none'."""
    if status.findings:
        return "failing" if status.failing else "warning"
    return "none"


def _list_progress_facts(data: RunData) -> Iterator[tuple[str, str]]:
    if not data.rows:
        return
    last = data.rows[-1]
    if stage := data.describe_stage(last["images_seen"]):
        yield "resolution", stage
    if "progress/hours" in last:
        yield "time", format_duration(last["progress/hours"] * 3600)
    if "speed/images-per-second" in last:
        yield "speed", f"{format_rate(last['speed/images-per-second'])} images/s"


# No options: listed in the overview instead, or they follow from the dataset.
NOT_COMPARED = (
    "preset", "data", "fingerprint", "init_from", "base_height", "base_width", "channels",
    "label_size",
)  # fmt: skip
SETTINGS_HEADINGS = ("setting", "value", "what it is")
MACHINE_HEADINGS = ("from", "progan", "torch", "device")
GROWTH_HEADINGS = ("resolution", "", "kimg", "batch", "images/s", "time", "")
LOG_TAIL = 40  # lines
# The first line that train.py logs: progan 0.1.0, torch 2.11, cuda (NVIDIA H100), 2 processes
SESSION = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  progan (\S+), torch (\S+), (.+)")
UNKNOWN = "–"


class Session(NamedTuple):
    """One start of train.py, as its log has it."""

    start: str
    version: str
    torch: str
    device: str


def build_settings_section(data: RunData) -> dict[str, Any]:
    """Return preset and dataset, the changes from the preset, and a table of all settings."""
    run = data.run
    parts = {"run": run, **{name: getattr(run, name) for name in SECTIONS}}
    return {
        "overview": list(_list_run_facts(run)),
        "changes": list_changes_from_preset(run),
        "headings": SETTINGS_HEADINGS,
        "parts": {name: _make_setting_rows(part) for name, part in parts.items()},
    }


def list_changes_from_preset(run: Run) -> list[str]:
    """Return e.g. '--total-kimg: 12000 -> 140' for each setting that differs from the preset."""
    try:
        preset = presets.preset(run.preset)
    except UserError:  # 'custom', or a preset of another version
        preset = Run()
    return [
        str(each._replace(name=format_option_name(each.name)))
        for each in list_config_changes(preset, run, NOT_COMPARED)
    ]


def _list_run_facts(run: Run) -> Iterator[tuple[str, str]]:
    yield "preset", run.preset
    yield "dataset", run.data.data or UNKNOWN
    if run.data.fingerprint:
        yield "fingerprint", run.data.fingerprint
    if run.init_from:
        yield "initialised from", run.init_from
    yield "seed", f"{run.seed}"
    yield "images", f"{run.network.size(run.network.max_level)}x{run.network.channels}"


def _make_setting_rows(part: Any) -> list[list[str]]:
    return [
        [
            item.name.replace("_", "-"),
            _format_value(getattr(part, item.name), item.metadata["auto"]),
            respell_commands(item.metadata["text"]),
        ]
        for item in list_option_fields(type(part))
    ]


def _format_value(value: Any, auto: float | None) -> str:
    """Format a value as on the command line: '256:14,512:6' for a table."""
    if isinstance(value, tuple):
        return ",".join(f"{resolution}:{each}" for resolution, each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "auto" if value == auto else f"{value}"


def build_machine_section(data: RunData) -> dict[str, Any]:
    """Return devices, memory and the end of the log; raises UserError if nothing is known."""
    if not data.log and not data.rows:
        raise UserError(f"{LOG_FILE} and statistics are missing.")
    sessions = [Session(*match.groups()) for line in data.log if (match := SESSION.fullmatch(line))]
    return {
        "overview": list(_list_machine_facts(data, sessions)),
        "headings": MACHINE_HEADINGS,
        "starts": sessions,
        "log_file": LOG_FILE,
        "log_tail": "\n".join(data.log[-LOG_TAIL:]),
    }


def _list_machine_facts(data: RunData, sessions: Sequence[Session]) -> Iterator[tuple[str, str]]:
    """Yield facts of the last session, and peak memory and time of all."""
    if sessions:
        last = sessions[-1]
        yield from (("device", last.device), ("progan", last.version), ("torch", last.torch))
        yield "started", f"{len(sessions)} times" if len(sessions) > 1 else last.start
    if peaks := _select_known(data.rows, "memory/peak-gib"):
        yield "peak memory", f"{max(peaks):.1f} GiB"
    if hours := _select_known(data.rows, "progress/hours"):
        yield "trained for", format_duration(hours[-1] * 3600)


def build_growth_section(data: RunData) -> dict[str, Any]:
    """Return a row for each growth phase of the schedule."""
    growth, network = data.run.growth, data.run.network
    rows = [_phase_row(phase, network, data) for phase in schedule.iterate_phases(growth, network)]
    return {"headings": GROWTH_HEADINGS, "rows": rows}


def list_shaded_phases(data: RunData) -> list[GrowthPhase]:
    """Return the phases up to now, by the schedule, or by the ticks if settings are unknown."""
    if data.settings is None:
        return list_growth_phases(data.rows)
    return [
        GrowthPhase(
            phase.start_kimg,
            min(phase.end_kimg, data.kimg),
            phase.stage.resolution,
            phase.stage.fading,
        )
        for phase in schedule.iterate_phases(data.settings.growth, data.settings.network)
        if phase.start_kimg < data.kimg
    ]


def interpolate_hours(kimg: float, rows: Sequence[Row]) -> float | None:
    """Interpolate the hours of training at a kimg between ticks; None if unknown."""
    known = [row for row in rows if "progress/hours" in row]
    points = [(0.0, 0.0), *((row["images_seen"] / 1000, row["progress/hours"]) for row in known)]
    for (start, hours), (end, later_hours) in zip(points, points[1:], strict=False):
        if start <= kimg <= end and end > start:
            return hours + (kimg - start) / (end - start) * (later_hours - hours)
    return None


def _phase_row(phase: Phase, network: Network, data: RunData) -> list[str]:
    now = data.kimg
    state = "done" if phase.end_kimg <= now else "now" if phase.start_kimg < now else "to come"
    inside = [
        row for row in data.rows if phase.start_kimg < row["images_seen"] / 1000 <= phase.end_kimg
    ]
    speeds = _select_known(inside, "speed/images-per-second")
    return [
        format_resolution(phase.stage, network),
        "fading in" if phase.stage.fading else "stable",
        f"{phase.start_kimg:g}–{phase.end_kimg:g}",
        f"{phase.stage.batch}",
        format_rate(sum(speeds) / len(speeds)) if speeds else UNKNOWN,
        _format_phase_time(phase, now, data.rows),
        state,
    ]


def _format_phase_time(phase: Phase, now: float, rows: Sequence[Row]) -> str:
    if phase.start_kimg >= now:
        return UNKNOWN
    start, end = (
        interpolate_hours(phase.start_kimg, rows),
        interpolate_hours(min(phase.end_kimg, now), rows),
    )
    return UNKNOWN if start is None or end is None else format_duration((end - start) * 3600)


def _select_known(rows: Sequence[Row], name: str) -> list[float]:
    return [row[name] for row in rows if name in row]
