"""Fields of the config: default, help text and accepted values, from which all else derives.

The command line and its help (`options.py`), JSON and the presets (`config/`) read them.
"""

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, NamedTuple, TypeVar

from progan.errors import UserError
from progan.runtime.text import escape_controls
from progan.sizes import require_resolution

T = TypeVar("T")

# A table of values for single resolutions: ((256, 14), (512, 6)); others have the default.
IntAt = tuple[tuple[int, int], ...]
FloatAt = tuple[tuple[int, float], ...]


_EXPECTED: Mapping[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    IntAt: "a whole number for each of some resolutions",
    FloatAt: "a number for each of some resolutions",
}


def option_field(
    default: T,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
    several: bool = False,
    resolution: bool = False,
    option: bool = True,
    auto: float | None = None,
) -> T:
    """Declare a field: its default, its help text, and the values that it accepts.

    Args:
        several: The value lists some of the choices, with commas between them.
        resolution: The value is a resolution: a power of two from 4 to 1024.
        option: False if the dataset decides the field and the command line does not offer it.
        auto: The number that stands for a choice by the program, whatever `low` is; help and
            command line call it 'auto'.
    """
    metadata = dict(text=text, low=low, high=high, choices=choices, several=several,
                    resolution=resolution, option=option, auto=auto)  # fmt: skip
    return field(default=default, metadata=metadata)


class Section:
    """Base of the frozen dataclasses of the config, which check their values when made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        validate_fields(self)


def list_option_fields(section: Any) -> list[dataclasses.Field[Any]]:
    """Return the fields of a section that hold values, not those that hold sections."""
    return [item for item in dataclasses.fields(section) if "text" in item.metadata]


def section_from_dict(section: type[T], values: Mapping[str, Any]) -> T:
    """Build a section from JSON; raise UserError for a name that it does not have."""
    if not isinstance(values, Mapping):
        raise UserError(f"The {section.__name__.lower()} settings cannot be {values!r}.")
    require_no_unknown(
        set(values) - {item.name for item in list_option_fields(section)},
        f"{section.__name__.lower()} ",
    )
    return section(**{name: _lists_to_tuples(value) for name, value in values.items()})


class Change(NamedTuple):
    """A setting in which two configs differ; as text 'name: before -> after'."""

    name: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.name}: {self.before} -> {self.after}"


def format_changes(changes: Iterable[Change]) -> str:
    """Format changes for a message: 'batch: 4 -> 8; g_lr: 0.001 -> 0.002'."""
    return escape_controls("; ".join(map(str, changes)))


def list_section_changes(old: Any, new: Any) -> list[Change]:
    """List the settings in which two values of one section differ."""
    pairs = [
        (f.name, getattr(old, f.name), getattr(new, f.name)) for f in list_option_fields(type(new))
    ]
    return [Change(*each) for each in pairs if each[1] != each[2]]


def format_option_name(name: str) -> str:
    """Return the option of a field: 'total_kimg' -> '--total-kimg'."""
    return "--" + name.replace("_", "-")


def convert_python_value(item: dataclasses.Field[Any], value: Any) -> Any:
    """Convert a value that reads well in Python to that of its field.

    {8: 64, 16: 32} -> ((8, 64), (16, 32)), 'auto' -> its number, ['flip', 'color'] -> 'flip,color',
    np.int64(8) -> 8, also in tables.
    """
    value = _numpy_scalars_to_python(value)
    if item.type in (IntAt, FloatAt):
        return _lists_to_tuples(list(value.items()) if isinstance(value, Mapping) else value)
    if value == "auto" and item.metadata["auto"] is not None:
        return item.type(item.metadata["auto"])  # type: ignore[operator]
    if item.metadata["several"] and isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    return value


def _numpy_scalars_to_python(value: Any) -> Any:
    """Convert scalars of NumPy, also in lists and mappings; return other values unchanged."""
    import numpy as np  # here, since commands that only print help must not load it

    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_numpy_scalars_to_python(item) for item in value]
    if isinstance(value, Mapping):
        pairs = value.items()
        return {_numpy_scalars_to_python(key): _numpy_scalars_to_python(of) for key, of in pairs}
    return value


def _lists_to_tuples(value: Any) -> Any:
    """Convert lists to tuples at any depth; return other values unchanged."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_lists_to_tuples, value))
    return value


def require_no_unknown(unknown: set[str], kind: str) -> None:
    """Raise UserError that lists the `unknown` names of settings, if there are any."""
    if unknown:
        raise UserError(
            f"Unknown {kind}settings: {', '.join(sorted(map(str, unknown)))}; "
            "another version of progan may have them."
        )


def validate_fields(section: Any) -> None:
    """Raise UserError unless every field of a section has a value that it accepts."""
    for item in list_option_fields(type(section)):
        value, name = getattr(section, item.name), format_option_name(item.name)
        if not _has_annotated_type(value, item.type):
            raise UserError(f"{name} cannot be {value!r}: {_EXPECTED[item.type]} is expected.")
        if item.metadata["resolution"]:
            require_resolution(value, name)
        if item.metadata["choices"]:
            _require_offered_choice(value, name, item.metadata["choices"], item.metadata["several"])
        for number in _list_numbers_to_check(value, name):
            if number != item.metadata["auto"]:
                _require_range(number, name, item.metadata["low"], item.metadata["high"])


def _require_offered_choice(value: str, name: str, choices: tuple[str, ...], several: bool) -> None:
    """Raise UserError unless the value, or each part between commas, is one of `choices`."""
    unknown = set(split_at_commas(value) if several else [value]) - set(choices)
    if unknown:
        what = "list some" if several else "be one"
        raise UserError(f"{name} must {what} of {', '.join(choices)}, not {min(unknown)!r}.")


def split_at_commas(value: str) -> list[str]:
    """Split a text at its commas and strip blanks: 'a, b' -> ['a', 'b'], '' -> ['']."""
    return [word.strip() for word in value.split(",")]


def _has_annotated_type(value: Any, kind: Any) -> bool:
    """True if a value has the annotated type; an int is a float too, a bool is not an int."""
    if kind in (IntAt, FloatAt):
        number = int if kind is IntAt else float
        return isinstance(value, tuple) and all(
            isinstance(row, tuple)
            and len(row) == 2
            and _has_annotated_type(row[0], int)
            and _has_annotated_type(row[1], number)
            for row in value
        )
    if kind is float:
        # Finite; math.isfinite fails for integers that no float can hold.
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is kind


def _list_numbers_to_check(value: Any, name: str) -> list[float]:
    """Return the value, or those of a table after checking its resolutions; [] of a text."""
    if not isinstance(value, tuple):
        return [value] if isinstance(value, (int, float)) else []
    for resolution, _ in value:
        require_resolution(resolution, f"Each resolution in {name}")
    if len(dict(value)) < len(value):
        raise UserError(f"{name} names a resolution twice.")
    return [number for _, number in value]


def _require_range(number: float, name: str, low: float | None, high: float | None) -> None:
    """Raise UserError unless `low` <= number <= `high`; None is no limit."""
    if low is not None and not number >= low:
        raise UserError(f"{name} must be at least {low:g}, not {number}.")
    if high is not None and not number <= high:
        raise UserError(f"{name} must be at most {high:g}, not {number}.")
