"""Identify the program that wrote a pickle or PyTorch file, by names and keys; no code is run.

The tables are searched in order, and the first match counts.
"""

import io
import mmap
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from progan.runtime.pickle_scan import PickledObject, PickleScan, get_dict_items, scan_pickle
from progan.runtime.text import sanitize_and_truncate_line
from progan.runtime.zip_files import read_uncompressed_zip_member

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # first bytes of files of torch before 1.6
HEAD = 64  # bytes that suffice to recognise such a file
HEADERS = 3  # pickles before the content of such a file
MAX_LISTED = 3  # names in a message
MAX_DEPTH = 3  # nested dictionaries that are searched for names of tensors

STYLEGAN_TENSORFLOW = "a pickle of StyleGAN or StyleGAN2 (official TensorFlow code)"
STYLEGAN_PYTORCH = "a pickle of StyleGAN2-ADA, StyleGAN3 or a relative (PyTorch)"
UNKNOWN = "is a pickle of another program"
# Prefix of a name that loading would import, and what the file is.
BY_GLOBAL = (
    ("dnnlib.tflib.", STYLEGAN_TENSORFLOW),
    ("torch_utils.persistence.", STYLEGAN_PYTORCH),
    ("lasagne.", "a pickle of the Theano version of Progressive GAN"),
    ("theano.", "a pickle of the Theano version of Progressive GAN"),
    ("sklearn.", "a pickle of scikit-learn"),
    ("pandas.", "a pickle of pandas"),
    ("keras.", "a pickle of Keras"),
    ("tensorflow.", "a pickle of TensorFlow"),
    ("jax.", "a pickle of JAX"),
    ("jaxlib.", "a pickle of JAX"),
    ("flax.", "a pickle of Flax"),
)
# Keys of the outermost dictionary, all of which must be present.
BY_KEYS = (
    (("pytorch-lightning_version",), "a checkpoint of PyTorch Lightning"),
    (("netG", "config"), "a file of pytorch_GAN_zoo that holds more than weights and settings"),
    (("g_ema",), "a checkpoint of rosinality's stylegan2-pytorch"),
    (("g_running",), "a checkpoint of rosinality's style-based-gan-pytorch"),
    (("latent_avg", "state_dict"), "a checkpoint of pixel2style2pixel or a relative"),
    (("params_ema",), "a checkpoint of BasicSR"),
    (("meta", "state_dict"), "a checkpoint of OpenMMLab"),
    (("step", "model", "ema"), "a checkpoint of denoising-diffusion-pytorch"),
)
# Patterns, each of which must match the start of some tensor's name.
# fmt: off
BY_TENSORS = (
    ((r"S\.net\.", r"G\."), "a checkpoint of lucidrains' stylegan2-pytorch"),
    ((r"G\.", r"GE\."), "a checkpoint of lucidrains' lightweight-gan"),
    ((r"(.*\.)?rgb_converters\.\d",), "a file of akanimax's pro_gan_pytorch"),
    ((r"(.*\.)?progression\.\d", r"(.*\.)?to_rgb\.\d"),
     "a file of rosinality's progressive-gan-pytorch"),
    ((r"(.*\.)?scaleLayers\.\d", r"(.*\.)?(toRGB|fromRGB)Layers\.\d"),
     "a bare state_dict of pytorch_GAN_zoo's PGAN, without its settings"),
    ((r"(.*\.)?synthesis\.(b\d+|L\d+_\w+)\.",),
     "weights of StyleGAN2-ADA, StyleGAN3 or a relative"),
    ((r"(.*\.)?convs\.\d+\.conv\.modulation\.",), "weights of rosinality's stylegan2-pytorch"),
    ((r"model\.diffusion_model\.",), "a checkpoint of Stable Diffusion"),
    ((r".*lora_(up|down|A|B|unet|te)",), "a LoRA of a diffusion model"),
    ((r"(.*\.)?(down|up)_blocks\.\d", r"(.*\.)?conv_in\."), "weights of diffusers"),
    ((r"(.*\.)?(h|layers?|blocks|resblocks)\.\d+\.(attn|self_attn|attention)\.",),
     "weights of a transformer"),
    ((r"Mixed_5b\.",), "weights of Inception, a classifier"),
    ((r"features\.0\.weight", r"classifier\."), "weights of a classifier such as VGG"),
    ((r"layer1\.0\.conv1\.", r"fc\."), "weights of a classifier such as ResNet"),
    ((r"blocks\.\d\.\d\.conv1\.", r"linear\."), "weights of BigGAN"),
    ((r"(.*\.)?model\.\d+\.conv_block\.",), "weights of CycleGAN or pix2pix"),
    ((r"main\.\d+\.weight",), "weights of a DCGAN, such as PyTorch's example saves"),
)
# fmt: on
OTHER = "Use it with the program that wrote it."
TENSOR = re.compile(r"torch\._(utils|tensor)\._rebuild_|torch\.nn\.parameter\.Parameter")
# A word in the settings or source in such a pickle.
STYLEGANS = (
    (STYLEGAN_TENSORFLOW, "G_style", "a pickle of StyleGAN (official TensorFlow code)"),
    (STYLEGAN_TENSORFLOW, "G_main", "a pickle of StyleGAN2 (official TensorFlow code)"),
    (STYLEGAN_PYTORCH, "SynthesisInput", "a pickle of StyleGAN3 (official PyTorch code)"),
    (STYLEGAN_PYTORCH, "SynthesisBlock", "a pickle of StyleGAN2-ADA (official PyTorch code)"),
)


class FileDescription(NamedTuple):
    """Description of a file.

    Attributes:
        what: Starts with the verb: 'is a PNG image'.
        advice: What to do; '': name a supported file.
        names: All names that loading would import.
    """

    what: str
    advice: str = ""
    names: tuple[str, ...] = ()


