"""Nearest neighbours section: generated images beside the training images nearest to them."""

from pathlib import Path
from typing import Any

from PIL import Image

from metrics.neighbours import (
    find_neighbours,
    make_distances_path,
    neighbour_sheet,
    summarize_search,
)
from metrics.options import NEIGHBOURS_FILE, SourceOptions
from metrics.run_record import list_metric_files
from progan.errors import UserError
from progan.invocation import command_line
from progan.report.images import (
    EmbeddedImage,
    embed_as_data_uri,
    encode_within,
    open_image,
    shrink_to_width,
)
from progan.report.run_data import RunData
from progan.runtime.files import read_json_lines

MAX_BYTES = 300_000
MAX_ROWS, MAX_WIDTH = 12, 1024  # images, px: the size of the sheet
NUM_NEIGHBOURS = 5
SHEET_CAPTION = "Generated images, each beside the training images nearest to it"


def build_stored_section(data: RunData) -> dict[str, Any]:
    """Return what `python -m metrics neighbours` wrote to the run; raises UserError if nothing."""
    sheet = data.directory / NEIGHBOURS_FILE
    if not sheet.is_file():
        search = command_line("report", data.directory, "--neighbours", 64)
        raise UserError(
            f"They have not been looked up. {search} does, or "
            f"{command_line('metrics', 'neighbours')} with --sheet and --json in the run's "
            f"directory ({NEIGHBOURS_FILE}, metric-neighbours.jsonl)."
        )
    histogram = make_distances_path(sheet)
    figures = [(_encode_and_embed(open_image(sheet)), SHEET_CAPTION)]
    if histogram.is_file():
        figures.append(
            (_encode_and_embed(open_image(histogram)), "Distances to the nearest training image")
        )
    return {"lines": _read_conclusion(data.directory), "figures": figures}


def build_searched_section(sources: SourceOptions, count: int, *, mirror: bool) -> dict[str, Any]:
    """Search the training images nearest to those of seeds 0 … count - 1; raises UserError.

    Args:
        mirror: Compare with flipped training images, too.
    """
    found = find_neighbours(sources, count, NUM_NEIGHBOURS, mirror=mirror)
    sheet = Image.fromarray(neighbour_sheet(found, MAX_ROWS))
    return {
        "lines": [f"Of {sources.measured.name}.", *summarize_search(found.record()).splitlines()],
        "figures": [(_encode_and_embed(shrink_to_width(sheet, MAX_WIDTH)), SHEET_CAPTION)],
    }


def find_dataset(data: RunData) -> Path:
    """Return the dataset of the run; raises UserError if it is not where it was."""
    dataset = data.run.data.data
    if not dataset or not Path(dataset).exists():
        raise UserError(
            f"--neighbours: the dataset of the run, {Path(dataset)}, is not there. "
            "Name it with --data."
        )
    return Path(dataset)


def _encode_and_embed(image: Image.Image) -> EmbeddedImage:
    return embed_as_data_uri(encode_within([image], MAX_BYTES)[0])


def _read_conclusion(directory: Path) -> list[str]:
    """Return the sentences of the last record of nearest neighbours in metric-*.jsonl."""
    lines = [line for file in list_metric_files(directory) for line in read_json_lines(file)]
    records = [line for line in lines if line.get("metric") == "neighbours"]
    try:
        return summarize_search(records[-1]).splitlines() if records else []
    except (KeyError, TypeError, ValueError):  # written by another version
        return []
