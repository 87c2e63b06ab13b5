"""Classes and options of all click commands: spelling, error messages, exit codes, signals."""

import errno
import io
import math
import re
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

import click
from click.core import ParameterSource

from progan import __version__
from progan.errors import UserError, get_first_error_line
from progan.invocation import respell_commands
from progan.pretrained import list_pretrained, resolve_network
from progan.runtime.files import raise_open_file_limit
from progan.runtime.log import exit_on_output_error, is_output_error
from progan.runtime.signals import (
    EXIT_INTERRUPTED,
    SIGNALS,
    choose_early_exit_code,
    exit_interrupted,
    exit_resumable,
    is_main_process,
)
from progan.runtime.text import escape_controls, suggest_nearest

_REMEDIES = {
    errno.ENOSPC: "Free some space, or name a folder on another disk.",
    errno.EFBIG: "Raise the limit of file sizes (ulimit -f), or name a folder on another disk.",
    errno.EDQUOT: "Your quota is used up: free some space, or name a folder on another disk.",
    errno.EACCES: "Change its permissions, or name another place.",
    errno.EPERM: "Change its permissions, or name another place.",
    errno.EROFS: "Name a place that can be written.",
    errno.EMFILE: "Raise the limit of open files (ulimit -n).",
}


def hyphenate(name: str) -> str:
    """Replace underscores: --max_images -> --max-images, create_mnist -> create-mnist."""
    return name.replace("_", "-")


class Interrupted(KeyboardInterrupt):
    """The first signal to a command that has not installed handlers of its own."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name = signal.Signals(number).name
        self.early_exit_code = choose_early_exit_code(number)


@contextmanager
def exit_resumable_before_training() -> Iterator[None]:
    """Exit with 75 if SIGUSR1 ends a training before its first step, when nothing is lost."""
    try:
        yield
    except Interrupted as error:
        if error.early_exit_code == EXIT_INTERRUPTED:
            raise
        _print_interrupted()
        raise click.exceptions.Exit(error.early_exit_code) from error


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn what a user can mend into one message and an exit code; bugs keep their traceback."""
    try:
        with _raise_first_signal_only():
            yield
    except UserError as error:
        # Names from files and data must not act on the terminal.
        raise click.ClickException(escape_controls(str(error), keep="\n\t")) from error
    except KeyboardInterrupt as error:
        _print_interrupted()
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from error
    except OSError as error:
        if error.errno is None or error.errno == errno.EPIPE or is_output_error(error):
            raise  # click deals with closed pipes, and main() with the rest of the output
        raise click.ClickException(escape_controls(describe_os_error(error))) from error
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        raise click.ClickException(describe_out_of_memory(error)) from error


def _is_out_of_memory(error: MemoryError | RuntimeError) -> bool:
    if "torch" not in sys.modules:  # importing it takes seconds
        return isinstance(error, MemoryError)
    from progan.runtime.devices import is_out_of_memory

    return is_out_of_memory(error)


def _print_interrupted() -> None:
    """Print 'Interrupted.' to standard error, in the main process only."""
    if is_main_process():
        with suppress(OSError):  # the terminal is gone
            click.echo("\nInterrupted.", err=True)


@contextmanager
def _raise_first_signal_only() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first Ctrl-C, SIGTERM, SIGHUP or SIGUSR1, and ignore others.

    Further signals must not interrupt the removal of half-written files. Ignored signals stay
    ignored: Ctrl-C of a background job, SIGHUP under nohup. A command that has ended is not
    interrupted while its process ends. While torch is imported, a signal ends the process at
    once: C++ code of torch calls Python then, and an exception there aborts the process.
    """
    handled = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        handled = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        for each in handled:
            signal.signal(each, signal.SIG_IGN)
        early = before.get(number)
        if early in (exit_interrupted, exit_resumable) and _is_importing("torch"):
            early(number, frame)
        raise Interrupted(number)

    before: dict[int, Any] = {}  # defined before the handlers, which may be called at once
    before |= {number: signal.signal(number, interrupt) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != signal.SIG_IGN:  # else the process is about to end
                is_early = handler in (exit_interrupted, exit_resumable)
                signal.signal(number, signal.SIG_IGN if is_early else handler)


def _is_importing(name: str) -> bool:
    """True while a module, or one that it imports, is being imported."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def describe_os_error(error: OSError) -> str:
    """Return '/data/x: No space left on device. Free some space, …'."""
    paths = [str(path) for path in (error.filename, error.filename2) if path is not None]
    remedy = _REMEDIES.get(error.errno or 0, "")
    return f"{' -> '.join(paths)}{': ' * bool(paths)}{error.strerror or error}. {remedy}".rstrip()


def format_path(path: str | PathLike[str]) -> str:
    """Format a path for a terminal: what cannot be printed, or acts on it, is escaped."""
    return escape_controls(click.format_filename(path))


