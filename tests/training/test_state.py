"""Birth of a state, its average, and the resets of Adam."""

import numpy as np
import pytest
import torch

from progan import schedule
from progan.config import Optim
from progan.networks.layers import DenseToMaps, EqualizedLayer
from progan.training import state
from progan.training.optim import build_optimizer, clip_weights, enter_phase
from progan.training.step import update_g_ema
from tests.builders import descend, tiny_run

CPU = torch.device("cpu")


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, same, other = (state.create_state(tiny_run(seed=seed), CPU) for seed in (1, 1, 2))
    for name, weight in first.generator.state_dict().items():
        assert torch.equal(weight, same.generator.state_dict()[name])
        if name.endswith("weight"):
            assert not torch.equal(weight, other.generator.state_dict()[name])


def test_more_levels_leave_the_weights_of_the_lower_ones_alone() -> None:
    small, large = (
        state.create_state(tiny_run(resolution=size), CPU).generator.state_dict()
        for size in (16, 32)
    )
    shared = [name for name in small if "rgb" not in name]
    assert shared and all(torch.equal(small[name], large[name]) for name in shared)


def test_weights_are_standard_normal_and_scaled_when_used() -> None:
    run = tiny_run(latent_size=64, fmap_base=1024, fmap_max=64)
    for layer in state.create_state(run, CPU).generator.modules():
        if isinstance(layer, EqualizedLayer):
            n = layer.weight.numel()
            assert abs(layer.weight.std().item() - 1) < 5 / n**0.5
            assert not layer.bias.any()
            gain = {DenseToMaps: 2**0.5 / 4}.get(
                type(layer), 1 if layer.weight.shape[0] == 3 else 2**0.5
            )
            fan_in = layer.weight[0].numel()
            assert abs(layer.scale - gain / fan_in**0.5) < 1e-12


def test_the_average_moves_by_its_decay() -> None:
    current = state.create_state(tiny_run(), CPU)
    old = {name: p.clone() for name, p in current.g_ema.named_parameters()}
    with torch.no_grad():
        for parameter in current.generator.parameters():
            parameter.add_(1)
    update_g_ema(current, 0.75)
    for name, parameter in current.g_ema.named_parameters():
        torch.testing.assert_close(parameter, old[name] + 0.25)


def test_adam_is_reset_where_a_fade_starts_or_ends() -> None:
    run = tiny_run()
    current = state.create_state(run, CPU)
    resets = []
    for images_seen in range(0, 7500, 250):
        current.g_optimizer.state[current.generator.to_rgb["4x4"].bias] = {"step": 1}
        stage = schedule.stage_at(run.growth, run.network, images_seen)
        enter_phase(current, stage, run)
        if not current.g_optimizer.state:
            resets.append(images_seen)
    # The fade has begun once alpha is above 0, which it is not yet at 1500 itself.
    assert resets == [1750, 3000, 4750, 6000]


def test_without_resets_adam_keeps_its_moments() -> None:
    run = tiny_run(reset_optimizers=False)
    current = state.create_state(run, CPU)
    current.g_optimizer.state[current.generator.to_rgb["4x4"].bias] = {"step": 1}
    enter_phase(current, schedule.stage_at(run.growth, run.network, 2000), run)
    assert current.g_optimizer.state and current.phase == 1


def test_update_follows_adam_whatever_the_layout_of_the_gradient() -> None:
    """Fused Adam reads a gradient in the order of the weight's memory; it must lie the same."""
    weight = torch.nn.Parameter(
        torch.randn(2, 3, 3, 3, generator=torch.Generator().manual_seed(0)).contiguous(
            memory_format=torch.channels_last
        )
    )
    factor = torch.arange(54.0).reshape(2, 3, 3, 3) - 20.5
    before = weight.detach().clone()
    norm = descend(build_optimizer([weight], Optim()), (weight * factor).sum(), rate=0.5)
    torch.testing.assert_close(weight.detach(), before - 0.5 * factor.sign(), rtol=0, atol=1e-5)
    torch.testing.assert_close(norm, factor.norm())


def test_update_leaves_unused_weights_alone() -> None:
    used, unused = torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(2))
    descend(build_optimizer([used, unused], Optim()), used.sum(), rate=0.1)
    assert torch.equal(unused, torch.ones(2)) and not torch.equal(used, torch.ones(2))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_clipping_limits_each_element_and_the_norm_is_that_before(
    layout: torch.memory_format,
) -> None:
    weight = torch.nn.Parameter(torch.zeros(2, 3, 2, 2).contiguous(memory_format=layout))
    factor = torch.arange(24.0).reshape(2, 3, 2, 2) - 11.5
    norm = descend(torch.optim.SGD([weight]), (weight * factor).sum(), rate=1.0, clip=2.0)
    torch.testing.assert_close(weight.detach(), -factor.clamp(-2, 2), rtol=0, atol=0)
    torch.testing.assert_close(norm, factor.norm())


def test_rmsprop_by_hand() -> None:
    """v <- 0.9 v + 0.1 g^2; w <- w - rate g / (sqrt(v) + epsilon)."""
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    rms = build_optimizer([weight], Optim(optimizer="rmsprop", beta2=0.9, epsilon=1e-3))
    v, w = np.zeros(2), np.array([1.0, -2.0])
    for rate in (0.1, 0.05, 0.2):
        g = 2 * w
        v = 0.9 * v + 0.1 * g**2
        w = w - rate * g / (np.sqrt(v) + 1e-3)
        descend(rms, weight.square().sum(), rate)
        np.testing.assert_allclose(weight.detach(), w, rtol=1e-5)


def test_clipped_weights_are_all_weights_and_0_leaves_them() -> None:
    network = state.create_state(tiny_run(d_norm="batch"), CPU).discriminator
    before = [parameter.clone() for parameter in network.parameters()]
    clip_weights(network, 0.0)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))
    clip_weights(network, 0.01)
    for old, new in zip(before, network.parameters(), strict=True):
        assert torch.equal(new, old.clamp(-0.01, 0.01))
