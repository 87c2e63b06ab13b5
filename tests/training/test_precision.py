"""Training with convolutions in half precision."""

import pytest
import torch
import torch.nn.functional as F

from progan import networks
from progan.errors import UserError
from progan.networks.layers import Conv, Dense, DenseToMaps
from progan.ops import append_minibatch_stddev, pixel_norm
from progan.training.precision import HALF_DTYPES, autocast_for, require_precision
from progan.training.state import initialize
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, CPU, born, iterations, tensors

each_low = pytest.mark.parametrize("precision", HALF_DTYPES)


@each_low
def test_convolutions_are_lowered_and_scores_and_weights_are_not(precision: str) -> None:
    run = tiny_run(precision=precision)
    discriminator = networks.build_discriminator(run.network)
    initialize(discriminator, 0, "discriminator")
    seen = set()
    for layer in discriminator.modules():
        if isinstance(layer, Conv):
            layer.register_forward_hook(lambda layer, inputs, out: seen.add(out.dtype))
    with autocast_for(run, 4, CPU):
        scores = discriminator(torch.randn(4, 3, 16, 16), 4).scores
    assert seen == {HALF_DTYPES[precision]} and scores.dtype == torch.float32
    assert not torch.equal(
        scores, scores.to(HALF_DTYPES[precision]).float()
    )  # they have more digits


@each_low
@pytest.mark.parametrize("kind", ["progressive", "autoencoder"])
def test_of_dense_layers_the_one_that_makes_maps_is_lowered(
    precision: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(kind=kind, precision=precision)
    generator = networks.build_generator(run.network)
    discriminator = networks.build_discriminator(run.network)
    running: list[type] = []
    seen = set()
    multiply = F.linear

    def multiply_and_note(*operands: torch.Tensor) -> torch.Tensor:
        product = multiply(*operands)
        seen.add((running[-1], product.dtype))
        return product

    monkeypatch.setattr(F, "linear", multiply_and_note)
    for network in (generator, discriminator):
        initialize(network, 0, "networks")
        for layer in network.modules():
            if isinstance(layer, Dense | DenseToMaps):
                layer.register_forward_pre_hook(lambda layer, inputs: running.append(type(layer)))
    with autocast_for(run, 4, CPU):
        discriminator(generator(torch.randn(4, 8), torch.zeros(4, 0), 4), 4)
    assert seen == {(DenseToMaps, HALF_DTYPES[precision]), (Dense, torch.float32)}


@each_low
def test_below_a_resolution_nothing_is_lowered(precision: str) -> None:
    run = tiny_run(precision=precision, low_precision_from=16)
    for level, expected in ((3, torch.float32), (4, HALF_DTYPES[precision])):
        with autocast_for(run, level, CPU):
            assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


@pytest.mark.parametrize("precision, error", [("bf16", 0.05), ("fp16", 0.01)])
def test_a_step_is_that_of_float32_but_for_rounding(precision: str, error: float) -> None:
    """Gradients differ by parts in a hundred; weights, moments and average stay float32."""
    common = COMMON | {"augment": "adaptive", "augment_p": 0.4}
    run, lower = tiny_run(**common), tiny_run(**common, precision=precision)
    full, low = born(run, torch.float32), born(lower, torch.float32)
    for scale in low.controllers.keys() - full.controllers.keys():
        low.controllers[scale].fill_(12.0)  # far from overflow
    expected, found = iterations(run, full, 1), iterations(lower, low, 1)
    assert {value.dtype for value in tensors(low).values()} == {torch.float32}
    names = (
        "loss/critic",
        "loss/generator",
        "gradient/norm",
        "gradient/critic-weights",
        "gradient/generator-weights",
    )
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=error, atol=error, msg=name)
    assert any(not torch.equal(found[name], expected[name]) for name in names)


@pytest.mark.parametrize("op", [pixel_norm, lambda x: append_minibatch_stddev(x, 4)])
def test_sums_are_taken_in_float32(op) -> None:
    """Of numbers whose squares have more digits than bfloat16."""
    x = torch.randn(4, 512, 2, 2, generator=torch.Generator().manual_seed(0)) + 3
    low = x.bfloat16()
    torch.testing.assert_close(op(low), op(low.float()).bfloat16(), rtol=2**-7, atol=0)


def test_a_device_that_cannot_skip_steps_has_no_fp16() -> None:
    for precision, kind in (("fp16", "cpu"), ("fp16", "cuda"), ("bf16", "mps")):
        require_precision(tiny_run(precision=precision), torch.device(kind))
    with pytest.raises(UserError, match="--precision fp16 .* mps. Choose --precision bf16"):
        require_precision(tiny_run(precision="fp16"), torch.device("mps"))
