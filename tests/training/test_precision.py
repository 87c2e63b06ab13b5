"""Training with convolutions in bfloat16."""

import pytest
import torch

from progan import networks
from progan.networks.layers import Conv
from progan.ops.minibatch_stddev import minibatch_stddev
from progan.ops.normalize import pixel_norm
from progan.training.precision import lowered
from progan.training.state import initialize
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, CPU, born, iterations, tensors

BF16 = {"precision": "bf16"}


def test_convolutions_are_lowered_and_scores_and_weights_are_not() -> None:
    run = tiny_run(**BF16)
    discriminator = networks.discriminator(run.network)
    initialize(discriminator, 0, "discriminator")
    seen = set()
    for layer in discriminator.modules():
        if isinstance(layer, Conv):
            layer.register_forward_hook(lambda layer, inputs, out: seen.add(out.dtype))
    with lowered(run, 4, CPU):
        scores = discriminator(torch.randn(4, 3, 16, 16), 4).scores
    assert seen == {torch.bfloat16} and scores.dtype == torch.float32
    assert len(set((scores * 256).frac().abs().tolist())) > 1  # more digits than bfloat16 has


def test_below_a_resolution_nothing_is_lowered() -> None:
    run = tiny_run(**BF16, bf16_from=16)
    for level, expected in ((3, torch.float32), (4, torch.bfloat16)):
        with lowered(run, level, CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


def test_a_step_is_that_of_float32_but_for_rounding() -> None:
    """Gradients differ by parts in a hundred; weights, moments and average stay float32."""
    common = COMMON | {"augment": "adaptive", "augment_p": 0.4}
    full, low = (born(tiny_run(**common, **more), torch.float32) for more in ({}, BF16))
    expected = iterations(tiny_run(**common), full, 1)
    found = iterations(tiny_run(**common, **BF16), low, 1)
    assert {value.dtype for value in tensors(low).values()} == {torch.float32}
    names = ("loss/critic", "loss/generator", "gradient/norm", "gradient/critic-weights",
             "gradient/generator-weights")
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=0.05, atol=0.05, msg=name)
    assert any(not torch.equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("op", [pixel_norm, lambda x: minibatch_stddev(x, 4)])
def test_sums_are_taken_in_float32(op) -> None:
    """Of numbers whose squares have more digits than bfloat16."""
    x = torch.randn(4, 512, 2, 2, generator=torch.Generator().manual_seed(0)) + 3
    low = x.bfloat16()
    torch.testing.assert_close(op(low), op(low.float()).bfloat16(), rtol=2**-7, atol=0)
