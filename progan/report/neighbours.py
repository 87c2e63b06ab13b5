"""Nearest neighbours section: generated images beside the training images nearest to them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from metrics.detector import MetricContext
from metrics.neighbours import (
    distances_file,
    neighbour_sheet,
    open_neighbour_detector,
    parse_window,
    search_training_images,
    summarize_search,
)
from metrics.options import NEIGHBOURS_FILE
from metrics.run_record import metric_files
from metrics.sources import open_pair
from progan.errors import UserError
from progan.invocation import command_line
from progan.report.images import EmbeddedImage, embed, encode_within, open_image, shrink_to_width
from progan.report.run_data import RunData
from progan.runtime.devices import choose_device, set_precision
from progan.runtime.files import read_json_lines

MAX_BYTES = 300_000
MAX_ROWS = 12  # of the sheet
NUM_NEIGHBOURS = 5
SHEET_CAPTION = "Generated images, each beside the training images nearest to it"


@dataclass(frozen=True, kw_only=True, slots=True)
class NeighbourRequest:
    """Options of a search for nearest neighbours.

    Attributes:
        count: Generated images, of seeds 0 … count - 1.
        data: The training images; None: the dataset in the settings of the run.
    """

    count: int
    data: Path | None
    detector: Path | None
    device: str


def read_neighbours(data: RunData) -> dict[str, Any]:
    """Return what `python -m metrics neighbours` wrote to the run; raises UserError if nothing."""
    sheet = data.directory / NEIGHBOURS_FILE
    if not sheet.is_file():
        raise UserError(
            f"They have not been looked up. {command_line('report', '--neighbours', 64)} does, or "
            f"{command_line('metrics', 'neighbours')} with --sheet and --json in the run's "
            f"directory ({NEIGHBOURS_FILE}, metric-neighbours.jsonl)."
        )
    histogram = distances_file(sheet)
    figures = [(_embed(open_image(sheet)), SHEET_CAPTION)]
    if histogram.is_file():
        figures.append((_embed(open_image(histogram)), "Distances to the nearest training image"))
    return {"lines": _read_conclusion(data.directory), "figures": figures}


def find_neighbours(data: RunData, network: Path, request: NeighbourRequest) -> dict[str, Any]:
    """Search the training images nearest to generated ones; raises UserError."""
    run = data.run
    device = choose_device(request.device)
    set_precision("fp32")
    images, reals = open_pair(
        network,
        request.data or _require_dataset(data),
        device,
        network=True,
        resize=None,
        subset=run.data.subset,
    )
    window = parse_window(None, images.size)
    context = MetricContext(
        seed=0, device=device, detector=open_neighbour_detector(request.detector, device)
    )
    found = search_training_images(
        images, reals, context, num_images=request.count, k=NUM_NEIGHBOURS, window=window
    )
    sheet = shrink_to_width(Image.fromarray(neighbour_sheet(found, MAX_ROWS, window)), 1024)
    return {
        "lines": [f"Of {network.name}.", *summarize_search(found.record()).splitlines()],
        "figures": [(_embed(sheet), SHEET_CAPTION)],
    }


def _require_dataset(data: RunData) -> Path:
    """Return the dataset of the run; raises UserError if it is not where it was."""
    dataset = data.run.data.data
    if not dataset or not Path(dataset).exists():
        raise UserError(
            f"--neighbours: the dataset of the run, {Path(dataset)}, is not there. "
            "Name it with --data."
        )
    return Path(dataset)


def _embed(image: Image.Image) -> EmbeddedImage:
    return embed(encode_within([image], MAX_BYTES)[0])


def _read_conclusion(directory: Path) -> list[str]:
    """Return the sentences of the last record of nearest neighbours in metric-*.jsonl."""
    records = [
        record
        for file in metric_files(directory)
        for record in read_json_lines(file)
        if record.get("metric") == "neighbours"
    ]
    try:
        return summarize_search(records[-1]).splitlines() if records else []
    except (KeyError, TypeError, ValueError):  # written by another version
        return []
