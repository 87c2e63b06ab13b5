"""All settings of a run as one value, its JSON form, and that of older files."""

import dataclasses
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from progan.config.network import Network
from progan.config.training import Augment, Data, Growth, Guard, LossConfig, Optim, Output
from progan.errors import UserError
from progan.option_fields import (
    Change,
    Section,
    convert_python_value,
    list_option_fields,
    list_section_changes,
    option_field,
    require_no_unknown,
    section_from_dict,
    validate_fields,
)
from progan.sizes import MIN_LEVEL

AUTOENCODERS_ONLY = ("ebgan", "began")  # losses


@dataclass(frozen=True, kw_only=True, slots=True)
class Run(Section):
    """All settings of one training."""

    # fmt: off
    preset: str = option_field("custom", "Preset that the run started from.", option=False)
    init_from: str = option_field("",
        "Network file or training state with whose networks the run began.", option=False)
    seed: int = option_field(0, "Seed of every random number in the run.", low=0)
    precision: str = option_field("fp32", "Arithmetic of the convolutions and of the generator's "
        "first layer, tf32: of all layers; tf32 is faster on CUDA, bf16 there and on CPUs that "
        "have it, and both are coarser; fp16, with loss scaling, is the official code's, for "
        "CUDA.", choices=("fp32", "tf32", "bf16", "fp16"))
    low_precision_from: int = option_field(4,
        "Lowest resolution to train in --precision bf16 or fp16; below it, in float32.",
        resolution=True)
    acceleration: str = option_field("auto", "How steps are computed: operation after operation "
        "(eager), these captured as CUDA graphs (eager-graph), with compiled losses (compile), or "
        "these captured (graph); with the same results but for rounding. auto: eager.",
        choices=("auto", "eager", "eager-graph", "compile", "graph"))
    micro_batch: int = option_field(0, "Maximum images of a batch to compute at once, of "
        "reals and of fakes each (micro-batch): a larger batch goes in parts, with the same "
        "gradients. auto: halved where memory is too small.", low=0, auto=0)
    preflight: str = option_field("auto", "What to do at the start to find out memory and speed "
        "at each resolution: a few real steps, an estimate, or nothing. auto: steps on CUDA, an "
        "estimate elsewhere.", choices=("auto", "step", "estimate", "none"))
    device_data_gib: float = option_field(-1.0, "GiB of the device's memory for images of the "
        "dataset: a resolution that fits in is read once and stays there. auto: a quarter of what "
        "the GPU has left, without a GPU 0.", low=0, high=1e6, auto=-1)
    threads: int = option_field(0,
        "CPU threads of the networks, 0: as torch chooses; narrow networks are fastest with 1.",
        low=0, high=1024)
    # fmt: on
    network: Network = field(default_factory=Network)
    growth: Growth = field(default_factory=Growth)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    guard: Guard = field(default_factory=Guard)
    data: Data = field(default_factory=Data)
    output: Output = field(default_factory=Output)

    def __post_init__(self) -> None:
        validate_fields(self)
        if self.augment.augment == "none" and self.augment.augment_p:
            raise UserError(
                f"--augment-p {self.augment.augment_p:g} needs --augment fixed or "
                "adaptive: without it nothing is augmented."
            )
        if self.augment.augment == "fixed" and not self.augment.augment_p:
            raise UserError("--augment fixed needs a probability, such as --augment-p 0.3.")
        if self.precision == "fp16" and self.optim.optimizer != "adam":
            raise UserError(
                "--precision fp16 leaves out steps whose gradients overflow, and of "
                "the optimizers only adam can: choose --optimizer adam, or "
                "--precision bf16."
            )
        if self.loss.objective in AUTOENCODERS_ONLY and self.network.kind != "autoencoder":
            raise UserError(
                f"--objective {self.loss.objective} compares energies: it needs --kind autoencoder."
            )
        if self.network.grows and self.growth.initial_resolution > self.network.resolution:
            raise UserError(
                f"--initial-resolution {self.growth.initial_resolution} is larger "
                f"than the final resolution {self.network.resolution}. Choose "
                f"{self.network.resolution} or less, or a higher --resolution."
            )
        if self.growth.fade_first and not self.grows:
            raise UserError(
                "--fade-first has nothing to fade in: the run begins at its final "
                f"resolution, {self.network.resolution}. Omit it, or choose a lower "
                "--initial-resolution."
            )
        if self.optim.freeze_d > self.network.max_level - MIN_LEVEL:
            raise UserError(
                f"--freeze-d {self.optim.freeze_d} would leave nothing to learn: of a "
                f"discriminator of resolution {self.network.resolution}, at most "
                f"{self.network.max_level - MIN_LEVEL} can keep their weights."
            )

    @property
    def grows(self) -> bool:
        """True if resolutions are faded in."""
        return self.network.grows and self.growth.initial_resolution < self.network.resolution

    @property
    def random_layers(self) -> bool:
        """True if layers of the discriminator take random numbers themselves."""
        return self.network.dropout > 0 or self.loss.adaptive_noise


