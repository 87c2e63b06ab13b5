"""The settings that a new run begins with: of a preset, or of the run whose networks it takes."""

from pathlib import Path
from typing import Any

from progan import presets
from progan.config import Run, override
from progan.data.reader import Dataset
from progan.training.fitting import fit, opened
from progan.training.origin import Origin, find_origin, load_origin
from progan.training.transfer import Transfer, fades_first, inherited, transfer


def beginning(preset: str | None, data: Path | None, init_from: Path | None,
              options: dict[str, Any]) -> tuple[Run, Dataset | None, Transfer | None]:
    """The run that preset, dataset and options make, and the layers that it begins with.

    Args:
        preset: Its name; None: the default, or the settings of the run that is begun with.
        init_from: A state, a network file or the directory of a run to begin with.
        options: Fields of the config, by name; they win.

    Raises:
        UserError: These do not go together.
    """
    if init_from:
        return _with_networks_of(init_from, preset, data, options)
    run = override(presets.preset(preset or presets.DEFAULT), options)
    if data is None:
        return run, None, None
    dataset = opened(data, run.data.subset)
    return fit(run, dataset, options), dataset, None


def _with_networks_of(init_from: Path, preset: str | None, data: Path | None,
                      options: dict[str, Any]) -> tuple[Run, Dataset | None, Transfer]:
    """The run that begins with the networks of another one, whose settings it has by default."""
    origin = load_origin(find_origin(init_from))
    base = _base(origin, preset, data)
    source = data or (origin.run and Path(origin.run.data.data))
    dataset = opened(source, options.get("subset", base.data.subset)) if source else None
    own = dataset.resolution if data and dataset else origin.network.resolution
    resolution = options.get("resolution", own)
    run = override(base, inherited(origin, resolution) | options)
    if dataset:
        run = fit(run, dataset, ("resolution", "initial_resolution"))
    run = override(run, {"fade_first": options.get("fade_first", fades_first(origin, run))})
    return run, dataset, transfer(origin, run)


def _base(origin: Origin, preset: str | None, data: Path | None) -> Run:
    """Settings beside those of the networks: the preset's or else the origin's own."""
    if preset or not origin.run:
        return presets.preset(preset or presets.DEFAULT)
    other_images = data and str(data.resolve()) != origin.run.data.data
    return override(origin.run, {"subset": ""}) if other_images else origin.run
