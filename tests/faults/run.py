"""Insert the faults of faults.toml one after the other, and run the tests that must notice them.

`python -m tests.faults.run` works on a copy of the tracked files, prints which test noticed each
fault, and exits with 1 if one went unnoticed. `--output docs/faults.md` writes the table.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import click

ROOT = Path(__file__).resolve().parents[2]
LIST = Path(__file__).with_name("faults.toml")
TIMEOUT = 900  # seconds of the tests of one fault; what makes them hang is noticed as well
INTRODUCTION = """\
# Deliberate faults

Each line of the table is a fault that was inserted into the code, alone, and the first test that
failed. `make faults` does it again; the list is in `tests/faults/faults.toml`.

| fault | file | noticed by | s |
|---|---|---|---|
"""


class Fault(NamedTuple):
    """One wrong line, and the tests that must notice it."""

    what: str
    file: str
    old: str
    new: str
    tests: list[str]


class Result(NamedTuple):
    """The first failure of the tests with a fault; '' if none failed."""

    fault: Fault
    noticed_by: str
    seconds: float


def load_faults() -> list[Fault]:
    """Read the list of faults."""
    entries: list[dict[str, Any]] = tomllib.loads(LIST.read_text("utf-8"))["fault"]
    return [Fault(**entry) for entry in entries]


def copy_project(target: Path) -> None:
    """Copy the tracked files, with `../shared` beside them where it is there."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, names.split("\0")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target / name)
    if (ROOT.parent / "shared").is_dir():
        (target.parent / "shared").symlink_to(ROOT.parent / "shared")


def try_fault(fault: Fault, project: Path) -> Result:
    """Insert a fault into a copy of the project, run its tests, and mend the copy."""
    path = project / fault.file
    text = path.read_text("utf-8")
    if text.count(fault.old) != 1:
        raise click.ClickException(
            f"{fault.file} has {text.count(fault.old)} times, not once: {fault.old!r}. "
            f"Adapt {LIST.relative_to(ROOT)}."
        )
    path.write_text(text.replace(fault.old, fault.new), "utf-8")
    start = time.monotonic()
    try:
        noticed_by = first_failure(fault.tests, project)
    finally:
        path.write_text(text, "utf-8")
    return Result(fault, noticed_by, time.monotonic() - start)


def first_failure(tests: list[str], project: Path) -> str:
    """Return the name of the first test that fails, or of what else went wrong; '' if nothing."""
    # The copy comes first on the path: not the installed package with its own files.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-m", "not long", *tests]
    try:
        ended = subprocess.run(
            [*command, "-p", "no:cacheprovider"],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no end within {TIMEOUT} s"
    if ended.returncode not in (0, 1, 2):
        raise click.ClickException(f"pytest failed: {ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    names = [line for line in ended.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return names[0].split(" ", 1)[1].partition(" - ")[0] if names else ""


def format_table(results: list[Result]) -> str:
    """Format the results as Markdown."""
    return INTRODUCTION + "".join(
        f"| {fault.what} | `{fault.file}` | `{noticed_by or 'NO TEST'}` | {seconds:.0f} |\n"
        for fault, noticed_by, seconds in results
    )


@click.command()
@click.option("--output", type=click.Path(path_type=Path), help="Write the table to this file.")
@click.option("--only", default="", help="Try only the faults of files that contain this text.")
def main(output: Path | None, only: str) -> None:
    """Try all deliberate faults."""
    faults = [fault for fault in load_faults() if only in fault.file]
    if not faults:
        raise click.UsageError(f"--only {only}: no fault is in such a file.")
    results = []
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "progan"
        copy_project(project)
        if failed := first_failure(
            sorted({test for fault in faults for test in fault.tests}), project
        ):
            raise click.ClickException(f"Without any fault fails already: {failed}")
        for fault in faults:
            result = try_fault(fault, project)
            results.append(result)
            click.echo(f"{result.noticed_by or 'NOT NOTICED':70} {fault.file}: {fault.what}")
    if output is not None:
        output.write_text(format_table(results), "utf-8")
    unnoticed = sum(not result.noticed_by for result in results)
    click.echo(f"{len(results) - unnoticed} of {len(results)} faults were noticed.")
    sys.exit(bool(unnoticed))


if __name__ == "__main__":
    main()
