"""Trained networks in the package: a file and its model card for each name."""

from pathlib import Path

NETWORK_SUFFIX = ".safetensors"


def list_pretrained() -> list[str]:
    """Return the names of the networks in the package."""
    return sorted(file.stem for file in Path(__file__).parent.glob(f"*{NETWORK_SUFFIX}"))


def resolve_network(path: Path) -> Path:
    """Return the file of the network in the package if `path` is its name, else `path`.

    Whatever exists at `path` precedes it.
    """
    if path.exists() or str(path) not in list_pretrained():
        return path
    return Path(__file__).parent / f"{path}{NETWORK_SUFFIX}"
