"""Options of train.py in a file: --config run.yaml, or the config.json of a run."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from progan import presets
from progan.aliases import TRAIN_ALIASES, TRAIN_DIFFERENCES
from progan.command import PATH, hyphenate, report_user_errors
from progan.config import SECTIONS, Run, from_dict, list_named_settings, list_values
from progan.errors import UserError
from progan.options import NONE, PerResolution, Text, group_offered_fields
from progan.runtime.text import format_count, suggest_nearest

YAML_SUFFIXES = (".yaml", ".yml")
# For one command only.
NOT_IN_FILES = (
    "config", "print_config", "resume", "dry_run", "help", "help_all", "list_presets", "version",
)  # fmt: skip
NAMES = ("preset", "data", "init_from")  # options that are not fields of the config
FILE_KEY = "progan.config"  # the file of --config, in the context


def read_run_file(file: Path, offered: Iterable[click.Parameter]) -> dict[str, str | bool]:
    """Return the options in a file, by name, as the command line has them: text, flags as bool.

    A flat file names options, with hyphens or underscores. In the config.json of a run, settings
    are in sections; those that its preset has too are left out.

    Args:
        offered: The command's options.

    Raises:
        UserError: The file is missing, no YAML or JSON, has an unknown name or one option twice,
            or a value that no command line has.
    """
    try:
        return _read_options(file, {each.name: each for each in offered if each.name})
    except RecursionError as error:
        raise UserError(
            f"{file} is nested too deeply. Write one 'name: value' for each option, such as "
            "'total_kimg: 100'."
        ) from error


def _read_options(file: Path, offered: Mapping[str, click.Parameter]) -> dict[str, str | bool]:
    values = _parse(file)
    if _has_sections(values):
        _require_sections(file, values, offered)
        values = _list_changes_from_preset(file, values)
    named = _combine_pairs(file, ((_normalize_name(str(key)), values[key]) for key in values))
    known = offered.keys() - {
        *NOT_IN_FILES,
        *(name.replace("-", "_") for name in TRAIN_DIFFERENCES),
    }
    for name in named:
        if name not in known:
            difference = TRAIN_DIFFERENCES.get(hyphenate(name), "")
            advice = f" {difference}" if difference else suggest_nearest(name, known)
            advice = advice or " train.py --help lists them."
            raise UserError(f"{file}: unknown option {name!r}.{advice}")
    return {
        name: _convert_to_command_line(file, offered[name], value)
        for name, value in named.items()
        if value is not None
    }


def _has_sections(values: Mapping[Any, Any]) -> bool:
    return any(isinstance(values.get(name), Mapping) for name in SECTIONS)


def _require_sections(file: Path, values: Mapping[Any, Any], offered: Container[str]) -> None:
    """Raise UserError if a file with sections has an option by the name of one, such as data.

    Args:
        offered: Names of the options of the command.
    """
    sections = [str(name) for name, value in values.items() if isinstance(value, Mapping)]
    for name, value in values.items():
        if name in SECTIONS and not isinstance(value, Mapping):
            advice = f", or give --{name} on the command line" if name in offered else ""
            raise UserError(
                f"{file} has sections ({', '.join(sections)}), in which {name} is a section, too, "
                f"and cannot be {value!r}. Write all options without sections{advice}."
            )


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
            lines.append(f"{field.name}: {_quote(_format_value(values[field.name]))}")
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
        root, loader = yaml.compose(text, yaml.SafeLoader), _make_text_loader()
        if isinstance(root, yaml.MappingNode):
            tables = {
                str(key.value) for key, value in root.value if isinstance(value, yaml.MappingNode)
            }
            if not tables.isdisjoint(SECTIONS):
                loader = yaml.SafeLoader
            for table in (root, *(value for _, value in root.value)):
                if isinstance(table, yaml.MappingNode):  # safe_load keeps the last of equal names
                    _combine_pairs(file, ((str(key.value), None) for key, _ in table.value))
        return yaml.load(text, loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date, too many digits
        raise UserError(f"{file} cannot be read as YAML: {error}") from error


def _make_text_loader() -> Any:
    """Return a safe loader of YAML that leaves scalars as text, but for true, false and null.

    YAML 1.1 reads 8:32 as 512 (base 60), 010 as 8 and 2024-01-01 as a date.
    """
    import yaml

    kept = {f"tag:yaml.org,2002:{kind}" for kind in ("bool", "null", "merge")}
    resolvers = {
        first: [(tag, pattern) for tag, pattern in each if tag in kept]
        for first, each in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return type("TextLoader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": resolvers})


def _list_changes_from_preset(file: Path, values: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the settings of a config.json that differ from those of its preset.

    Of a run that began with --init-from, all settings: what is left out would be the source's.

    Raises:
        UserError: A setting is wrong, or left out although its default is not the preset's.
    """
    try:
        run = from_dict(values)
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    name = run.preset if run.preset in presets.PRESETS else presets.DEFAULT
    base, own = list_values(presets.preset(name)), list_values(run)
    named = list_named_settings(values)
    # The preset of a file by hand, or, if a run is older than the setting, what runs did then?
    unclear = {key for key in own if own[key] != base[key]} - named - {*NAMES}
    if unclear:
        raise UserError(
            f"{file} has sections, as the config.json of a run, and lacks settings that are not "
            f"the default in preset {name}: {', '.join(sorted(unclear))}. Add them, or write "
            "options without sections, such as 'total_kimg: 100': then the preset's hold for the "
            "others."
        )
    changed = {
        key: value
        for key, value in own.items()
        if value != base[key] or (run.init_from and key in named - {*NAMES})
    }
    # An option without its table would clear the preset's (`clear_tables_of_given`).
    changed |= {table: own[table] for key in changed if (table := f"{key}_at") in own}
    kept = {*_list_setting_names(), *NAMES}
    return {"preset": name} | {key: value for key, value in changed.items() if key in kept}


