"""Small things that many tests need."""

import os
import signal
import subprocess
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner, Result
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.optim import Optimizer

from metrics.samples import ImageSample, ImageShape
from metrics.sources import SampleSource
from progan import networks as nets
from progan.config import Network, Run, override
from progan.data.image_source import ImageSource, Sample
from progan.data.reader import Dataset
from progan.data.writer import write_dataset
from progan.sampling.snapshot_file import Snapshot
from progan.sizes import SQUARE, Size, level_of, size_at_level
from progan.training.optim import trainable_parameters, update_weights
from progan.training.state import initialize

TINY: dict[str, object] = dict(
    resolution=16, latent_size=8, fmap_base=64, fmap_max=8, total_kimg=7.5, training_kimg=1.5,
    transition_kimg=1.5, batch=64, minibatch_repeats=2, tick_kimg=1.0, tick_kimg_at=(),
    image_ticks=2, snapshot_ticks=1, keep_states=99, g_lr=0.002, d_lr=0.002, preflight="none",
)  # fmt: skip


def tiny_run(**overrides: object) -> Run:
    """Settings of a run of seconds: 4x4 to 16x16 with two fades, ticks of 1,000 images."""
    return override(Run(preset="tiny"), TINY | overrides)


def tiny_options(**overrides: object) -> list[str]:
    """The same settings as options of train.py."""
    words: list[str] = []
    for name, value in (TINY | overrides).items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", "" if value == () else str(value)]
    return words


def noise_dataset(
    dest: Path,
    *,
    resolution: int = 16,
    channels: int = 3,
    count: int = 40,
    classes: int = 0,
    holdout: float = 0.0,
    base: Size = SQUARE,
) -> Dataset:
    """A dataset of seeded noise; image i has class i mod `classes`."""
    shape = (count, *size_at_level(base, level_of(resolution)), channels)
    images = np.random.RandomState(1).randint(0, 256, shape).astype(np.uint8)
    write_dataset(
        ImageSource(
            description="noise", resolution=resolution, base=base, channels=channels, count=count,
            read=lambda row: Sample(images[row]),
            labels=np.arange(count) % classes if classes else None,
            label_names=tuple(f"class-{index}" for index in range(classes)),
        ),
        dest, options={}, holdout=holdout,
    )  # fmt: skip
    return Dataset.open(dest)


def image_sample(images: np.ndarray) -> ImageSample:
    """Images uint8 [N, C, H, W] as metrics take them."""
    nhwc = images.transpose(0, 2, 3, 1)
    return ImageSample(
        description="test",
        rows=np.arange(len(nhwc)),
        size=ImageShape(*nhwc.shape[1:]),
        read=lambda rows: nhwc[rows],
    )


def tiny_snapshot(
    label_names: tuple[str, ...] = (),
    *,
    channels: int = 3,
    level: int = 4,
    alpha: float = 1.0,
    base: Size = SQUARE,
) -> Snapshot:
    """A generator of resolution 16 with seeded weights."""
    generator = nets.build_generator(
        Network(
            resolution=16, latent_size=8, fmap_base=64, fmap_max=8, base_height=base.height,
            base_width=base.width, channels=channels, label_size=len(label_names),
        ),
    )  # fmt: skip
    initialize(generator, 5, "generator")
    return Snapshot(
        generator=generator.requires_grad_(False),
        level=level,
        alpha=alpha,
        images_seen=1_234_000,
        label_names=label_names,
    )


def source_of(images: np.ndarray, held_out: tuple[int, ...] = ()) -> SampleSource:
    """Images uint8 [N, C, H, W] as a source; the rows held out are not training images."""
    everything = image_sample(images)
    return SampleSource(
        description="test",
        size=everything.size,
        count=len(images),
        held_out=np.array(held_out, np.int64),
        sample=lambda rows: replace(everything, rows=rows),
    )


class Energies(torch.nn.Module):
    """Seeded random filters of 3x3 px, and features that say how strongly images answer them.

    Two thirds of the filters see contours alone, so that blur counts as much as colours do.
    """

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(24, 3, 3, 3, generator=torch.Generator().manual_seed(0))
        weight[:16] -= weight[:16].mean((2, 3), keepdim=True)
        self.weight = torch.nn.Parameter(weight / 27**0.5)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        answers = torch.conv2d(images.float() / 127.5 - 1, self.weight)
        features = answers.square().mean((2, 3)).add(1e-4).log()
        return features, features[:, 16:]


def detector_file(path: Path, network: torch.nn.Module) -> Path:
    """Save a network as TorchScript, as `--detector` takes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated, and detectors still use it
        torch.jit.script(network).save(str(path))
    return path


def split_words(arguments: Iterable[object]) -> list[str]:
    """Split strings such as '--seed 1' into words, and convert all else to strings."""
    words = (each.split(" ") if isinstance(each, str) else [str(each)] for each in arguments)
    return [word for each in words for word in each]


def call(command: object, *words: object) -> Result:
    """Call a command in this process; exceptions that it does not report are raised."""
    return CliRunner().invoke(
        command,
        [str(word) for word in words],  # type: ignore[arg-type]
        catch_exceptions=False,
    )


def message(result: Result) -> str:
    """Return the error message of a failed command, on one line; never a traceback."""
    assert result.exit_code != 0
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def descend(optimizer: Optimizer, loss: Tensor, rate: float, clip: float = 0.0) -> Tensor:
    """One step of an optimizer down a loss."""
    gradients = torch.autograd.grad(loss, trainable_parameters(optimizer), allow_unused=True)
    return update_weights(optimizer, gradients, rate, clip)


def _hear() -> None:
    for number in (signal.SIGINT, signal.SIGHUP):  # else those of a shell's job, and of nohup
        signal.signal(number, signal.SIG_DFL)


@contextmanager
def in_foreground(*command: object) -> Iterator[subprocess.Popen[str]]:
    """Start a command as a terminal does: in a group of its own, and with ears for Ctrl-C.

    A background job of a shell ignores Ctrl-C, and so would all that it starts. Whatever goes
    wrong, the whole group is gone in the end.
    """
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, preexec_fn=_hear,
    )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def digits_dataset(
    dest: Path, *, count: int = 400, stacked: bool = False, holdout: float = 0.0
) -> Dataset:
    """Digits of a font, moved about by chance: like create-mnist, or create-mnist-rgb."""
    random = np.random.RandomState(2)
    digits = random.randint(10, size=(count, 3 if stacked else 1))
    images = np.stack([np.dstack([_drawn(digit, random) for digit in row]) for row in digits])
    names = [f"{number:03d}" for number in range(1000)] if stacked else list("0123456789")
    write_dataset(
        ImageSource(
            description="digits", resolution=32, channels=images.shape[-1], count=count,
            read=lambda row: Sample(images[row]), label_names=tuple(names),
            labels=digits @ np.array([100, 10, 1] if stacked else [1]),
        ),
        dest, options={}, holdout=holdout,
    )  # fmt: skip
    return Dataset.open(dest)


def _drawn(digit: int, random: np.random.RandomState) -> np.ndarray:
    """One digit: uint8 [32, 32]."""
    picture = Image.new("L", (32, 32))
    ImageDraw.Draw(picture).text(
        tuple(random.randint((8, 1), (14, 6))),
        str(digit),
        fill="white",
        font=ImageFont.load_default(size=22),
    )
    return np.asarray(picture)
