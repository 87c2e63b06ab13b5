"""Spell command lines of progan in the way that the running one was typed.

`python train.py`, `progan train` and `python -m progan train` are the same command, and a message
that names a command spells it in the way that works for its reader.
"""

import re
import shlex
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # the checkout, or the folder of installed packages
PROGRAM = "progan"
SCRIPTS = {"train": "train.py", "generate": "generate.py", "dataset": "dataset_tool.py"}
MODULES = {
    "metrics": "metrics",
    **{name: f"progan.{name}" for name in ("diagnosis", "report", "interop", "projection")},
}
_NAME_OF = {spelling: name for name, spelling in (SCRIPTS | MODULES).items()}
# How help texts, which are written for a checkout, spell commands.
_SPELLED = re.compile(
    r"(?:python )?\b(train\.py|generate\.py|dataset_tool\.py)(?!\w)"
    rf"|python -m ({'|'.join(map(re.escape, MODULES.values()))})(?!\w|\.\w)"
)


def command_line(name: str, *words: object, portable: bool = False) -> str:
    """Return the command line of `name`, e.g. 'train' or 'metrics', with `words` quoted.

    Args:
        portable: Omit the folder of a script, for files that other people read.
    """
    typed = (spell_path(word) if isinstance(word, Path) else str(word) for word in words)
    return shlex.join([*list_command_words(name, portable=portable), *typed])


def spell_path(path: Path) -> str:
    """Return a path as it can be typed: './-runs', as '-runs' would be taken for an option."""
    return f"./{path}" if str(path).startswith("-") else str(path)


def format_own_command_line(name: str) -> str:
    """Return the command line of this process, a `name`, without the program's folder."""
    return shlex.join([*_list_own_program_words(name), *sys.argv[1:]])


def list_command_words(name: str, *, portable: bool = False) -> list[str]:
    """Return the first words of the command line of `name`: ['python', 'train.py']."""
    started = Path(sys.argv[0])
    if _is_console_script(started):
        return [PROGRAM if portable else _find_console_script_name(started), name]
    if _is_module(started, PROGRAM):
        return ["python", "-m", PROGRAM, name]
    is_module, has_scripts = _is_any_module(started), (ROOT / SCRIPTS["train"]).is_file()
    if name in MODULES and (is_module or has_scripts):
        return ["python", "-m", MODULES[name]]
    if _is_script(started):
        return ["python", SCRIPTS[name] if portable else str(started.with_name(SCRIPTS[name]))]
    if is_module and not (has_scripts and Path.cwd() == ROOT):
        return ["python", "-m", PROGRAM, name]
    return ["python", SCRIPTS[name]] if has_scripts else [PROGRAM, name]


def respell_commands(text: str) -> str:
    """Replace the commands in a help text, spelled as in a checkout, by those of this process."""
    if list_command_words("train", portable=True) == ["python", SCRIPTS["train"]]:
        return text
    return _SPELLED.sub(
        lambda found: command_line(_NAME_OF[found[1] or found[2]], portable=True), text
    )


def _list_own_program_words(name: str) -> list[str]:
    """Return the words that start this process: ['python', 'train.py'], ['progan']."""
    started = Path(sys.argv[0])
    if _is_console_script(started):
        return [PROGRAM]
    if _is_script(started):
        return ["python", started.name]
    for module in (PROGRAM, *MODULES.values()):
        if _is_module(started, module):
            return ["python", "-m", module]
    return list_command_words(name, portable=True)


def _is_script(started: Path) -> bool:
    """True if a script of this checkout runs, not another one of that name."""
    return started.name in SCRIPTS.values() and started.resolve().parent == ROOT


def _is_module(started: Path, module: str) -> bool:
    """True if `python -m module` of this package runs."""
    return started.resolve() == ROOT.joinpath(*module.split("."), "__main__.py")


def _is_any_module(started: Path) -> bool:
    """True if `python -m` runs any module of this package."""
    return any(_is_module(started, module) for module in (PROGRAM, *MODULES.values()))


def _is_console_script(started: Path) -> bool:
    """True if the installed program runs: progan, or progan.exe."""
    return started.stem == PROGRAM and started.suffix in ("", ".exe")


def _find_console_script_name(started: Path) -> str:
    """Return 'progan', or the path of that program if the shell would not find it."""
    from shutil import which

    found = which(PROGRAM)
    known = found is not None and Path(found).resolve() == started.resolve()
    return PROGRAM if known or started.parent == Path() else str(started)
