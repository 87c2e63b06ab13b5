"""Every setting of a run, as frozen dataclasses that check their values when they are made.

A run is one value, `Run`. It is saved as JSON beside every result, and the command line, its
help and the presets all derive from the fields of these classes: a default, a range or a
description is written there and nowhere else.
"""

from progan.config.network import Network
from progan.config.run import (
    AUTOENCODERS_ONLY,
    SECTIONS,
    Run,
    clear_tables_of_given,
    convert_python_values,
    from_dict,
    list_config_changes,
    list_named_settings,
    list_values,
    override,
    require_settable,
    require_trained_weights_to_freeze,
    to_dict,
)
from progan.config.training import (
    AUGMENT_KINDS,
    Augment,
    Data,
    Growth,
    Guard,
    LossConfig,
    Optim,
    Output,
)

__all__ = [
    "AUGMENT_KINDS", "AUTOENCODERS_ONLY", "SECTIONS", "Augment", "Data", "Growth", "Guard",
    "LossConfig", "Network", "Optim", "Output", "Run", "clear_tables_of_given",
    "convert_python_values", "from_dict", "list_config_changes", "list_named_settings",
    "list_values", "override",
    "require_settable", "require_trained_weights_to_freeze", "to_dict",
]  # fmt: skip
