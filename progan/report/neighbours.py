"""The section of the nearest neighbours: does the generator copy its training images?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from metrics.detector import Setup
from metrics.memorisation import look_up, sentences
from metrics.neighbours import parse_window
from metrics.neighbours_cli import SHEET_FILE, histogram_beside, opened
from metrics.run_record import metric_files
from metrics.sheets import neighbour_sheet
from metrics.sources import open_pair
from progan.errors import UserError
from progan.invocation import command_line
from progan.report import images as pictures
from progan.report.markup import Markup, Material, element, joined
from progan.runtime.devices import choose_device, set_precision
from progan.runtime.files import read_json_lines

MOST_BYTES = 300_000
SHOWN = 12  # rows of the sheet
NEIGHBOURS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """How neighbours are to be looked up.

    Attributes:
        count: How many images of the network.
        data: The training images; None: where the settings say that they are.
    """

    count: int
    data: Path | None
    detector: Path | None
    device: str


def left(material: Material) -> Markup:
    """What `python -m metrics neighbours` has left beside the run; raises UserError if nothing."""
    sheet = material.directory / SHEET_FILE
    if not sheet.is_file():
        looking = command_line("report", "--neighbours", 64)
        raise UserError(
            f"They have not been looked up. {looking} does, or "
            f"{command_line('metrics', 'neighbours')} with --sheet and --json in the run's "
            f"directory ({SHEET_FILE}, metric-neighbours.jsonl)."
        )
    words = [element("p", line) for line in _told(material.directory)]
    shown = [
        _picture(pictures.opened(path), caption)
        for path, caption in (
            (sheet, "Pictures, each beside the training images nearest to it"),
            (histogram_beside(sheet), "Distances to the nearest training image"),
        )
        if path.is_file()
    ]
    return joined([*words, *shown])


def looked_up(material: Material, network: Path, wish: Wish) -> Markup:
    """Look up the nearest training images of what a network draws; raises UserError."""
    run = material.run
    device = choose_device(wish.device)
    set_precision("fp32")
    asked, reals = open_pair(
        network,
        wish.data or _own_data(material),
        device,
        network=True,
        resize=None,
        subset=run.data.subset,
    )
    window = parse_window(None, asked.size)
    setup = Setup(seed=0, device=device, detector=opened(wish.detector, device))
    found = look_up(asked, reals, setup, num_images=wish.count, k=NEIGHBOURS, window=window)
    sheet = pictures.fitted(Image.fromarray(neighbour_sheet(found, SHOWN, window)), 1024)
    return joined(
        [
            element("p", f"Of {network.name}."),
            *(element("p", line) for line in sentences(found.record()).splitlines()),
            _picture(sheet, "Pictures, each beside the training images nearest to it"),
        ]
    )


def _own_data(material: Material) -> Path:
    """The dataset of the run, if it still is where it was."""
    data = Path(material.run.data.data)
    if not material.run.data.data or not data.exists():
        raise UserError(
            f"--neighbours: the dataset of the run, {data}, is not there. Name it with --data."
        )
    return data


def _picture(picture: Image.Image, caption: str) -> Markup:
    (file,) = pictures.compressed([picture], MOST_BYTES)
    return element("figure", pictures.image(file, caption), element("figcaption", caption))


def _told(directory: Path) -> list[str]:
    """What the last look-up said."""
    found = list(_records(directory))
    try:
        return sentences(found[-1]).splitlines() if found else []
    except (KeyError, TypeError, ValueError):  # of another version
        return []


def _records(directory: Path) -> Iterator[dict[str, Any]]:
    for file in metric_files(directory):
        for record in read_json_lines(file):
            if record.get("metric") == "neighbours":
                yield record
