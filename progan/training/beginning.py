"""The settings that a new run begins with: of a preset, or of the run whose networks it takes."""

from pathlib import Path
from typing import Any

from progan import presets
from progan.config import Run, override
from progan.data.reader import Dataset
from progan.data.splits import open_images, open_images_of_run
from progan.errors import UserError
from progan.training.fitting import fit
from progan.training.origin import Origin, find_origin, load_origin
from progan.training.scaled_schedule import scale_schedule
from progan.training.transfer import Transfer, fades_first, inherited, transfer


def beginning(preset: str | None, data: Path | None, init_from: Path | None,
              options: dict[str, Any], *, scaled: bool = False
              ) -> tuple[Run, Dataset | None, Transfer | None]:
    """The run that preset, dataset and options make, and the layers that it begins with.

    Args:
        preset: Its name; None: the default, or the settings of the run that is begun with.
        init_from: A state, a network file or the directory of a run to begin with.
        options: Fields of the config, by name; they win.
        scaled: Whether the phases of the preset are scaled to the total.

    Raises:
        UserError: These do not go together.
    """
    if init_from and scaled:
        raise UserError("--scale-schedule scales a preset that is trained from the beginning, and "
                        "--init-from continues other networks. Name --training-kimg and "
                        "--transition-kimg.")
    if init_from:
        return _with_networks_of(init_from, preset, data, options)
    run = override(presets.preset(preset or presets.DEFAULT), options)
    dataset = open_images(data, run.data.subset) if data else None
    run = fit(run, dataset, options) if dataset else run
    return scale_schedule(run, options) if scaled else run, dataset, None


def _with_networks_of(init_from: Path, preset: str | None, data: Path | None,
                      options: dict[str, Any]) -> tuple[Run, Dataset | None, Transfer]:
    """The run that begins with the networks of another one, whose settings it has by default."""
    origin = load_origin(find_origin(init_from))
    base = _base(origin, preset, data)
    dataset = _images_of(origin, data, options.get("subset", base.data.subset))
    own = dataset.resolution if data and dataset else origin.network.resolution
    resolution = options.get("resolution", own)
    run = override(base, inherited(origin, resolution) | options)
    if dataset:
        run = fit(run, dataset, ("resolution", "initial_resolution"))
    run = override(run, {"fade_first": options.get("fade_first", fades_first(origin, run))})
    return run, dataset, transfer(origin, run)


def _images_of(origin: Origin, data: Path | None, subset: str) -> Dataset | None:
    """The dataset that is named, or else that of the origin's run; None if neither is known."""
    if data:
        return open_images(data, subset)
    if origin.run and origin.run.data.data:
        return open_images_of_run(origin.path.parent, origin.run.data.data, subset)
    return None


def _base(origin: Origin, preset: str | None, data: Path | None) -> Run:
    """Settings beside those of the networks: the preset's or else the origin's own."""
    if preset or not origin.run:
        return presets.preset(preset or presets.DEFAULT)
    other_images = data and str(data.resolve()) != origin.run.data.data
    return override(origin.run, {"subset": ""}) if other_images else origin.run
