"""Options of train.py in a file: --config run.yaml, or the config.json of a run."""

import json
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from progan import presets
from progan.cli.aliases import TRAIN_ALIASES, TRAIN_DIFFERENCES
from progan.command import PATH, hyphenate, report_user_errors
from progan.config import SECTIONS, Run, from_dict, list_values
from progan.errors import UserError
from progan.options import group_offered_fields
from progan.runtime.text import format_count, suggest_nearest

YAML_SUFFIXES = (".yaml", ".yml")
# For one command only.
NOT_IN_FILES = ("config", "print_config", "resume", "dry_run", "help", "version")
NAMES = ("preset", "data", "init_from")  # options that are not fields of the config


def read_run_file(file: Path, offered: Iterable[str]) -> dict[str, Any]:
    """Return the options in a file, by name, in the form that the command line has them in.

    A flat file names options, with hyphens or underscores. In the config.json of a run, settings
    are in sections; those that its preset has too are left out.

    Args:
        offered: The names of the command's options.

    Raises:
        UserError: The file is missing, no YAML or JSON, or has an unknown name or one option twice.
    """
    values = _parse(file)
    if any(isinstance(values.get(name), Mapping) for name in SECTIONS):
        values = _list_changes_from_preset(values)
    named = _combine_pairs(file, ((_normalize_name(str(key)), values[key]) for key in values))
    known = set(offered) - set(NOT_IN_FILES)
    for name in named:
        if name not in known:
            difference = TRAIN_DIFFERENCES.get(hyphenate(name), "")
            advice = f" {difference}" if difference else suggest_nearest(name, known)
            advice = advice or " train.py --help lists them."
            raise UserError(f"{file}: unknown option {name!r}.{advice}")
    return {
        name: _format_value(file, name, value) for name, value in named.items() if value is not None
    }


