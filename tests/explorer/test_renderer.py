"""Images of the explorer, shown and saved."""

import io
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from progan.api import TrainedGenerator
from progan.cli.generate import main as generate
from progan.errors import UserError
from progan.explorer import renderer
from progan.explorer.renderer import Renderer, file_stem, save_image_and_latent
from progan.explorer.view_state import ImageSpec, NamedLatent, PathStep, add_step, compute_latent
from progan.sampling.snapshot_file import save_network
from progan.sampling.truncation import find_centres
from tests.builders import tiny_snapshot

WALK = NamedLatent(7, (PathStep(25, 9), PathStep(60, 12)))


def make_renderer(label_names: tuple[str, ...] = (), **settings: object) -> Renderer:
    return Renderer(
        snapshot=tiny_snapshot(label_names, **settings),  # type: ignore[arg-type]
        file=Path("x.safetensors"),
        fingerprint="0" * 12,
    )


@pytest.mark.parametrize("level", [2, 3, 4])
def test_a_seed_is_drawn_as_everywhere(level: int) -> None:
    here = make_renderer(("cat", "dog", "owl"), alpha=0.5)
    expected = TrainedGenerator(here.snapshot).render([7], resolution=1 << level)[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(NamedLatent(7), None, level)), expected)


def test_a_class_may_be_another_than_that_of_the_seed() -> None:
    here = make_renderer(("cat", "dog", "owl"))
    expected = TrainedGenerator(here.snapshot).render([7], "owl")[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(NamedLatent(7), 2, 4)), expected)
    assert [here.class_of(ImageSpec(NamedLatent(7), kind, 4)) for kind in (None, 2)] == [1, 2]


def test_places_between_have_the_class_of_their_seed() -> None:
    here = make_renderer(("cat", "dog", "owl"))
    place = add_step(NamedLatent(7), 8, 100)
    expected = TrainedGenerator(here.snapshot).render([8], "dog")[0]
    np.testing.assert_array_equal(here.pixels(ImageSpec(place, None, 4)), expected)


@pytest.mark.parametrize("psi", [0, 70, 200])
def test_truncation_is_that_of_render(psi: int) -> None:
    here = make_renderer(("cat", "dog", "owl"))
    for index in range(3):  # to the last bit, in which images may differ
        pixels = here.pixels(ImageSpec(NamedLatent(7), index, 4, truncation=psi))
        assert pixels.shape == (16, 16, 3)
        (centre,) = find_centres(here.snapshot, torch.eye(3)[index : index + 1])
        assert torch.equal(here._centres[index, 4], centre)
    expected = TrainedGenerator(here.snapshot).render([7], "owl", truncation=psi / 100)[0]
    spec = ImageSpec(NamedLatent(7), 2, 4, truncation=psi)
    np.testing.assert_array_equal(here.pixels(spec), expected)
    assert (here.pixels(spec) != here.pixels(ImageSpec(NamedLatent(7), 2, 4))).any()


def test_truncation_without_classes_is_that_of_render() -> None:
    here = make_renderer(())
    pixels = here.pixels(ImageSpec(NamedLatent(7), None, 4, truncation=30))
    expected = TrainedGenerator(here.snapshot).render([7], truncation=0.3)[0]
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_files_have_all_channels(channels: int, mode: str) -> None:
    here = make_renderer(channels=channels)
    with Image.open(io.BytesIO(here.png(ImageSpec(NamedLatent(7), None, 4)))) as image:
        assert (image.format, image.mode, image.size) == ("PNG", mode, (16, 16))
        np.testing.assert_array_equal(
            np.asarray(image).reshape(16, 16, channels),
            here.pixels(ImageSpec(NamedLatent(7), None, 4)),
        )


def test_it_knows_what_it_can_draw() -> None:
    here = make_renderer(("cat", "dog"))
    assert here.levels == (2, 3, 4) and here.class_names == ("cat", "dog")
    assert here.can_render(ImageSpec(NamedLatent(7), 1, 4))
    assert not here.can_render(ImageSpec(NamedLatent(7), 2, 4))
    assert not here.can_render(ImageSpec(NamedLatent(7), None, 5))
    assert not here.can_render(ImageSpec(NamedLatent(7), None, 4, truncation=201))
    assert not make_renderer().can_render(ImageSpec(NamedLatent(7), 0, 4))


