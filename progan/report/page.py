"""The page: its sections in their order, style and script inside, and nothing from elsewhere."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from string import Template
from typing import Any

from progan import __version__
from progan.errors import UserError
from progan.report import curves
from progan.report import images as samples
from progan.report import metrics as best
from progan.report import metrics as measured
from progan.report import settings as configuration
from progan.report import settings as machine
from progan.report import settings as phases
from progan.report import status as verdict
from progan.report.run_data import Markup, RunData, element, joined
from progan.run_directory import STATISTICS_FILE

Section = Callable[[], Markup]


def render_page(material: RunData, neighbours: Section) -> str:
    """The whole file."""
    found = measured.read_measurements(material.directory)
    charts = curves.make_charts(material, found)
    sections: dict[str, Section] = {
        "Status": lambda: verdict.section(material),
        "Samples": lambda: samples.section(material),
        "Curves": lambda: curves.section(charts, _faults(material, found)),
        "Best snapshot": lambda: best.section(material, found),
        "Growth": lambda: phases.growth_section(material),
        "Nearest neighbours": neighbours,
        "Settings": lambda: configuration.settings_section(material),
        "Machine": lambda: machine.machine_section(material),
    }
    style, script = _part("page.css"), _part("page.js")
    text = Template(_part("page.html")).substitute(
        policy=content_security_policy(style, script),
        style=style,
        script=script,
        name=joined([material.directory.resolve().name]),
        links=_links(sections),
        sections=joined(_section(title, make) for title, make in sections.items()),
        numbers=json_for_script(curves.chart_data(material, charts)),
        version=__version__,
    )
    return text.encode("utf-8", "backslashreplace").decode()  # of paths that are no UTF-8


def content_security_policy(style: str, script: str) -> str:
    """What a browser may do with the page: show what is in it, and run this one script."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )


def json_for_script(values: Mapping[str, Any]) -> str:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def safe_section(make: Section) -> Markup:
    """A section, or a sentence in its place: no damaged file is worth the other sections."""
    try:
        return make()
    except UserError as error:
        return element("p", str(error), class_="absent")
    except Exception as error:  # a file may be damaged in any way
        return element(
            "p", f"This part could not be made: {type(error).__name__}: {error}", class_="absent"
        )


def _section(title: str, make: Section) -> Markup:
    return element("section", element("h2", title), safe_section(make), id=_anchor(title))


def _links(titles: Mapping[str, Section]) -> Markup:
    return joined(element("a", title, href=f"#{_anchor(title)}") for title in titles)


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _faults(material: RunData, found: measured.Measurements) -> list[str]:
    """What of the numbers could not be read."""
    damaged = [
        f"{material.damaged} damaged lines of {STATISTICS_FILE} are left out."
        if material.damaged > 1
        else f"A damaged line of {STATISTICS_FILE} is left out."
    ]
    return [*(damaged if material.damaged else []), *found.faults]


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
