"""Networks of pytorch_GAN_zoo's PGAN: the same functions here."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from progan import networks as nets
from progan.config import Network
from progan.errors import UserError
from progan.interop.conversion import convert, read_model
from progan.interop.load import import_foreign, load_snapshot
from progan.interop.zoo import infer_fmap_base
from progan.sizes import MIN_LEVEL
from tests.interop import zoo_files
from tests.interop.zoo_files import SETTINGS, BaseConfig, judge, painter, write
from tests.reference import zoo
from tests.runtime.attacks import Attack

CPU = torch.device("cpu")
HERE = Path(__file__).parent


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("alpha", [0.0, 0.25])
@pytest.mark.parametrize("as_dictionary", [False, True])
def test_both_networks_compute_the_same(
    tmp_path: Path, zipped: bool, alpha: float, as_dictionary: bool
) -> None:
    settings = SETTINGS | {"alpha": alpha}
    path = write(
        tmp_path / "x.pth",
        zipped=zipped,
        config=settings if as_dictionary else BaseConfig(**settings),
    )
    trained = read_model(path)
    assert trained.network == Network(
        resolution=16, latent_size=6, fmap_base=32, fmap_max=8, fused_scaling=False, pixel_bias=True
    )
    assert (trained.level, trained.alpha) == (4, 1 - alpha)
    latents = torch.randn(4, 6, generator=torch.Generator().manual_seed(3)).double()
    weight = torch.tensor(1 - alpha).double() if alpha else None
    generator = nets.build_generator(trained.network).double()
    discriminator = nets.build_discriminator(trained.network).double()
    for role, theirs in (("generator", painter()), ("average", painter(2))):
        generator.load_state_dict(trained.weights[role])
        with torch.no_grad():
            images = generator(latents, torch.zeros(4, 0), 4, weight)
        torch.testing.assert_close(
            images, zoo.draw(doubled(theirs), latents, 2, alpha), rtol=1e-5, atol=1e-5
        )
    discriminator.load_state_dict(trained.weights["discriminator"])
    with torch.no_grad():
        scores = discriminator(images, 4, weight).scores
    torch.testing.assert_close(
        scores, zoo.judge(doubled(judge()), images, 2, alpha)[:, 0], rtol=1e-5, atol=1e-5
    )


def doubled(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """In float64, so that only the rounding of the weights is left."""
    return {name: tensor.double() for name, tensor in weights.items()}


def test_a_file_that_the_zoo_wrote_draws_the_same() -> None:
    """Saved by the zoo's own code, which drew the images and scored them."""
    with np.load(HERE / "golden" / "zoo-16-expected.npz") as expected:
        latents, images = expected["latents"], expected["images"]
        scores = expected["scores"]
    trained = read_model(HERE / "golden" / "zoo-16.pth")
    snapshot = load_snapshot(HERE / "golden" / "zoo-16.pth", CPU)
    discriminator = nets.build_discriminator(trained.network)
    discriminator.load_state_dict(trained.weights["discriminator"])
    alpha = torch.tensor(trained.alpha)
    assert trained.alpha == 0.75
    with torch.no_grad():
        drawn = snapshot.generator(torch.from_numpy(latents), torch.zeros(4, 0), 4, alpha)
        found = discriminator(torch.from_numpy(images), 4, alpha).scores
    np.testing.assert_allclose(drawn, images, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found, scores[:, 0], rtol=1e-4, atol=1e-4)


def test_a_scale_without_weight_is_not_drawn(tmp_path: Path) -> None:
    trained = read_model(write(tmp_path / "x.pth", config=SETTINGS | {"alpha": 1}))
    assert (trained.level, trained.alpha) == (3, 1.0)


def test_older_names_and_missing_averages(tmp_path: Path) -> None:
    """Some versions have no `.module` in their names, others one before."""
    plain = {name.replace(".module", ""): tensor for name, tensor in painter().items()}
    wrapped = {f"module.{name}": tensor for name, tensor in painter().items()}
    for number, names in enumerate((plain, wrapped)):
        path = write(tmp_path / f"{number}.pth", netG=names, avgG=names)
        expected = read_model(write(tmp_path / "x.pth", avgG=painter()))
        for role in ("generator", "average"):
            weights = read_model(path).weights[role]
            assert all(
                torch.equal(weights[name], tensor)
                for name, tensor in expected.weights[role].items()
            )
    torch.save({"config": SETTINGS, "netG": painter()}, tmp_path / "alone.pth")
    trained = read_model(tmp_path / "alone.pth")
    assert trained.weights.keys() == {"generator", "average"}


