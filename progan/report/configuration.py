"""The section of the settings: what differs from the preset, and then all of them."""

from collections.abc import Iterator
from typing import Any

from progan import presets
from progan.config import SECTIONS, Run, all_changes
from progan.errors import UserError
from progan.invocation import respelled
from progan.report.markup import Markup, element, facts, joined, table
from progan.report.material import Material
from progan.settings import option_name, settings

OF_THE_DATA = ("preset", "data", "fingerprint", "init_from")  # told apart from the changes
HEADINGS = ("setting", "value", "what it is")


def section(material: Material) -> Markup:
    """What a person chose, and what that made of all settings."""
    run = material.run
    changed = changes(run)
    words = (element("ul", *(element("li", element("code", each)) for each in changed))
             if changed else element("p", "All other settings are those of the preset."))
    return joined([
        facts(_chosen(run)), element("h3", "Other than in the preset"), words,
        *(element("details", element("summary", f"All settings: {name}"),
                  table(HEADINGS, _rows(part))) for name, part in _parts(run).items())])


def changes(run: Run) -> list[str]:
    """'--total-kimg: 12000 -> 140' for what is not as in its preset."""
    try:
        usual = presets.preset(run.preset)
    except UserError:  # 'custom', or one of another version
        usual = Run()
    return [option_name(each) for each in all_changes(usual, run, OF_THE_DATA)]


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
    return [[item.name.replace("_", "-"),
             _value(getattr(part, item.name), item.metadata["auto"]),
             respelled(item.metadata["text"])]
            for item in settings(type(part))]


def _value(value: Any, auto: float | None) -> str:
    """As the command line has it: '256:14,512:6' for a table."""
    if isinstance(value, tuple):
        return ",".join(f"{resolution}:{each}" for resolution, each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "auto" if value == auto else f"{value}"
