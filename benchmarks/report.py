"""How benchmarks write down what they measured: JSON for programs, a page for people."""

import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.metrics import machine
from progan.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"


def describe_run(script: str, device: str, preset: str) -> dict[str, Any]:
    """What a result depends on."""
    return {
        "command": " ".join(["python", f"benchmarks/{script}.py", *shown_arguments()]),
        "device": device,
        "machine": machine(),
        "preset": preset,
    }


def shown_arguments() -> list[str]:
    """The arguments, with no more of directories than their names."""
    return [Path(word).name if "/" in word else word for word in sys.argv[1:]]


def format_page(
    result: dict[str, Any], more: str, headings: Sequence[str], rows: Iterable[Sequence[str]]
) -> str:
    """The results as Markdown.

    Args:
        more: What else is to be known, after machine and preset.
    """
    where = result["machine"]
    head = (
        f"{result['device']}, {where['cpu']}, {where['threads']} threads, torch "
        f"{where['torch']}, Python {where['python']}; preset {result['preset']}. {more}"
        f"\n\n    {result['command']}\n\n"
    )
    lines = [headings, ["---"] * len(headings), *rows]
    return head + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def require_writable_output(output: Path | None) -> None:
    """Raise UserError where results could not be written; to be asked before anything is timed."""
    if output and not (output.name and os.access(output.parent, os.W_OK)):
        raise UserError(
            f"--output {output}: no file can be written there. Name a file without "
            "suffix, in a folder that is there."
        )


def save_results(kind: str, result: dict[str, Any], text: str, output: Path | None) -> None:
    """Write results/<kind>-<device>.json and .md, or those that `output` names without suffix."""
    where = output or RESULTS / slug(f"{kind} {result['device']}")
    for suffix, content in ((".json", json.dumps(result, indent=1) + "\n"), (".md", text)):
        path = where.with_name(where.name + suffix)
        path.write_text(content, "utf-8")
        click.echo(path)


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