@given(
    network=st.builds(
        Network,
        resolution=st.sampled_from([4, 64, 1024]),
        fmap_base=st.integers(10, 16).map(lambda power: 1 << power),
        fmap_max=st.integers(1, 9).map(lambda power: 1 << power),
    )
)
def test_widths_are_found_from_the_layers(network: Network) -> None:
    wanted = [network.feature_maps(level) for level in range(MIN_LEVEL, network.max_level + 1)]
    found = Network(
        resolution=network.resolution, fmap_base=infer_fmap_base(wanted), fmap_max=wanted[0]
    )
    assert wanted == [
        found.feature_maps(level) for level in range(MIN_LEVEL, network.max_level + 1)
    ]


def test_settings_that_shapes_do_not_tell(tmp_path: Path) -> None:
    trained = read_model(
        write(
            tmp_path / "x.pth",
            netD=judge(extra=0),
            config=SETTINGS | {"lossCriterion": "DCGAN", "equalizedlR": False},
        )
    )
    assert trained.network.stddev_group == 0
    assert trained.network.output == "tanh" and not trained.network.equalized_lr
    weight = trained.weights["generator"]["to_rgb.16x16.weight"]
    assert torch.equal(weight, painter()["toRGBLayers.2.module.weight"])


def test_the_official_code_has_no_such_networks(tmp_path: Path) -> None:
    path = write(tmp_path / "x.pth")
    with pytest.raises(UserError, match="x.pth cannot be converted .* pixel_bias: False -> True"):
        convert(read_model(path), path, tmp_path / "y.npz")
    assert not (tmp_path / "y.npz").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"config": SETTINGS | {"attribKeysOrder": {"Gender": {"order": 0}}}}, "attributes at"),
        ({"config": SETTINGS | {"leakyReluLeak": 0.1}}, "slope 0.1"),
        ({"config": SETTINGS | {"alpha": 7}}, "not a file of pytorch_GAN_zoo's PGAN"),
        ({"netG": {}}, "not a file of pytorch_GAN_zoo's PGAN"),
        ({"netG": painter(depths=(8, 6, 4))}, "feature maps 8, 6, 4 are not supported"),
        ({"netD": painter()}, "not a file of pytorch_GAN_zoo's PGAN"),
        ({"netG": painter() | {"formatLayer.module.bias": torch.zeros(3)}}, "has shape 3"),
        (
            {"netG": painter() | {"formatLayer.module.bias": torch.full((128,), torch.nan)}},
            "not finite",
        ),
    ],
)
def test_other_content_is_refused_in_words(tmp_path: Path, content: Any, said: str) -> None:
    path = write(tmp_path / "x.pth", **content)
    with pytest.raises(UserError) as caught:
        read_model(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize(
    ("function", "words", "name"),
    [
        (os.system, "touch {}", "posix.system"),
        (eval, "open('{}', 'w')", "eval"),
        (os.mkdir, "{}", "posix.mkdir"),
    ],
)
def test_calls_are_refused_by_name_and_not_made(
    tmp_path: Path, function: Callable[..., Any], words: str, name: str, zipped: bool
) -> None:
    proof = tmp_path / "proof"
    path = write(tmp_path / "x.pth", zipped=zipped, more=Attack(function, words.format(proof)))
    with pytest.raises(UserError, match=rf"x.pth is refused. The pickle asks for \w*\.?{name},"):
        read_model(path)
    assert not proof.exists()


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_cut_files_are_refused(tmp_path: Path, zipped: bool, part: float) -> None:
    path = write(tmp_path / "x.pth", zipped=zipped)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(UserError, match="x.pth"):
        read_model(path)


def test_other_files_of_torch_are_not_the_zoos(tmp_path: Path) -> None:
    torch.save({"format": "netGames"}, tmp_path / "state.pt")
    with pytest.raises(UserError, match="state.pt is a PyTorch file of another program"):
        import_foreign(tmp_path / "state.pt")


def test_seeds_draw_pictures_of_the_average(tmp_path: Path) -> None:
    snapshot = load_snapshot(write(tmp_path / "x.pth"), CPU)
    latents = torch.randn(1, 6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(
        snapshot.generator(latents, torch.zeros(1, 0), snapshot.level),
        zoo.draw(zoo_files.painter(2), latents, 2, 0.0),
        rtol=1e-4,
        atol=1e-4,
    )