def describe_out_of_memory(error: Exception) -> str:
    """Return 'Not enough memory: Unable to allocate 9 GiB. Choose …', with the first line only."""
    return (
        f"Not enough memory: {get_first_error_line(error)} Choose smaller batches or images, "
        "or another --device, or close other programs that use this one."
    )


GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)  # typed, or in a --config file
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def list_given_options() -> list[str]:
    """Return the options on the command line of the running command, by their first names."""
    context = click.get_current_context()
    return [
        param.opts[0]
        for param in context.command.params
        if context.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE
    ]


class _NonEmptyPath(click.Path):
    """A path on this machine, not empty, as one from an unset shell variable is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("the path is empty.", param, ctx)
        if isinstance(value, str) and _URL.match(value):
            self.fail(f"{value} is a URL; here a path on this machine is expected.", param, ctx)
        return super().convert(value, param, ctx)


class _NetworkPath(_NonEmptyPath):
    """The path of a network or run, the name of one in the package, or of one on the Hub."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, str) and value.startswith("hf://"):
            from progan.hub import fetch_network

            try:
                return fetch_network(value)
            except UserError as error:
                raise click.ClickException(escape_controls(str(error))) from error
        path = resolve_network(super().convert(value, param, ctx))
        near = "" if path.exists() else suggest_nearest(str(path), list_pretrained())
        if near:
            self.fail(f"No such file or directory: {path}.{near} It is in the package.", param, ctx)
        return path


class FiniteRange(click.FloatRange):
    """A range of floats without NaN and infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return number


PATH = _NonEmptyPath(path_type=Path)
NETWORK = _NetworkPath(path_type=Path)

DEVICES = ("auto", "cpu", "cuda", "mps")
device_option = click.option(
    "--device",
    type=click.Choice(DEVICES),
    default="auto",
    show_default=True,
    help="Device to compute on.",
)


class _Formatter(click.HelpFormatter):
    """Spell commands in help texts as the running one was typed."""

    def write_text(self, text: str) -> None:
        super().write_text(respell_commands(text))

    def write_dl(self, rows: Iterable[tuple[str, str]], *args: Any, **settings: Any) -> None:
        super().write_dl([(name, respell_commands(text)) for name, text in rows], *args, **settings)


class _Context(click.Context):
    formatter_class = _Formatter


def make_version_option() -> click.Option:
    """Return the option --version, which every command has."""

    def show(context: click.Context, _: click.Parameter, is_given: bool) -> None:
        if is_given and not context.resilient_parsing:
            click.echo(f"progan {__version__}")
            context.exit()

    return click.Option(
        ["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show,
        help="Show the version and exit.",
    )  # fmt: skip


class _BaseCommand(click.Command):
    """Context, --version and the answer to a closed output, of commands and groups alike."""

    context_class = _Context

    def __init__(
        self, *args: Any, aliases: Mapping[str, str] = MappingProxyType({}), **settings: Any
    ) -> None:
        """Make the command; `aliases` are other names of its options, without hyphens in front."""
        super().__init__(*args, **settings)
        _set_context_defaults(self, aliases)

    def main(self, *args: Any, **settings: Any) -> Any:
        # Names of files need not be UTF-8, and the terminal may lack characters.
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
            sys.stdout.reconfigure(errors="backslashreplace")
        with exit_on_output_error():
            return super().main(*args, **settings)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return _insert_version_option(super().get_params(ctx))


class Command(_BaseCommand):
    """A command whose options may be spelt with underscores and whose mistakes are one message."""

    def invoke(self, ctx: click.Context) -> Any:
        raise_open_file_limit()
        with report_user_errors():
            return super().invoke(ctx)


class CommandGroup(_BaseCommand, click.Group):
    """A group of commands; an unknown one is answered with the most similar names."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, with underscores or hyphens; an unknown one fails with similar names."""
        name = hyphenate(args[0])
        is_option = name.startswith("-")
        if self.get_command(ctx, name) is None and not is_option and not ctx.resilient_parsing:
            near = get_close_matches(name, self.list_commands(ctx))
            advice = (
                f"Did you mean {' or '.join(near)}?"
                if near
                else f"Commands: {', '.join(self.list_commands(ctx))}."
            )
            ctx.fail(f"No such command {args[0]!r}. {advice}")
        return super().resolve_command(ctx, args)


def _insert_version_option(params: list[click.Parameter]) -> list[click.Parameter]:
    """Insert --version before --help, which comes last."""
    return [*params[:-1], make_version_option(), *params[-1:]]


def _set_context_defaults(command: click.Command, aliases: Mapping[str, str]) -> None:
    """Set defaults in place: options with underscores or aliases, -h, help 100 columns wide."""

    def normalize(name: str) -> str:
        hyphenated = hyphenate(name)
        return aliases.get(hyphenated, hyphenated)

    command.context_settings = {
        "token_normalize_func": normalize,
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        **command.context_settings,
    }
