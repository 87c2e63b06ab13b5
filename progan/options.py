"""Config fields -> click options -> overrides of a config: the only place that knows both."""

from collections.abc import Callable
from dataclasses import Field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from progan.config import SECTIONS, Run
from progan.option_fields import FloatAt, IntAt, option_fields, option_name
from progan.presets import PRESETS

F = TypeVar("F", bound=Callable[..., Any])

if TYPE_CHECKING:
    Kind = click.ParamType[Any]
else:
    Kind = click.ParamType  # which is not generic in click 8.1 to 8.3


AUTO = "auto"  # how help and command line name a choice by the program
NONE = "none"  # how help and command line name an empty value


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
    """Any text; the word that help shows for none means none."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return "" if value == NONE else value


class OrAuto(Kind):
    """A number, or the word for leaving it to the program, which another number stands for."""

    def __init__(self, number: Kind, auto: float) -> None:
        self.name = f"{number.name}|{AUTO}"
        self.number, self.auto = number, auto

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self.number.convert(self.auto if value == AUTO else value, param, ctx)


IN_PRESETS = {name for row in PRESETS.values() for name in row}

TYPES: dict[Any, Kind] = {
    int: click.INT,
    float: click.FLOAT,
    str: Text(),
    IntAt: PerResolution(int),
    FloatAt: PerResolution(float),
}


def config_options(command: F) -> F:
    """Give a command one option for each field of the config; all default to None: not given."""
    for field in reversed(_offered()):
        command = _option(field)(command)
    return command


def explicit_options(options: dict[str, Any]) -> dict[str, Any]:
    """Keep the config fields that the user named on the command line.

    A value without its table holds at all resolutions: --batch 8 undoes a preset's --batch-at.
    """
    names = {field.name for field in _offered()}
    named = {name: value for name, value in options.items() if name in names and value is not None}
    tables = {f"{name}_at" for name in named} & names
    return {**dict.fromkeys(tables, ()), **named}


def offered_fields() -> dict[Any, list[Field[Any]]]:
    """The fields that the command line offers, by the section of the config that has them."""
    return {
        section: [item for item in option_fields(section) if item.metadata["option"]]
        for section in (Run, *SECTIONS.values())
    }


def _offered() -> list[Field[Any]]:
    return [item for fields in offered_fields().values() for item in fields]


def _option(field: Field[Any]) -> Callable[[F], F]:
    name, text = option_name(field.name), field.metadata["text"]
    if field.type is bool:
        return click.option(
            f"{name}/--no-{name[2:]}", field.name, default=None, help=f"{text} {_shown(field)}"
        )
    kind = TYPES[field.type]
    if field.metadata["choices"] and not field.metadata["several"]:
        kind = click.Choice(field.metadata["choices"])
    if field.metadata["auto"] is not None:
        kind = OrAuto(kind, field.metadata["auto"])
    return click.option(name, field.name, type=kind, default=None, help=f"{text} {_shown(field)}")


def _shown(field: Field[Any]) -> str:
    value = field.default
    if isinstance(value, bool):
        value = "on" if value else "off"
    if isinstance(value, tuple):
        value = ",".join(f"{resolution}:{number}" for resolution, number in value) or NONE
    if value == field.metadata["auto"]:
        value = AUTO
    words = f"{value:g}" if isinstance(value, float) else str(value) or NONE
    return f"[default: {words}{', unless the preset differs' * (field.name in IN_PRESETS)}]"
