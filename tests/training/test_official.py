"""Losses, gradients and training steps against the official TensorFlow code, in float64."""

import math

import numpy as np
import pytest
import torch

from progan import networks as nets
from progan.config import LossConfig, Network, Optim, Run
from progan.losses import LossNoise
from progan.training import state as states
from progan.training.step import discriminator_step, generator_step
from progan.training.step_inputs import (
    DiscriminatorInputs,
    GeneratorInputs,
    LevelAlpha,
    preprocess_reals,
)
from tests.losses.summarized import discriminator_loss as compute_discriminator_loss
from tests.losses.summarized import generator_loss
from tests.reference import official

NET32 = Network(resolution=32, latent_size=64, fmap_base=256, fmap_max=64)
PLACES = {"0.0": LevelAlpha(5, None), "0.4": LevelAlpha(5, torch.tensor(0.6, dtype=torch.float64))}


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "golden" / "losses_net32_f64.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def trajectory(shared):
    with np.load(shared / "golden" / "trajectory_fixed_f64.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def networks(golden):
    generator, discriminator = (
        nets.build_generator(NET32).double(),
        nets.build_discriminator(NET32).double(),
    )
    generator.load_state_dict(official.state_dict(golden, "G/"), strict=False)
    discriminator.load_state_dict(official.state_dict(golden, "D/"), strict=False)
    return generator, discriminator


def discriminator_loss(golden, networks, lod, **objective):
    generator, discriminator = networks
    position = PLACES[lod]
    tensors = {name: torch.from_numpy(golden[name]) for name in ("reals", "mix", "latents_D")}
    tensors = {name: tensor.double() for name, tensor in tensors.items()}
    with torch.no_grad():
        fakes = generator(tensors["latents_D"], torch.zeros(8, 0), position.level, position.alpha)
    # The golden reals were not blended for lod 0.4: the loss gets them as they are.
    return compute_discriminator_loss(
        lambda x: discriminator(x, position.level, position.alpha), LossConfig(**objective),
        reals=tensors["reals"], fakes=fakes, labels=torch.zeros(8, 0),
        noise=LossNoise(tensors["mix"]), controllers={},
    )  # fmt: skip


def assert_gradients(loss, network, golden, prefix):
    expected = official.state_dict(golden, prefix)
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    compared = [
        (name, gradient)
        for name, gradient in zip(names, gradients, strict=True)
        if name in expected
    ]
    assert len(compared) == len(expected) > 10
    for name, gradient in compared:
        actual = torch.zeros_like(expected[name]) if gradient is None else gradient
        scale = max(float(expected[name].abs().max()), 1e-30)
        np.testing.assert_allclose(
            actual / scale, expected[name] / scale, rtol=0, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("lod", ["0.0", "0.4"])
@pytest.mark.parametrize(
    "name, objective",
    [
        ("D_loss_t1", {}),
        ("D_loss_t750", {"gp_target": 750}),
        ("D_loss_t1_noeps", {"drift": 0}),
        ("D_loss_t1_nogp", {"gp_weight": 0}),
        ("D_loss_t1_nogp_noeps", {"gp_weight": 0, "drift": 0}),
    ],
)
def test_critic_loss(golden, networks, lod, name, objective):
    loss, _ = discriminator_loss(golden, networks, lod, **objective)
    assert math.isclose(loss.item(), golden[f"{name}/lod{lod}"].mean(), rel_tol=1e-9)


@pytest.mark.parametrize("lod", ["0.0", "0.4"])
def test_critic_terms(golden, networks, lod):
    _, terms = discriminator_loss(golden, networks, lod)
    for ours, theirs in [
        ("scores/real", "term_real_scores"),
        ("scores/fake", "term_fake_scores"),
        ("gradient/norm", "term_mixed_norms"),
        ("loss/penalty", "gp_weighted_t1"),
    ]:
        expected = golden[f"{theirs}/lod{lod}"].mean()
        assert math.isclose(terms[ours].item(), expected, rel_tol=1e-9), ours


@pytest.mark.parametrize("lod", ["0.0", "0.4"])
@pytest.mark.parametrize("target", [1, 750])
def test_critic_gradients(golden, networks, lod, target):
    loss, _ = discriminator_loss(golden, networks, lod, gp_target=target)
    assert_gradients(loss, networks[1], golden, f"grad_D_loss_t{target}/lod{lod}/")


@pytest.mark.parametrize("lod", ["0.0", "0.4"])
def test_generator_loss_and_gradients(golden, networks, lod):
    generator, discriminator = networks
    position = PLACES[lod]
    latents = torch.from_numpy(golden["latents_G"]).double()
    fakes = generator(latents, torch.zeros(8, 0), position.level, position.alpha)
    loss, _ = generator_loss(
        lambda x: discriminator(x, position.level, position.alpha),
        LossConfig(),
        fakes=fakes,
        labels=torch.zeros(8, 0),
    )
    assert math.isclose(loss.item(), golden[f"G_loss/lod{lod}"].mean(), rel_tol=1e-9)
    assert_gradients(loss, generator, golden, f"grad_G_loss/lod{lod}/")


def tensorflow_epsilon(step: int) -> float:
    """TensorFlow adds epsilon after it folded the bias correction into the rate."""
    config = Optim()
    return config.epsilon / math.sqrt(1 - config.beta2 ** (step + 1))


def test_five_alternations(trajectory):
    run = Run(network=NET32)
    state = states.create_state(run, torch.device("cpu"))
    for network, prefix in [
        (state.generator, "init/G/"),
        (state.g_ema, "init/Gs/"),
        (state.discriminator, "init/D/"),
    ]:
        network.double().load_state_dict(official.state_dict(trajectory, prefix))
    position = LevelAlpha(5, None)
    none = torch.zeros(8, 0)
    for step in range(5):
        arrays = {
            name: torch.from_numpy(trajectory[f"step{step}/{name}"])
            for name in ("reals_u8", "reals_processed", "latents_D", "mix", "latents_G")
        }
        rate = float(trajectory[f"step{step}/lr"])
        for optimizer in (state.d_optimizer, state.g_optimizer):
            optimizer.param_groups[0]["eps"] = tensorflow_epsilon(step)
        reals = preprocess_reals(arrays["reals_u8"].permute(0, 2, 3, 1))
        np.testing.assert_allclose(reals, arrays["reals_processed"], rtol=0, atol=1e-6)
        inputs = DiscriminatorInputs(
            arrays["reals_processed"].double(),
            none,
            arrays["latents_D"].double(),
            LossNoise(arrays["mix"].double()),
        )
        discriminator = discriminator_step(state, run, position, rate, inputs)
        generator = generator_step(
            state, run, position, rate, GeneratorInputs(arrays["latents_G"].double(), none)
        )
        for statistics, name in [(discriminator, "critic"), (generator, "generator")]:
            expected = trajectory[f"step{step}/{name[0].upper().replace('C', 'D')}_loss"].mean()
            assert math.isclose(statistics[f"loss/{name}"].item(), expected, rel_tol=1e-9)
    for network, prefix in [
        (state.generator, "final/G/"),
        (state.g_ema, "final/Gs/"),
        (state.discriminator, "final/D/"),
    ]:
        expected = official.state_dict(trajectory, prefix)
        for name, parameter in network.named_parameters():
            np.testing.assert_allclose(
                parameter.detach(), expected[name], rtol=0, atol=1e-9, err_msg=prefix + name
            )
