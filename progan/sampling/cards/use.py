"""How to use a network file, by its kind."""

from collections.abc import Callable
from pathlib import PurePath

from progan.invocation import command
from progan.sampling.cards.facts import Card
from progan.sampling.cards.markdown import block, code
from progan.sampling.network_file import SUFFIX


def use(card: Card) -> str:
    """Commands and lines of Python to be typed where the file is."""
    return KINDS.get(PurePath(card.file).suffix, _with_progan)(card)


def _with_progan(card: Card) -> str:
    return "\n\n".join([
        "Pictures, with progan; a seed names the same picture on every machine:",
        block([_drawing(card)]),
        *_of_a_class(card),
        "In Python:",
        block(["import progan", f"G = progan.load({card.file!r})",
               f"images = G.render(range(16))    # {_shape(card)}"]),
        "For programs without progan, as ONNX (or .pt2, .ts):",
        block([_converting(card, ".onnx")])])


def _drawing(card: Card) -> str:
    return command("generate", "--network", card.file, "--seeds", "0-15", "--outdir", "out",
                   portable=True)


def _converting(card: Card, suffix: str) -> str:
    target = f"{PurePath(card.file).stem}{suffix}"
    return command("interop", card.file, "--to", target, portable=True)


def _of_a_class(card: Card) -> list[str]:
    names = card.snapshot.label_names
    return [f"With `--class 0` all of them show the class {code(names[0])}."] if names else []


def _shape(card: Card) -> str:
    config = card.snapshot.generator.config
    size = config.size(card.snapshot.level)
    return f"uint8 [16, {size.height}, {size.width}, {config.channels}]"


def _with_onnx(card: Card) -> str:
    return _alone([
        "import numpy, onnxruntime", f"session = onnxruntime.InferenceSession({card.file!r})",
        *_inputs(card), f"(images,) = session.run(None, {_named(card)})", *_pixels("images")])


def _with_export(card: Card) -> str:
    return _alone([
        "import numpy, torch", f"run = torch.export.load({card.file!r}).module()",
        *_inputs(card), f"images = run({_tensors(card)})", *_pixels("images.numpy()")])


def _with_torchscript(card: Card) -> str:
    return _alone([
        "import numpy, torch", f"run = torch.jit.load({card.file!r})",
        *_inputs(card), f"images = run({_tensors(card)})", *_pixels("images.numpy()")])


def _with_official_code(card: Card) -> str:
    return "\n\n".join([
        "Arrays with the names and layouts of the official TensorFlow code. In that code:",
        block(["import json", "import numpy as np", "import tfutil",
               f"arrays = np.load({card.file!r})",
               "Gs = tfutil.Network('Gs', func='networks.G_paper', "
               "**json.loads(str(arrays['Gs/static_kwargs'])))",
               "tfutil.set_vars({variable: arrays['Gs/' + name] "
               "for name, variable in Gs.vars.items()})"]),
        "With progan, pictures, and a network file again:",
        block([_drawing(card), _converting(card, SUFFIX)])])


def _alone(lines: list[str]) -> str:
    """Of a file that needs no progan."""
    return f"Without progan, seed 7, as uint8 [1, C, H, W]:\n\n{block(lines)}"


def _inputs(card: Card) -> list[str]:
    config = card.snapshot.generator.config
    latents = (f"z = numpy.random.RandomState(7).randn(1, {config.latent_size})"
               ".astype('float32')")
    labels = f"labels = numpy.eye({config.label_size}, dtype='float32')[[0]]    # class 0"
    return [latents, labels] if config.label_size else [latents]


def _named(card: Card) -> str:
    labels = ", 'labels': labels" if card.snapshot.generator.config.label_size else ""
    return f"{{'latents': z{labels}}}"


def _tensors(card: Card) -> str:
    labels = ", torch.from_numpy(labels)" if card.snapshot.generator.config.label_size else ""
    return f"torch.from_numpy(z){labels}"


def _pixels(images: str) -> list[str]:
    return [f"pixels = ({images} * 127.5 + 127.5).round().clip(0, 255).astype('uint8')"]


KINDS: dict[str, Callable[[Card], str]] = {
    SUFFIX: _with_progan, ".onnx": _with_onnx, ".pt2": _with_export, ".ts": _with_torchscript,
    ".torchscript": _with_torchscript, ".npz": _with_official_code}
