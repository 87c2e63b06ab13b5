"""From any file of networks to ours, to one with the official names, or to an export."""

from collections.abc import Callable
from pathlib import Path

import torch

from progan.config import Network
from progan.errors import UserError
from progan.interop.exports import FORMATS, export, truncate
from progan.interop.imported_model import ImportedModel, Shape
from progan.interop.load import load_snapshot, read_foreign, snapshot_of
from progan.interop.official import official_layers, require_official, to_official_networks
from progan.interop.official_files import ARCHIVE_SUFFIX, write_archive
from progan.invocation import command_line
from progan.runtime.files import sha256_of
from progan.sampling.image_files import provenance
from progan.sampling.latents import at_resolution
from progan.sampling.model_card import (
    ModelCard,
    SourceFile,
    card_path,
    export_card_path,
    extract_training_section,
    render_card,
    write_card,
)
from progan.sampling.network_file import SUFFIX, Snapshot, save_network

CPU = torch.device("cpu")


def read(path: Path) -> ImportedModel:
    """Networks in a file of any kind that is known; raises UserError."""
    return read_foreign(path) or _of_ours(path)


def convert(
    trained: ImportedModel, source: Path, target: Path, resolution: int | None = None
) -> None:
    """Write networks as the suffix of the target says, and a card of that file beside it.

    Raises UserError if they cannot be written so.

    Args:
        resolution: A lower one that was trained on the way, to end there.
    """
    KINDS[target.suffix](trained, source, target, resolution)
    _write_card(target, _snapshot(trained, resolution), source)


def _write_card(target: Path, snapshot: Snapshot, source: Path) -> None:
    """Write the model card of a conversion beside it, unless there is an edited one."""
    path = card_path(target) if target.suffix == SUFFIX else export_card_path(target)
    write_card(
        path,
        render_card(
            ModelCard(
                file=target.name,
                sha256=sha256_of(target),
                snapshot=snapshot,
                source=SourceFile(
                    name=source.name,
                    sha256=sha256_of(source),
                    training_section=_training_section(source),
                ),
            )
        ),
    )


def _training_section(source: Path) -> str:
    """Return what the card of a network file says of its training; '' if there is none."""
    try:
        return extract_training_section(card_path(source).read_text("utf-8"))
    except (OSError, UnicodeDecodeError):
        return ""


def _of_ours(path: Path) -> ImportedModel:
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
        theirs={"average": _official_layers(network, shapes)},
    )


def _official_layers(network: Network, shapes: dict[str, Shape]) -> dict[str, tuple[str, Shape]]:
    """What the official code calls the layers of the generator; {} if it cannot have them."""
    try:
        require_official(network, "", judges=False)
    except UserError:
        return {}
    return official_layers("average", network, shapes)


def _to_network_file(
    trained: ImportedModel, source: Path, target: Path, resolution: int | None
) -> None:
    save_network(target, _snapshot(trained, resolution))


def _to_archive(trained: ImportedModel, source: Path, target: Path, resolution: int | None) -> None:
    if resolution is not None:
        raise UserError(
            f"--resolution {resolution}: an archive with the official names holds the "
            "networks whole. Leave it away, or name another kind of file."
        )
    write_archive(target, to_official_networks(trained, str(source)))


def _to_export(trained: ImportedModel, source: Path, target: Path, resolution: int | None) -> None:
    lower = [] if resolution is None else ["--resolution", resolution]
    typed = command_line("interop", source, "--to", target, *lower, portable=True)
    export(
        _snapshot(trained, resolution),
        target,
        {name.lower(): text for name, text in provenance(source, typed).items()},
    )


def _snapshot(trained: ImportedModel, resolution: int | None) -> Snapshot:
    """The averaged generator, whole or up to a resolution."""
    snapshot = snapshot_of(trained, CPU)
    if resolution is None:
        return snapshot
    lower = at_resolution(snapshot, resolution)
    return truncate(lower, lower.level, lower.alpha)


KINDS: dict[str, Callable[[ImportedModel, Path, Path, int | None], None]] = {
    SUFFIX: _to_network_file,
    ARCHIVE_SUFFIX: _to_archive,
    **dict.fromkeys(FORMATS, _to_export),
}
