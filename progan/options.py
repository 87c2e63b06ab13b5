"""Convert config fields to click options, and their values to overrides of a config."""

from collections.abc import Callable
from dataclasses import Field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progan.config import SECTIONS, Run, clear_tables_of_given
from progan.option_fields import FloatAt, IntAt, format_option_name, list_option_fields
from progan.presets import PRESETS

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType  # which is not generic in click 8.1 to 8.3


AUTO = "auto"  # in help and on the command line: the program chooses
NONE = "none"  # in help and on the command line: an empty value
_NONE_KEY = "progan.none"  # prefix of keys of the context, before the name of an option


class PerResolution(Kind):
    """RESOLUTION:VALUE pairs, as in 256:14,512:6."""

    name = "RES:VALUE,…"

    def __init__(self, number: type[int] | type[float]) -> None:
        self.number = number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        if value.strip() == NONE:
            return ()
        try:
            pairs = [pair.split(":") for pair in value.split(",") if pair.strip()]
            return tuple((int(resolution), self.number(number)) for resolution, number in pairs)
        except ValueError:
            self.fail(
                f"{value!r} is not a list of RESOLUTION:VALUE, as in 256:14,512:6.", param, ctx
            )


class Text(Kind):
    """Any text; 'none' is the empty one, and noted in the context (`is_none`)."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value != NONE:
            return value
        if ctx and param:
            ctx.meta[f"{_NONE_KEY}.{param.name}"] = True
        return ""


def is_none(context: click.Context, name: str) -> bool:
    """True if the value of an option of text was the word 'none'."""
    return f"{_NONE_KEY}.{name}" in context.meta


class OrAuto(Kind):
    """A number, or 'auto', which is stored as the number `auto`."""

    def __init__(self, number: Kind, auto: float) -> None:
        self.name = f"{number.name}|{AUTO}"
        self.number, self.auto = number, auto

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.number.convert(self.auto if value == AUTO else value, param, ctx)


class ConfigOption(click.Option):
    """The option of a field of the config; None means not given."""

    def __init__(self, *names: Any, field: Field[Any], section: Any, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.field, self.section = field, section

    def describe(self, default: Any) -> str:
        """Return the help text with the default that a preset has."""
        return f"{self.field.metadata['text']} [default: {_format_default(self.field, default)}]"


IN_PRESETS = {name for row in PRESETS.values() for name in row}

TYPES: dict[Any, Kind] = {
    int: click.INT,
    float: click.FLOAT,
    str: Text(),
    IntAt: PerResolution(int),
    FloatAt: PerResolution(float),
}


def add_config_options(command: F) -> F:
    """Add an option for each field of the config to a command; None means not given."""
    for section, fields in reversed(group_offered_fields().items()):
        for field in reversed(fields):
            command = _make_click_option(field, section)(command)
    return command


def select_given_fields(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields given on the command line, as `clear_tables_of_given` returns them."""
    names = {field.name for field in _list_offered_fields()}
    return clear_tables_of_given(
        {name: value for name, value in options.items() if name in names and value is not None}
    )


def group_offered_fields() -> dict[Any, list[Field[Any]]]:
    """Return the fields that are command-line options, by their section of the config."""
    return {
        section: [item for item in list_option_fields(section) if item.metadata["option"]]
        for section in (Run, *SECTIONS.values())
    }


def _list_offered_fields() -> list[Field[Any]]:
    """Return the fields of all sections that are command-line options."""
    return [item for fields in group_offered_fields().values() for item in fields]


def _make_click_option(field: Field[Any], section: Any) -> Callable[[F], F]:
    """Return the click option of a field, whose default None means not given."""
    name, kind = format_option_name(field.name), TYPES.get(field.type)
    if field.metadata["choices"] and not field.metadata["several"]:
        kind = click.Choice(field.metadata["choices"])
    if field.metadata["auto"] is not None:
        assert kind is not None
        kind = OrAuto(kind, field.metadata["auto"])
    default = _format_default(field, field.default)
    if field.name in IN_PRESETS:
        default += ", unless the preset differs"
    return click.option(
        f"{name}/--no-{name[2:]}" if field.type is bool else name,
        field.name,
        cls=ConfigOption,
        field=field,
        section=section,
        type=kind,
        default=None,
        help=f"{field.metadata['text']} [default: {default}]",
    )


def _format_default(field: Field[Any], value: Any) -> str:
    """Return a value of a field as the command line takes it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, (tuple, list)):
        return ",".join(f"{resolution}:{number}" for resolution, number in value) or NONE
    if value == field.metadata["auto"]:
        return AUTO
    return f"{value:g}" if isinstance(value, float) else str(value) or NONE
