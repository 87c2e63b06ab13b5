"""A command of click as a page of a manual, in Markdown.

It is made of the parameters of the command, and not of what --help prints, which depends on the
width of the terminal and on the version of click.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import NamedTuple

import click

from progan.options import Kind

# What begins a name of an option in a text: -h, --to, --no-mirror.
_OPTION = re.compile(r"(?<![\w`-])(--?[a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w`])")
_SPECIAL = re.compile(r"([\\*<~])")
_DEFAULT = " [default: "  # how a help text ends that tells it itself


class Chapter(NamedTuple):
    """Options that belong together.

    Attributes:
        limits: By the name of each option, which values it takes, where its type does not say so.
    """

    title: str
    text: str
    limits: Mapping[str, str]


class Entry(NamedTuple):
    """A command and how it is typed."""

    words: str
    command: click.Command


def page(title: str, entry: Entry, *, also: str = "", chapters: Sequence[Chapter] = (),
         commands: Sequence[Entry] = (), see: Sequence[str] = ()) -> str:
    """The page of a door.

    Args:
        also: Another way to type it.
        chapters: Of its options; those in none of them come first.
        commands: Those behind it, each with a section of its own.
        see: Other pages, as paths from this one.
    """
    others = f"\n\nWhere progan is installed, also `{also}`." if also else ""
    listed = "\n".join(f"- [{each.command.name}](#{each.command.name}): {sentence(each.command)}"
                       for each in commands)
    links = ", ".join(f"[{path.removeprefix('../')}]({path})" for path in see)
    return "\n\n".join([
        f"# {title}",
        *_under("## NAME", f"{title} – {sentence(entry.command)}"),
        *_under("## SYNOPSIS", f"{synopsis(entry)}{others}"),
        *_under("## DESCRIPTION", description(entry.command, named=True)),
        *options(entry.command, "## OPTIONS", chapters),
        *_under("## NOTES", paragraph(entry.command.epilog or "")),
        *_under("## COMMANDS", listed),
        *(part for each in commands for part in section(each)),
        *_under("## SEE ALSO", links)]) + "\n"


def section(entry: Entry) -> Iterator[str]:
    """A command among others on a page."""
    yield f"## {entry.command.name}"
    yield synopsis(entry)
    yield description(entry.command)
    yield from options(entry.command, "### Options", (), f"{entry.command.name}")


def sentence(command: click.Command) -> str:
    """What a command does, in its first sentence."""
    first = " ".join(_paragraphs(command)[0].split())
    return in_markdown(re.split(r"(?<=\.)\s", first)[0])


def synopsis(entry: Entry) -> str:
    """How it is typed: with what it needs, and what it takes."""
    words = [entry.words]
    for option in _options(entry.command):
        if option.required:
            words.append(f"{option.opts[0]} {value_name(option)}")
    words.append("[OPTION]…")
    if isinstance(entry.command, click.Group):
        words = [entry.words, "COMMAND", "[OPTION]…"]
    words += [argument(each) for each in entry.command.params if isinstance(each, click.Argument)]
    return indent(" ".join(words), "    ")


def description(command: click.Command, *, named: bool = False) -> str:
    """What a command says of itself.

    Args:
        named: Without the first sentence, if that is a paragraph: it was said before.
    """
    first, *others = _paragraphs(command)
    known = named and in_markdown(" ".join(first.split())) == sentence(command)
    return "\n\n".join(map(paragraph, [*[first] * (not known), *others]))


def paragraph(text: str) -> str:
    """A paragraph of help; after the mark of click for it, every line as it is."""
    if text.startswith("\b"):
        return indent(text.removeprefix("\b\n"), "    ")
    return in_markdown(" ".join(text.split()))


def options(command: click.Command, heading: str, chapters: Sequence[Chapter], owner: str = ""
            ) -> Iterator[str]:
    """The options as lists, those of each chapter under a heading of its own.

    Args:
        owner: Begins the anchors, where a page has several commands.
    """
    placed = {name for chapter in chapters for name in chapter.limits}
    own = [item(option, owner) for option in _options(command) if option.name not in placed]
    yield heading
    if chapters:
        yield " · ".join(f"[{each.title}](#{each.title.lower()})" for each in chapters)
    yield "\n".join([*own, "- `--version`\\\n  Show the version and exit.",
                     "- `-h`, `--help`\\\n  Show what is written here, and stop."])
    for chapter in chapters:
        yield f"### {chapter.title}"
        yield in_markdown(chapter.text)
        yield "\n".join(item(option, owner, chapter.limits[option.name or ""])
                        for option in _options(command) if option.name in chapter.limits)


def item(option: click.Option, owner: str, limits: str = "") -> str:
    """An option in a list, with an anchor: #--total-kimg, or #create-mnist--source."""
    names = ", ".join(f"`{name}{_value(option)}`"
                      for name in [*option.opts, *option.secondary_opts])
    text, _, default = (option.help or "").partition(_DEFAULT)
    words = [text, limits or limits_of(option.type),
             "Required." if option.required else "",
             "May be given several times." if option.multiple else "",
             f"{_DEFAULT}{default}" if default else default_of(option)]
    return (f'- <a id="{owner}{option.opts[0]}"></a>{names}\\\n'
            f"  {in_markdown(' '.join(' '.join(words).split()))}")


def argument(each: click.Argument) -> str:
    """'DATASET', '[METRIC]...'."""
    if each.metavar:
        return each.metavar
    name = (each.name or "").upper() + "..." * (each.nargs != 1)
    return name if each.required else f"[{name}]"


def value_name(option: click.Option) -> str:
    """What stands for the value of an option: 'FILE', 'INTEGER', 'png|jpeg'; '' of a flag."""
    if option.is_flag:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    name, *others = option.type.name.removesuffix(" range").split("|")
    return "|".join([name.upper(), *others])


def limits_of(kind: Kind) -> str:
    """'At least 1.', 'From 0 to 1.'; '' of a type that has no range."""
    if not isinstance(kind, (click.IntRange, click.FloatRange)):
        return ""
    return in_words(kind.min, kind.max, above=kind.min_open)


def in_words(low: float | None, high: float | None, *, above: bool = False) -> str:
    """A range of numbers; '' if it has no ends."""
    if low is not None and high is not None:
        return f"From {low:.10g} to {high:.10g}."
    if low is not None:
        return f"{'More than' if above else 'At least'} {low:.10g}."
    return "" if high is None else f"At most {high:.10g}."


def default_of(option: click.Option) -> str:
    """What --help shows as the default of an option, if it does: others depend on the machine."""
    if not option.show_default:
        return ""
    shown = option.show_default if isinstance(option.show_default, str) else option.default
    return f"[default: {shown:g}]" if isinstance(shown, float) else f"[default: {shown}]"


def in_markdown(text: str) -> str:
    """A text on one line, with the names of options as code."""
    parts = _OPTION.split(text)
    return "".join(f"`{part}`" if number % 2 else _SPECIAL.sub(r"\\\1", part)
                   for number, part in enumerate(parts))


def _under(heading: str, text: str) -> list[str]:
    """Nothing, if there is nothing to say."""
    return [heading, text] if text else []


def _value(option: click.Option) -> str:
    name = value_name(option)
    return f" {name}" if name else ""


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params
            if isinstance(each, click.Option) and not each.hidden]


def _paragraphs(command: click.Command) -> list[str]:
    return inspect.cleandoc(command.help or "").split("\n\n")