def is_legacy_torch(head: bytes) -> bool:
    """Return True if these are the first bytes of a file of torch before 1.6."""
    return head.startswith(MAGIC)


def scan_pickle_file(path: Path) -> PickleScan:
    """Scan the pickle in a file, a plain one or of torch before 1.6."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if is_legacy_torch(data[: len(MAGIC)]):
            names = [name for _ in range(HEADERS) for name in scan_pickle(data).names]
            content, more, is_whole = scan_pickle(data)
            return PickleScan(content, (*names, *more), is_whole)
        return scan_pickle(data)


def scan_torch_zip(path: Path, index: str) -> PickleScan:
    """Scan the pickle in a zip file of PyTorch."""
    return scan_pickle(io.BytesIO(read_uncompressed_zip_member(path, index)))


def describe_pickle(path: Path) -> FileDescription:
    """Describe a pickle or old PyTorch file, which may be cut short."""
    found = scan_pickle_file(path)
    described = describe_scan(found)
    if found.is_whole:
        return described
    if described.what.startswith(UNKNOWN):
        return FileDescription(
            "is not a readable pickle: it is damaged or cut short",
            "Copy or download it again.",
            found.names,
        )
    return described._replace(what=f"{described.what}, damaged or cut short")


def describe_scan(found: PickleScan, *, is_torch: bool = False) -> FileDescription:
    """Describe the content of a pickle.

    Args:
        is_torch: PyTorch saved it.
    """
    is_torch |= any(name.startswith("torch.") for name in found.names)
    known = (
        _describe_by_global(found)
        or _describe_by_keys(get_dict_items(found.content))
        or identify_weights(tensor_names(found.content))
        or (_describe_unknown_torch(found) if is_torch else "")
    )
    if known:
        verb = "holds" if known.startswith("weights") else "is"
        return FileDescription(f"{verb} {known}", OTHER, found.names)
    listed = f" (it needs {_list_names(found.names)})" if found.names else ""
    return FileDescription(UNKNOWN + listed, "", found.names)


def identify_weights(names: Sequence[str]) -> str:
    """Describe weights by the names of their tensors; '' if unknown."""
    return next(
        (
            what
            for patterns, what in BY_TENSORS
            if all(any(re.match(pattern, name) for name in names) for pattern in patterns)
        ),
        "",
    )


def tensor_names(content: Any, depth: int = MAX_DEPTH) -> list[str]:
    """Return the keys of the innermost dictionaries: names of tensors in a state_dict.

    Each dictionary counts once: a hostile pickle may refer to one again and again.
    """
    seen: set[int] = set()

    def collect(content: Any, depth: int) -> list[str]:
        if id(content) in seen:
            return []
        seen.add(id(content))
        names = []
        for key, value in get_dict_items(content).items():
            inner = collect(value, depth - 1) if depth else []
            names += inner or ([key] if isinstance(key, str) else [])
        return names

    return collect(content, depth)


def describe_unknown_weights(names: Sequence[str]) -> str:
    """Return e.g. 'weights of another architecture (3 tensors: a, b, …)'."""
    count = "1 tensor" if len(names) == 1 else f"{len(names):,} tensors"
    return f"weights of another architecture ({count}: {_list_names(names)})"


def _describe_by_global(found: PickleScan) -> str:
    for start, what in BY_GLOBAL:
        if any(name.startswith(start) for name in found.names):
            return _identify_stylegan(what, found.content)
    return ""


def _identify_stylegan(what: str, content: Any) -> str:
    """Return the version of StyleGAN if the pickle contains it, else `what`."""
    if what not in (STYLEGAN_TENSORFLOW, STYLEGAN_PYTORCH):
        return what
    texts = list(_find_strings(content))
    return next(
        (
            exactly
            for general, word, exactly in STYLEGANS
            if general == what
            and any(word == text or "class " in text and word in text for text in texts)
        ),
        what,
    )


def _find_strings(content: Any) -> Iterable[str]:
    """Yield strings in a pickle of StyleGAN: settings and source; the first 2000 objects."""
    pending = [content]
    for _ in range(2000):
        if not pending:
            return
        value = pending.pop(0)
        if isinstance(value, str):
            yield value
        elif isinstance(value, PickledObject):
            pending += [value.arguments, value.state, value.items]
        elif isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, (list, tuple)):
            pending += value[:100]


def _describe_by_keys(items: dict[Any, Any]) -> str:
    generator = get_dict_items(items.get("generator"))
    if {"conf", "state_dict"} <= generator.keys():
        return "a file of akanimax's pro_gan_pytorch"
    return next((what for keys, what in BY_KEYS if set(keys) <= items.keys()), "")


def _describe_unknown_torch(found: PickleScan) -> str:
    """Describe a PyTorch file that no table contains."""
    content = found.content
    items = get_dict_items(content)
    if not items and isinstance(content, PickledObject) and isinstance(content.state, dict):
        return f"a pickled PyTorch module of the class {sanitize_and_truncate_line(content.name)}"
    if items and all(_is_tensor(value) for value in items.values()):
        return describe_unknown_weights(tensor_names(content))
    if items:
        keys = [str(key) for key in items]
        return f"a PyTorch file of another program (a dictionary of {_list_names(keys)})"
    return "a PyTorch file of another program"


def _is_tensor(value: Any) -> bool:
    return isinstance(value, PickledObject) and bool(TENSOR.match(value.name))


def _list_names(names: Sequence[str]) -> str:
    shown = ", ".join(sanitize_and_truncate_line(name) for name in names[:MAX_LISTED])
    return shown + (", …" if len(names) > MAX_LISTED else "")
