"""Convert networks of any supported file to ours, to official names, or to an export."""

from pathlib import Path
from textwrap import indent

import torch

from progan.config import Network
from progan.errors import UserError
from progan.interop.exports import export, truncate_to_level
from progan.interop.imported_model import ImportedModel, Shape, format_shape
from progan.interop.load import import_foreign, load_snapshot, to_snapshot
from progan.interop.official import convert_to_official, official_layers, require_official
from progan.interop.official_files import ARCHIVE_SUFFIX, write_archive
from progan.invocation import command_line
from progan.runtime.files import hash_file_sha256
from progan.runtime.text import format_count, format_table
from progan.sampling.image_files import provenance
from progan.sampling.latents import select_resolution
from progan.sampling.model_card import (
    ModelCard,
    SourceFile,
    card_path,
    export_card_path,
    extract_training_section,
    render_card,
    write_card,
)
from progan.sampling.snapshot_file import NETWORK_SUFFIX, Snapshot, save_network
from progan.sizes import format_level

CPU = torch.device("cpu")


def read_model(path: Path) -> ImportedModel:
    """Read networks of any supported file; raises UserError."""
    return import_foreign(path) or _read_progan_network(path)


def convert(
    model: ImportedModel,
    source: Path,
    target: Path,
    resolution: int | None = None,
    *,
    half: bool = False,
) -> None:
    """Write networks in the format of the target's suffix, and a model card beside it.

    Args:
        resolution: Truncate the generator to this resolution; None: keep it.
        half: Store the weights of a network file as float16.

    Raises:
        UserError: The networks cannot be written in that format.
    """
    if target.suffix == ARCHIVE_SUFFIX and resolution is not None:
        raise UserError(
            f"--resolution {resolution}: an archive with the official names contains complete "
            "networks. Omit the option, or name another kind of file."
        )
    snapshot = _build_snapshot_at_resolution(model, resolution)
    if target.suffix == NETWORK_SUFFIX:
        if half:
            _require_range_of_half(snapshot)
        save_network(target, snapshot, dtype=torch.float16 if half else torch.float32)
    elif target.suffix == ARCHIVE_SUFFIX:
        write_archive(target, convert_to_official(model, str(source)))
    else:
        lower = [] if resolution is None else ["--resolution", resolution]
        typed = command_line("interop", source, "--to", target, *lower, portable=True)
        text = {name.lower(): value for name, value in provenance(source, typed).items()}
        export(snapshot, target, text)
    _write_card(target, snapshot, source)


def _require_range_of_half(snapshot: Snapshot) -> None:
    """Raise UserError if a weight would become infinite as float16."""
    for name, weight in snapshot.generator.state_dict().items():
        # Counters of batches are integers, and written as float32.
        if weight.is_floating_point() and weight.abs().max() > torch.finfo(torch.float16).max:
            raise UserError(
                f"--half: {name} has weights beyond the range of float16. Omit the option."
            )


def _write_card(target: Path, snapshot: Snapshot, source: Path) -> None:
    """Write the model card of a conversion beside it, unless there is an edited one."""
    try:
        training_section = extract_training_section(card_path(source).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        training_section = ""
    original = SourceFile(
        name=source.name, sha256=hash_file_sha256(source), training_section=training_section
    )
    card = ModelCard(
        file=target.name, sha256=hash_file_sha256(target), snapshot=snapshot, source=original
    )
    path = card_path(target) if target.suffix == NETWORK_SUFFIX else export_card_path(target)
    write_card(path, render_card(card))


def _read_progan_network(path: Path) -> ImportedModel:
    snapshot = load_snapshot(path, CPU)
    weights = snapshot.generator.state_dict()
    network = snapshot.generator.config
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    return ImportedModel(
        network=network,
        weights={"average": weights},
        level=snapshot.level,
        alpha=snapshot.alpha,
        images_seen=snapshot.images_seen,
        known_names=snapshot.label_names,
        untrained_classes=snapshot.untrained_classes,
        first_level=snapshot.first_level,
        originals={"average": _find_official_layers(network, shapes)},
    )


def _find_official_layers(
    network: Network, shapes: dict[str, Shape]
) -> dict[str, tuple[str, Shape]]:
    """Return official names and shapes of the generator's tensors; {} if there are none."""
    try:
        require_official(network, "", with_discriminator=False)
    except UserError:
        return {}
    return official_layers("average", network, shapes)


def _build_snapshot_at_resolution(model: ImportedModel, resolution: int | None) -> Snapshot:
    """Return g_ema, complete or truncated to a resolution."""
    snapshot = to_snapshot(model, CPU)
    if resolution is None:
        return snapshot
    lower = select_resolution(snapshot, resolution)
    return truncate_to_level(lower, lower.level, lower.alpha)


def format_layer_table(model: ImportedModel, where: str) -> str:
    """Describe a model: a summary line, then original and own name and shape of each tensor."""
    lines = [_format_summary(model, where)]
    for role, weights in model.weights.items():
        originals = model.originals.get(role, {})
        rows = [("original", "shape", "progan", "shape")]
        for name, weight in weights.items():
            original, shape = originals.get(name, ("–", None))
            rows.append((original, format_shape(shape), name, format_shape(tuple(weight.shape))))
        lines += ["", f"{role}:", indent(format_table(rows, left=range(4)), "  ")]
    return "\n".join(lines)


def _format_summary(model: ImportedModel, where: str) -> str:
    network = model.network
    count = network.label_size
    classes = format_count(count, "class", "classes") if count else "no classes"
    fade = "" if model.alpha == 1 else f", faded in by {100 * model.alpha:.0f} %"
    kimg = f" at kimg {model.images_seen / 1000:g}" if model.images_seen else ""
    return (
        f"{where}: {network.size(network.max_level)}, "
        f"{format_count(network.channels, 'channel')}, {classes}, "
        f"latents of {network.latent_size}; trained to "
        f"{format_level(network.base, model.level)}{fade}{kimg}."
    )