def _list_setting_names() -> set[str]:
    """Return the names of the options that are fields of the config, as presets set them."""
    return {field.name for fields in group_offered_fields().values() for field in fields}


def _convert_to_command_line(file: Path, option: click.Parameter, value: Any) -> str | bool:
    """Return a value as it is typed on the command line; UserError where nothing is.

    Lists become text with commas, tables 8:64,16:32. So click checks a file as it checks words.
    """
    if isinstance(option, click.Option) and option.is_flag:
        if not isinstance(value, bool):
            raise UserError(f"{file}: {option.name} must be true or false, not {value!r}.")
        return value
    is_table, is_text = isinstance(option.type, PerResolution), isinstance(option.type, Text)
    if is_table and isinstance(value, Mapping):
        value = list(value.items())
    if isinstance(value, (list, tuple)) and (is_table or is_text):
        if is_table and all(isinstance(row, (list, tuple)) and len(row) == 2 for row in value):
            return _join_table(value)
        if all(_is_text_or_number(item) for item in value):
            return ",".join(map(str, value)) or NONE
    if not _is_text_or_number(value):
        advice = (
            "Put a text such as 'on' in quotation marks."
            if isinstance(value, bool)
            else ("Write 8: 64 for each resolution." if is_table else "Write one value.")
        )
        word = str(value).lower() if isinstance(value, bool) else repr(value)
        raise UserError(f"{file}: {option.name} cannot be {word}. {advice}")
    return str(value)


def _is_text_or_number(value: Any) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _format_value(value: Any) -> Any:
    """Return a setting for a file: tables as on the command line, other values as they are."""
    return _join_table(value) if isinstance(value, (list, tuple)) else _shorten(value)


def _join_table(rows: Iterable[tuple[Any, Any]]) -> str:
    """Return ((8, 64), (16, 32)) as '8:64,16:32', an empty table as 'none'."""
    return ",".join(f"{resolution}:{_shorten(number)}" for resolution, number in rows) or NONE


def _shorten(value: Any) -> Any:
    """Return whole floats as integers: 12000.0 -> 12000."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _use_run_file(context: click.Context, _: click.Parameter, file: Path | None) -> Path | None:
    """Make the options in the file the defaults of those of the command line."""
    if file is not None and not context.resilient_parsing:
        with report_user_errors():
            context.default_map = read_run_file(file, context.command.params)
        context.meta[FILE_KEY] = file
    return file


@contextmanager
def name_run_file_in_errors(context: click.Context) -> Iterator[None]:
    """Put the file of --config before what click says about a value in it."""
    try:
        yield
    except click.BadParameter as error:
        name = error.param.name if error.param else None
        if name and context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP:
            message = f"{context.meta[FILE_KEY]}: {error.message}"
            raise click.BadParameter(message, error.ctx, error.param, error.param_hint) from error
        raise


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
