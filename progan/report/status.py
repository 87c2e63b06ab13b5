"""The section on the status of the run, with its evidence, and how far the run is."""

import re
from collections.abc import Iterator, Sequence

from progan.diagnosis.diagnose import diagnose
from progan.diagnosis.history import read_history
from progan.diagnosis.status import (
    Finding,
    Status,
    coverage_facts,
    explain_status,
    format_rollbacks,
)
from progan.errors import UserError
from progan.report.run_data import Markup, RunData, element, facts, joined
from progan.runtime.log import human_rate, human_seconds

# How the last line of a log begins, after its time, of a run that has ended.
ENDED, GAVE_UP = "  Done", "  The training has left the numbers"
STOPPED = re.compile(r"[\d: -]{19}  Stopped (.+?)(?:; |\. |$)")
STOPPED_AT = re.compile(r"at kimg (\d+(?:\.\d+)?)$")


def section(material: RunData) -> Markup:
    """The status of the run, and how far it is."""
    return joined([*_judgement(material), _standing(material)])


def describe_state(log: Sequence[str]) -> str:
    """Whether the run has ended, by the last line of its log."""
    last = log[-1] if log else ""
    if ENDED in last[:30]:
        return "has ended"
    if GAVE_UP in last[:60]:
        return "has stopped, as its numbers were not finite or far too large"
    if stop := STOPPED.match(last):
        return f"was stopped {stop[1]}"
    return f"was training at {last[:19]}, and may still be" if last else "has no log"


def kimg_at_end(material: RunData) -> float:
    """How far the run is: where it was stopped, after its last tick, or by that tick."""
    stop = STOPPED.match(material.log[-1]) if material.log else None
    place = STOPPED_AT.search(stop[1]) if stop else None
    return max(float(place[1]) if place else 0.0, material.kimg)


def _standing(material: RunData) -> Markup:
    """Progress, time and speed."""
    pairs = [("the run", describe_state(material.log))]
    total = material.settings.growth.total_kimg if material.settings else None
    kimg = kimg_at_end(material)
    if material.rows:
        pairs += _measures(material)
    bar = (
        element(
            "progress", max=f"{total:g}", value=f"{kimg:g}", aria_label="thousands of images shown"
        )
        if total
        else Markup()
    )
    shown = f"{kimg:g} of {total:g}" if total else f"{kimg:g}"
    return joined([facts([("thousands of images", joined([shown, bar])), *pairs])])


def _measures(material: RunData) -> Iterator[tuple[str, str]]:
    last = material.rows[-1]
    if words := material.stage_words(last["images_seen"]):
        yield "resolution", words
    if "progress/hours" in last:
        yield "time", human_seconds(last["progress/hours"] * 3600)
    if "speed/images-per-second" in last:
        yield "speed", f"{human_rate(last['speed/images-per-second'])} images/s"


def _judgement(material: RunData) -> Iterator[Markup]:
    try:
        history = read_history(material.directory)
    except UserError as error:
        yield element("p", f"There is no status: {error}", class_="absent")
        return
    if not history.rows and not history.fault:
        yield element(
            "p", "There is no status yet: it comes with the first ticks.", class_="absent"
        )
        return
    found = diagnose(history)
    yield element("p", found.title, class_=f"verdict {status_class(found)}")
    yield from map(_finding, found.findings)
    yield element("p", f"{explain_status(found).capitalize()}.")
    yield facts(coverage_facts(found))
    if words := format_rollbacks(history.rows):
        yield element("p", f"Rollbacks: {words}.")


def status_class(found: Status) -> str:
    """'failing', 'warning' or 'none': the class that colours it."""
    if found.findings:
        return "failing" if found.failing else "warning"
    return "none"


def _finding(finding: Finding) -> Markup:
    """A symptom, what it rests on and what to change."""
    return element(
        "div",
        element("h3", f"{finding.severity}: {finding.name}, since kimg {finding.since_kimg:.1f}"),
        element("ul", *(element("li", each) for each in finding.evidence)),
        element("p", element("b", "What to change: "), f"{finding.advice}."),
        class_=f"finding {finding.severity}",
    )
