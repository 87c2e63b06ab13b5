"""Render the report: one table of sections, HTML from Jinja templates, style and script inline."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from progan import __version__
from progan.errors import UserError
from progan.report import curves, facts, images, metrics
from progan.report.run_data import RunData
from progan.run_directory import STATISTICS_FILE

Context = Mapping[str, Any]  # parameters of a macro of sections.html.jinja
BuildSection = Callable[[], Context]  # raises UserError with the sentence to show instead


def render_page(data: RunData, neighbours: BuildSection) -> str:
    """Return the whole report as HTML that needs no other file."""
    measurements = metrics.read_measurements(data.directory, data.settings)
    charts = curves.make_charts(data, measurements)
    errors = [*_describe_damaged_rows(data), *measurements.errors]
    # Title, macro of sections.html.jinja, function that returns its parameters.
    sections: tuple[tuple[str, str, BuildSection], ...] = (
        ("Status", "status", lambda: facts.build_status_section(data)),
        ("Samples", "samples", lambda: images.build_section(data)),
        ("Curves", "curves", lambda: curves.build_section(charts, errors)),
        ("Best snapshot", "best_snapshot", lambda: metrics.build_section(data, measurements)),
        ("Growth", "growth", lambda: facts.build_growth_section(data)),
        ("Nearest neighbours", "neighbours", neighbours),
        ("Settings", "settings", lambda: facts.build_settings_section(data)),
        ("Machine", "machine", lambda: facts.build_machine_section(data)),
    )
    style, script = _read_resource("page.css"), _read_resource("page.js")
    text = (
        _make_jinja_environment()
        .get_template("page.html.jinja")
        .render(
            policy=content_security_policy(style, script),
            style=style,
            script=script,
            name=data.directory.resolve().name,
            sections={title: render_section(macro, build) for title, macro, build in sections},
            numbers=dump_json_for_script(curves.chart_data(data, charts)),
            version=__version__,
        )
    )
    return text.encode("utf-8", "backslashreplace").decode()  # paths may not be UTF-8


def render_section(macro: str, build: BuildSection) -> Markup:
    """Render one section; an error becomes a sentence in its place and spares the others."""
    macros: Any = _make_jinja_environment().get_template("sections.html.jinja").module
    try:
        return Markup(getattr(macros, macro)(**build()))
    except UserError as error:
        message = str(error)
    except Exception as error:  # damaged files raise any exception
        message = f"This part could not be made: {type(error).__name__}: {error}"
    return Markup(macros.absent(message))


def content_security_policy(style: str, script: str) -> str:
    """Return the policy that allows inline data, this style and this script, and no requests."""
    return (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash_for_csp(style)}; script-src {_hash_for_csp(script)}"
    )


def dump_json_for_script(values: Mapping[str, Any]) -> str:
    """Return JSON that cannot end the <script> element that contains it."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _make_jinja_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("progan.report", ""),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["anchor"] = lambda title: title.lower().replace(" ", "-")
    return environment


def _describe_damaged_rows(data: RunData) -> list[str]:
    if not data.num_damaged_rows:
        return []
    if data.num_damaged_rows == 1:
        return [f"A damaged line of {STATISTICS_FILE} is left out."]
    return [f"{data.num_damaged_rows} damaged lines of {STATISTICS_FILE} are left out."]


def _hash_for_csp(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _read_resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
