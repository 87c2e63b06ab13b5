"""A picture and its latent as files, beside whatever is there already."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

from progan.explorer.looks import Sight
from progan.explorer.painter import Painter
from progan.explorer.places import in_words, latent_at
from progan.images import save_png
from progan.invocation import command
from progan.runtime.files import make_folder
from progan.sampling.image_files import save_array


class Saved(NamedTuple):
    """Two files, and the command that draws the first one from the second."""

    picture: Path
    latent: Path
    command: str


def save(painter: Painter, sight: Sight, folder: Path, text: Mapping[str, str]) -> Saved:
    """Write the picture as PNG and its latent as .npy, float32 [1, latent_size].

    Args:
        text: Where pictures come from, to be written into them; this adds which one it is.
    """
    pixels, latent = painter.pixels(sight), latent_at(sight.place, painter.latent_size)
    make_folder(folder)
    with _vacant(folder, stem(painter, sight)) as picture:
        path = _latent_of(picture)
        command = again(painter, sight, path)
        save_array(path, latent.numpy())
        save_png(picture, pixels, {**text, "Latent": in_words(sight.place), "Again": command})
    return Saved(picture, path, command)


def stem(painter: Painter, sight: Sight) -> str:
    """'seed0007-3steps-class2-16px': only the seed is always there."""
    steps, kind, top = len(sight.place.steps), sight.kind, painter.levels[-1]
    return "-".join([f"seed{sight.place.seed:04d}",
                     *[f"{steps}step{'s' * (steps > 1)}"] * bool(steps),
                     *[f"class{kind}"] * (kind is not None),
                     *[f"{1 << sight.level}px"] * (sight.level != top)])


def again(painter: Painter, sight: Sight, latent: Path) -> str:
    """What draws the same picture from its latent."""
    kind, folder = painter.kind_of(sight), latent.parent / "again"
    words = ["--network", painter.file, "--latents", latent]
    words += [] if kind is None else ["--class", painter.kinds[kind]]
    words += [] if sight.level == painter.levels[-1] else ["--resolution", 1 << sight.level]
    return command("generate", *words, "--outdir", folder, portable=True)


def _latent_of(picture: Path) -> Path:
    """Not just .npy for .png: so generate.py --float calls a picture's own numbers."""
    return picture.with_name(f"{picture.stem}-latent.npy")


@contextmanager
def _vacant(folder: Path, name: str) -> Iterator[Path]:
    """A .png that nobody has, nor its latent: it is taken, and given back after a failure."""
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    picture = next(path for each in names if _take(path := folder / f"{each}.png"))
    try:
        yield picture
    except BaseException:
        for path in (picture, _latent_of(picture)):
            path.unlink(missing_ok=True)
        raise


def _take(picture: Path) -> bool:
    """Make the file, empty; False if there is one already."""
    if _latent_of(picture).exists():
        return False
    try:
        picture.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