def _combine_pairs(file: Path, pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """Return the pairs as a mapping; raise UserError where one would hide another."""
    values: dict[Any, Any] = {}
    for name, value in pairs:
        if name in values:
            raise UserError(f"{file} sets {name} twice, perhaps under two names. Keep one of them.")
        values[name] = value
    return values


def _normalize_name(name: str) -> str:
    """Return the name that an option has in Python: '--kimg' -> 'total_kimg'."""
    hyphenated = hyphenate(name.strip().lstrip("-"))
    return TRAIN_ALIASES.get(hyphenated, hyphenated).replace("-", "_")


def format_run_file(run: Run) -> str:
    """Return all settings of a run as YAML, one line for each, grouped by section."""
    values = list_values(run)
    paths = {name: _quote(values[name]) for name in NAMES if name != "preset" and values[name]}
    lines = [f"{name}: {value}" for name, value in ({"preset": run.preset} | paths).items()]
    for section, fields in group_offered_fields().items():
        lines += ["", f"# {section.__name__}"]
        for field in fields:
            value = _format_value(Path(), field.name, values[field.name])
            lines.append(f"{field.name}: {_quote(value)}")
    return "\n".join(lines)


def _quote(value: Any) -> str:
    """Return a value as JSON, which is YAML too: '#' and ': ' in names of folders end nothing."""
    return json.dumps(value, ensure_ascii=False)


def _parse(file: Path) -> dict[Any, Any]:
    """Return the mapping in a file of YAML or JSON."""
    if not file.is_file():
        raise UserError(f"{file} is not a file. Name a YAML or JSON file of options by --config.")
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not text in UTF-8: {error}.") from error
    if file.suffix in YAML_SUFFIXES:
        values = _parse_yaml(file, text)
    else:
        try:
            values = json.loads(text, object_pairs_hook=partial(_combine_pairs, file))
        except ValueError as error:
            raise UserError(
                f"{file} is not JSON: {error}. The name of a YAML file ends in .yaml."
            ) from error
    if not isinstance(values, dict):
        raise UserError(f"{file} has no options: lines such as 'total_kimg: 100' are expected.")
    return values


def _parse_yaml(file: Path, text: str) -> Any:
    """Return what a YAML file holds; tags, which could make any object, are refused."""
    try:
        import yaml
    except ImportError as error:
        raise UserError(
            f"{file}: reading YAML needs PyYAML: pip install 'progan[yaml]'. JSON needs nothing."
        ) from error
    try:
        root = yaml.compose(text, yaml.SafeLoader)
        if isinstance(root, yaml.MappingNode):
            for table in (root, *(value for _, value in root.value)):
                if isinstance(table, yaml.MappingNode):  # of equal names, safe_load keeps the last
                    _combine_pairs(file, ((str(key.value), None) for key, _ in table.value))
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{file} cannot be read as YAML: {error}") from error


def _list_changes_from_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a config.json that differ from those of its preset."""
    run = from_dict(values)
    name = run.preset if run.preset in presets.PRESETS else presets.DEFAULT
    base, own = list_values(presets.preset(name)), list_values(run)
    changed = {key: value for key, value in own.items() if value != base[key]}
    # An option without its table would clear the preset's (`clear_tables_of_given`).
    changed |= {table: own[table] for key in changed if (table := f"{key}_at") in own}
    kept = {*_list_setting_names(), *NAMES}
    return {"preset": name} | {key: value for key, value in changed.items() if key in kept}


def _list_setting_names() -> set[str]:
    """Return the names of the options that are fields of the config, as presets set them."""
    return {field.name for fields in group_offered_fields().values() for field in fields}


def _format_value(file: Path, name: str, value: Any) -> Any:
    """Return a value as the command line has it: tables as 8:64,16:32, lists with commas."""
    if isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        rows = [isinstance(row, (list, tuple)) and len(row) == 2 for row in value]
        if all(rows):
            pairs = [f"{resolution}:{_shorten(number)}" for resolution, number in value]
            return ",".join(pairs) or "none"
        if any(rows) or not all(isinstance(item, (str, int, float)) for item in value):
            raise UserError(f"{file}: {name} cannot be {value!r}.")
        return ",".join(str(item) for item in value)
    if value == "":
        return "none"
    return _shorten(value)


def _shorten(value: Any) -> Any:
    """Return whole floats as integers: 12000.0 -> 12000."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _use_run_file(context: click.Context, _: click.Parameter, file: Path | None) -> Path | None:
    """Make the options in the file the defaults of those of the command line."""
    if file is not None and not context.resilient_parsing:
        with report_user_errors():
            offered = [each.name for each in context.command.params if each.name]
            context.default_map = read_run_file(file, offered)
    return file


def let_command_line_precede(
    context: click.Context, values: Mapping[str, Any], lr: float | None
) -> dict[str, Any]:
    """Return the options with what the command line changes in settings of the file.

    --lr is an alias for --g-lr and --d-lr. A value on the command line holds at all resolutions,
    unless its table is there, too.
    """

    def is_typed(name: str) -> bool:
        return context.get_parameter_source(name) is ParameterSource.COMMANDLINE

    typed = {name for name in values if is_typed(name)}
    result = dict(values)
    if lr is not None:
        aliased = {name for name in ("g_lr", "d_lr") if name not in typed}
        if is_typed("lr"):
            typed |= aliased
        else:
            aliased = {name for name in aliased if values[name] is None}
        result |= dict.fromkeys(aliased, lr)
    hidden = {f"{name}_at" for name in typed} - typed
    return {name: None if name in hidden else value for name, value in result.items()}


def note_settings_above_preset(context: click.Context) -> None:
    """Print a note if the settings of --config hide those of a --preset on the command line."""
    values = context.default_map or {}
    source = context.get_parameter_source("preset")
    count = len(values.keys() & _list_setting_names())
    if source is ParameterSource.COMMANDLINE and count and context.params["preset"]:
        click.echo(
            f"The file of --config sets {format_count(count, 'option')}, which precede those of "
            f"--preset {context.params['preset']}.",
            err=True,
        )


config_option = click.option(
    "--config", type=PATH, is_eager=True, expose_value=False, callback=_use_run_file,
    metavar="FILE", help="Take options from a file: YAML or JSON with lines such as "
    "'total_kimg: 100', or the config.json of a run. The command line takes precedence.",
)  # fmt: skip