# Settings and sections of runs that are older than their names.
RENAMED_FIELDS = {"bf16_from": "low_precision_from", "objective": "loss"}
# What runs did before these settings existed, where it is not the default of today.
LEGACY_DEFAULTS: dict[str, dict[str, Any]] = {"loss": {"gp_resolution": "trained"}}
SECTIONS: dict[str, Any] = {
    "network": Network,
    "growth": Growth,
    "loss": LossConfig,
    "augment": Augment,
    "optim": Optim,
    "guard": Guard,
    "data": Data,
    "output": Output,
}


def _list_all_fields() -> list[dataclasses.Field[Any]]:
    return [f for section in (Run, *SECTIONS.values()) for f in list_option_fields(section)]


def override(run: Run, values: Mapping[str, Any]) -> Run:
    """Return `run` with some fields, named without their section, replaced."""
    known = {field.name for field in _list_all_fields()}
    require_no_unknown(set(values) - known, "")
    nested = {}
    for name, section in SECTIONS.items():
        own = {f.name: values[f.name] for f in list_option_fields(section) if f.name in values}
        nested[name] = dataclasses.replace(getattr(run, name), **own)
    own = {f.name: values[f.name] for f in list_option_fields(Run) if f.name in values}
    return dataclasses.replace(run, **own, **nested)


def convert_python_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert settings that read well in Python to those of the fields, by name."""
    fields = {field.name: field for field in _list_all_fields()}
    return {
        name: convert_python_value(fields[name], value) if name in fields else value
        for name, value in values.items()
    }


def require_settable(names: Iterable[str]) -> None:
    """Raise UserError for a setting that follows from the dataset or the kind of start."""
    derived = {field.name for field in _list_all_fields() if not field.metadata["option"]}
    if fixed := sorted(derived & set(names)):
        raise UserError(
            f"{', '.join(fixed)} cannot be set: it follows from the dataset, or from how the run "
            "begins. train.py --help-all lists the settings."
        )


def clear_tables_of_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with () for the table of each one that has a table which is not given.

    A value without its table holds at all resolutions: batch=8 undoes a preset's batch_at.
    """
    tables = {f.name for section in SECTIONS.values() for f in list_option_fields(section)}
    cleared = [f"{name}_at" for name in values if f"{name}_at" in tables]
    return {**dict.fromkeys(cleared, ()), **values}


def require_trained_weights_to_freeze(run: Run) -> None:
    """Raise UserError if a run that begins with random weights freezes some of them."""
    if run.optim.freeze_d:
        raise UserError(
            f"--freeze-d {run.optim.freeze_d} keeps weights that were trained before: it needs "
            "--init-from."
        )


def to_dict(run: Run) -> dict[str, Any]:
    """Return `run` as nested dictionaries for JSON."""
    return dataclasses.asdict(run)


def list_values(run: Run) -> dict[str, Any]:
    """Return all settings by name, without their sections."""
    nested = to_dict(run)
    own = {name: value for name, value in nested.items() if name not in SECTIONS}
    return own | {name: value for section in SECTIONS for name, value in nested[section].items()}


def from_dict(values: Mapping[str, Any]) -> Run:
    """Return the run that `to_dict` described.

    Settings younger than the file get what runs did before, mostly their default.
    """
    renamed = _replace_old_names(values)
    nested = {
        name: section_from_dict(section, _add_legacy_defaults(name, renamed.get(name, {})))
        for name, section in SECTIONS.items()
    }
    own = {name: value for name, value in renamed.items() if name not in SECTIONS}
    require_no_unknown(set(own) - {f.name for f in list_option_fields(Run)}, "")
    return Run(**own, **nested)


def list_named_settings(values: Mapping[str, Any]) -> set[str]:
    """Return the names of the settings in nested dictionaries, as `from_dict` takes them."""
    renamed = _replace_old_names(values)
    own = renamed.keys() - SECTIONS.keys()
    return own.union(*(renamed.get(name, ()) for name in SECTIONS))


def _replace_old_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested dictionaries with the present names of settings and sections."""
    return {RENAMED_FIELDS.get(name, name): value for name, value in values.items()}


def _add_legacy_defaults(section: str, values: Any) -> Any:
    """Add what a section of an older file lacks, as runs did then; non-mappings are unchanged."""
    return {**LEGACY_DEFAULTS.get(section, {}), **values} if isinstance(values, Mapping) else values


def list_config_changes(old: Run, new: Run, without: Container[str] = ()) -> list[Change]:
    """List the settings in which two runs differ, but for those called as in `without`."""
    pairs = [(old, new), *((getattr(old, name), getattr(new, name)) for name in SECTIONS)]
    return [
        change
        for before, after in pairs
        for change in list_section_changes(before, after)
        if change.name not in without
    ]
