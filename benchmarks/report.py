"""How benchmarks write down what they measured: JSON for programs, a page for people."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.metrics import machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks/results"


def circumstances(script: str, device: str, preset: str) -> dict[str, Any]:
    """What a result depends on."""
    return {"command": " ".join(["python", f"benchmarks/{script}.py", *shown_arguments()]),
            "device": device, "machine": machine(), "preset": preset}


def shown_arguments() -> list[str]:
    """The arguments, with no more of directories than their names."""
    return [Path(word).name if "/" in word else word for word in sys.argv[1:]]


def page(result: dict[str, Any], more: str, headings: Sequence[str],
         rows: Iterable[Sequence[str]]) -> str:
    """The results as Markdown.

    Args:
        more: What else is to be known, after machine and preset.
    """
    where = result["machine"]
    head = (f"{result['device']}, {where['cpu']}, {where['threads']} threads, torch "
            f"{where['torch']}, Python {where['python']}; preset {result['preset']}. {more}"
            f"\n\n    {result['command']}\n\n")
    lines = [headings, ["---"] * len(headings), *rows]
    return head + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def save(kind: str, result: dict[str, Any], text: str, output: Path | None) -> None:
    """Write results/<kind>-<device>.json and .md, or those that `output` names without suffix."""
    where = output or RESULTS / slug(f"{kind} {result['device']}")
    where.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    where.with_suffix(".md").write_text(text, "utf-8")
    click.echo(f"{where}.json, {where}.md")


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