@pytest.mark.parametrize(
    "spec",
    [
        ImageSpec(NamedLatent(7), None, 4),
        ImageSpec(WALK, None, 4),
        ImageSpec(WALK, 2, 3),
        ImageSpec(WALK, 2, 3, truncation=70),
        ImageSpec(NamedLatent(7), None, 4, truncation=130),
    ],
)
def test_the_command_draws_it_again(tmp_path: Path, spec: ImageSpec) -> None:
    file = tmp_path / "a network.safetensors"
    save_network(file, tiny_snapshot(("cat", "dog", "an owl"), alpha=0.5))
    here = Renderer(
        snapshot=tiny_snapshot(("cat", "dog", "an owl"), alpha=0.5), file=file, fingerprint="0" * 12
    )
    found = save_image_and_latent(here, spec, tmp_path / "new", {"Software": "progan"})
    words = shlex.split(found.command)
    assert words[:2] == ["python", "generate.py"]
    assert CliRunner().invoke(generate, words[2:], catch_exceptions=False).exit_code == 0
    with (
        Image.open(found.image) as image,
        Image.open(found.image.parent / "again" / "latent0000.png") as again,
    ):
        np.testing.assert_array_equal(np.asarray(image), np.asarray(again))
        assert image.info["Again"] == found.command and image.info["Software"] == "progan"


def test_the_latent_is_a_row(tmp_path: Path) -> None:
    found = save_image_and_latent(make_renderer(), ImageSpec(WALK, None, 4), tmp_path, {})
    assert found.latent.name == "seed0007-2steps-latent.npy"  # seed0007-2steps.npy: a picture
    latent = np.load(found.latent)
    assert latent.dtype == np.float32
    np.testing.assert_array_equal(latent, compute_latent(WALK, 8).numpy())


def test_a_command_that_is_not_utf8_is_written_with_a_replacement(tmp_path: Path) -> None:
    renderer = replace(make_renderer(), file=tmp_path / "caf\udce9.safetensors")
    found = save_image_and_latent(renderer, ImageSpec(WALK, None, 4), tmp_path, {})
    with Image.open(found.image) as image:
        assert "caf?" in image.info["Again"]


def test_pictures_say_where_they_are(tmp_path: Path) -> None:
    found = save_image_and_latent(make_renderer(), ImageSpec(WALK, None, 4), tmp_path, {})
    with Image.open(found.image) as image:
        assert image.info["Latent"] == "seed 7, then 25% of the way to seed 9, 60% to seed 12"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "seed0007-2-latent.npy").write_text("mine")
    names = [
        save_image_and_latent(
            make_renderer(), ImageSpec(NamedLatent(7), None, 4), tmp_path, {}
        ).image.name
        for _ in range(3)
    ]
    assert names == ["seed0007.png", "seed0007-3.png", "seed0007-4.png"]
    assert (tmp_path / "seed0007-2-latent.npy").read_text() == "mine"


def test_names() -> None:
    here = make_renderer(("cat", "dog"))
    assert file_stem(here, ImageSpec(NamedLatent(7), None, 4)) == "seed0007"
    assert (
        file_stem(here, ImageSpec(NamedLatent(7, (PathStep(5, 8),)), 0, 2))
        == "seed0007-1step-class0-4px"
    )
    assert file_stem(here, ImageSpec(NamedLatent(7), None, 4, 70)) == "seed0007-trunc70"


def test_a_failure_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(renderer, "save_png", fail)
    with pytest.raises(OSError, match="full"):
        save_image_and_latent(make_renderer(), ImageSpec(NamedLatent(7), None, 4), tmp_path, {})
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="there is a file of that name"):
        save_image_and_latent(
            make_renderer(), ImageSpec(NamedLatent(7), None, 4), tmp_path / "file", {}
        )
