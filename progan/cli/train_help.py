"""The help of train.py, short or complete, with the defaults of a preset; its list of presets."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import click

from progan import presets
from progan.cli.run_file import name_run_file_in_errors
from progan.command import Command
from progan.config import (
    Augment,
    Data,
    Growth,
    Guard,
    LossConfig,
    Network,
    Optim,
    Output,
    Run,
    list_values,
)
from progan.invocation import command_line
from progan.options import ConfigOption
from progan.runtime.text import format_table
from progan.schedule import lookup_exact_resolution

PRESET_KEY = "progan.preset"  # key of the context: the preset whose defaults help shows
HEADINGS: dict[Any, str] = {
    Run: "Run", Data: "Data", Network: "Networks", Growth: "Growing, batches, learning rates",
    LossConfig: "Losses", Augment: "Augmentation", Optim: "Optimizers, moving average",
    Guard: "Divergence", Output: "Samples, snapshots, metrics",
}  # fmt: skip
COMMON = (
    "seed", "total_kimg", "batch", "g_lr", "d_lr", "resolution", "fmap_base", "fmap_max",
    "precision", "mirror", "subset", "conditional", "objective", "penalty_interval", "augment",
    "snapshot_ticks", "metrics",
)  # fmt: skip


PRESET_NOTE = """\
Images may have any other resolution: networks grow to that of the dataset.
kimg: thousands of images shown in all. batch: at the last resolution, of all GPUs together."""


class TrainCommand(Command):
    """A command whose --help shows the common options, and --help-all all of them, in groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[PRESET_KEY] = _find_preset(args)
        with name_run_file_in_errors(ctx):
            return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of --help."""
        self._write_own_options(ctx, formatter)
        options = {option.field.name: option for option in self._list_settings()}
        with formatter.section(f"Common settings, with the defaults of preset {_name_preset(ctx)}"):
            formatter.write_dl(_describe_settings(ctx, [options[name] for name in COMMON]))
        formatter.write_paragraph()
        formatter.write_text(
            f"{command_line('train', '--help-all', portable=True)} lists all {len(options)} "
            f"settings, {command_line('train', '--list-presets', portable=True)} the presets; "
            "--preset NAME --help shows the defaults of another preset."
        )

    def format_all_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of --help-all."""
        self._write_own_options(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text(f"Defaults are those of preset {_name_preset(ctx)}.")
        for section, heading in HEADINGS.items():
            with formatter.section(heading):
                options = [each for each in self._list_settings() if each.section is section]
                formatter.write_dl(_describe_settings(ctx, options))

    def _write_own_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        others = [each for each in self.get_params(ctx) if not isinstance(each, ConfigOption)]
        with formatter.section("Options"):
            formatter.write_dl(list(filter(None, (each.get_help_record(ctx) for each in others))))

    def _list_settings(self) -> list[ConfigOption]:
        return [each for each in self.params if isinstance(each, ConfigOption)]


def _find_preset(args: Sequence[str]) -> str:
    """Return the preset that a command line names, the default one if none or an unknown one."""
    for word, value in zip_longest(args, args[1:], fillvalue=""):
        name, _, joined = word.partition("=")
        if name in ("--preset", "--cfg") and (joined or value) in presets.PRESETS:
            return joined or value
    return presets.DEFAULT


def _name_preset(ctx: click.Context) -> str:
    name: str = ctx.meta.get(PRESET_KEY, presets.DEFAULT)
    return name


def _describe_settings(
    ctx: click.Context, options: Sequence[ConfigOption]
) -> list[tuple[str, str]]:
    """Return the rows of options in help, with the values of the preset as defaults."""
    values = list_values(presets.preset(_name_preset(ctx)))
    return [
        (record[0], option.describe(values[option.field.name]))
        for option in options
        if (record := option.get_help_record(ctx))
    ]


def _show_all_help(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not ctx.resilient_parsing:
        command = ctx.command
        assert isinstance(command, TrainCommand)
        formatter = ctx.make_formatter()
        command.format_usage(ctx, formatter)
        command.format_help_text(ctx, formatter)
        command.format_all_options(ctx, formatter)
        click.echo(formatter.getvalue().rstrip("\n"))
        ctx.exit()


def _show_presets(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not ctx.resilient_parsing:
        click.echo(format_presets())
        ctx.exit()


def format_presets() -> str:
    """Return a table of the presets: name, resolution, images, batch, purpose, requirements."""
    rows = [("preset", "resolution", "kimg", "batch", "for", "needs")]
    for name in presets.PRESETS:
        run, about = presets.preset(name), presets.describe(name)
        resolution, growth = run.network.resolution, run.growth
        batch = lookup_exact_resolution(growth.batch_at, resolution, growth.batch)
        numbers = (str(resolution), f"{growth.total_kimg:g}", str(batch))
        rows.append((name, *numbers, about.purpose, about.needs))
    lines = format_table(rows, left=(0, 4, 5)).splitlines()
    return "\n".join([*map(str.rstrip, lines), "", PRESET_NOTE])


help_all_option = click.option(
    "--help-all", is_flag=True, is_eager=True, expose_value=False, callback=_show_all_help,
    help="Show all settings, in groups, and exit.",
)  # fmt: skip
list_presets_option = click.option(
    "--list-presets", is_flag=True, is_eager=True, expose_value=False, callback=_show_presets,
    help="Show a table of the presets, and exit.",
)  # fmt: skip
