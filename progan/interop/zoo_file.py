"""Files of pytorch_GAN_zoo's PGAN, as its `model_hub` has them: settings and state dictionaries."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from progan.errors import UserError
from progan.interop.other_files import refusal
from progan.interop.torch_files import HEAD, is_old_torch, scan_file
from progan.interop.trained import Trained, require_whole
from progan.interop.zoo import from_zoo
from progan.runtime.files import members, stored
from progan.runtime.pickle_scan import dict_items

ROLES = {"netG": "generator", "netD": "discriminator", "avgG": "average"}
SETTINGS = "models.utils.config.BaseConfig"  # the class of their settings
PICKLED_NAME = b"X\x04\x00\x00\x00netG"  # text of four bytes


class Settings:
    """What stands for the class of their settings: attributes, and nothing that they do."""


def is_zoo(path: Path) -> bool:
    """Whether a file of PyTorch, old or new, has networks of the zoo."""
    index = [name for name in members(path) if name.endswith("/data.pkl")]
    if index:
        return PICKLED_NAME in stored(path, index[0])
    with path.open("rb") as file:
        if not is_old_torch(file.read(HEAD)):
            return False
    return not {*ROLES}.isdisjoint(dict_items(scan_file(path).content))


def read_zoo(path: Path) -> Trained:
    """Read a file; raises UserError if it is none of PGAN's, or asks for more than weights."""
    content = _content(path)
    settings = content.get("config") if isinstance(content, dict) else None
    settings = settings if isinstance(settings, dict) else getattr(settings, "__dict__", {})
    try:
        weights = {ours: _plain(content[theirs]) for theirs, ours in ROLES.items()
                   if theirs in content}
        weights.setdefault("average", weights["generator"])
        trained = from_zoo(settings, weights)
    except UserError as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
            RuntimeError) as error:
        raise UserError(f"{path} is no file of pytorch_GAN_zoo's PGAN, or it is damaged "
                        f"({type(error).__name__}). Those of its model_hub are known.") from error
    return require_whole(trained, str(path))


def _content(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals([(Settings, SETTINGS)]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise refusal(path) from None
    except Exception as error:  # a damaged file fails in any way it likes
        raise UserError(f"{path} is damaged ({type(error).__name__}). Fetch it again.") from error


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the wrappers, by which some versions of the zoo call all layers and others none."""
    return {name.replace("module.", ""): tensor.detach().float()
            for name, tensor in weights.items()}
