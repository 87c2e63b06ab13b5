"""What a step gets: reals, labels, latents and augmentation, and what its discriminator sees."""

import pytest
import torch
from torch import Tensor

from progan.augment import augment
from progan.config import Run
from progan.training.step import (
    discriminator_step,
    generate_fakes,
    generator_loss,
    run_discriminator,
)
from progan.training.step_inputs import LevelAlpha, discriminator_inputs, generator_inputs
from tests.builders import tiny_run
from tests.training.equal_steps import COMMON, LEVEL, batch_of, born, cast

N = 32
FULL = LevelAlpha(LEVEL, None)
FADING = LevelAlpha(LEVEL, torch.tensor(0.25))


def run_with(**options: object) -> Run:
    return tiny_run(**(COMMON | {"batch": N, "mirror": False} | options))


def plain(images: Tensor, alpha: float = 1.0) -> Tensor:
    """uint8 [N, H, W, C] -> [N, C, H, W] in [-1, 1], blended with the means of 2x2 pixels."""
    x = images.permute(0, 3, 1, 2).double() / 127.5 - 1
    n, c, h, w = x.shape
    boxes = x.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5))
    return alpha * x + (1 - alpha) * boxes.repeat_interleave(2, 2).repeat_interleave(2, 3)


def reals_of(step: str, run: Run, position: LevelAlpha, images_seen: int = 0) -> Tensor:
    batch = batch_of(run, 0)
    make = {"critic": discriminator_inputs, "generator": generator_inputs}[step]
    reals = make(run, batch, position, images_seen).reals
    assert reals is not None
    return reals.double()


@pytest.mark.parametrize("step", ["critic", "generator"])
@pytest.mark.parametrize(("position", "alpha"), [(FULL, 1.0), (FADING, 0.25)])
def test_reals_fade_and_half_of_them_are_mirrored(
    step: str, position: LevelAlpha, alpha: float
) -> None:
    """Those of the generator are for paired losses."""
    expected = plain(batch_of(run_with(), 0).images, alpha)
    still = reals_of(step, run_with(objective="relativistic"), position)
    torch.testing.assert_close(still, expected, rtol=0, atol=1e-6)
    run, flipped = run_with(objective="relativistic", mirror=True), []
    for images_seen in range(8):
        for real, image in zip(reals_of(step, run, position, images_seen), expected, strict=True):
            turned = (real - image.flip(2)).abs().max() < 1e-6
            assert turned or (real - image).abs().max() < 1e-6
            flipped.append(bool(turned))
    assert abs(sum(flipped) / len(flipped) - 0.5) < 4 * 0.5 / len(flipped) ** 0.5


def test_latents_are_normal_and_those_of_the_step() -> None:
    run = run_with(latent_size=64)
    batch = batch_of(run, 0)
    drawn = [
        make(run, batch, FULL, seen).latents.double()
        for make in (discriminator_inputs, generator_inputs)
        for seen in (0, N)
    ]
    for latents in drawn:
        assert latents.shape == (N, 64)
        assert abs(latents.mean()) < 5 / latents.numel() ** 0.5
        assert abs(latents.std() - 1) < 5 / latents.numel() ** 0.5
        assert latents.abs().max() > 2.5
    assert len({latents[0, 0].item() for latents in drawn}) == 4


def test_the_critic_gets_the_labels_of_its_images_and_the_generator_others() -> None:
    run = run_with()
    batch = batch_of(run, 0)
    assert not torch.equal(batch.labels, batch.drawn_labels)
    assert torch.equal(discriminator_inputs(run, batch, FULL, 0).labels, batch.labels)
    assert torch.equal(generator_inputs(run, batch, FULL, 0).labels, batch.drawn_labels)


AUGMENTED = dict(augment="fixed", augment_p=0.5, augment_kinds="flip,color", stddev_group=0)


def test_the_critic_sees_reals_and_fakes_each_augmented_by_their_own_numbers() -> None:
    run = run_with(objective="gan", **AUGMENTED)
    state, p = born(run), torch.tensor(0.5, dtype=torch.float64)
    inputs = cast(discriminator_inputs(run, batch_of(run, 0), FULL, 0), torch.float64)
    noise = inputs.augment_noise
    fakes = generate_fakes(state, run, FULL, inputs.latents, inputs.labels).detach()
    seen: list[Tensor] = []
    state.discriminator.register_forward_pre_hook(lambda _, words: seen.append(words[0].detach()))
    discriminator_step(state, run, FULL, 0.0, inputs)
    expected = [
        augment(inputs.reals, p, noise.reals, run.augment),
        augment(fakes, p, noise.fakes, run.augment),
    ]
    assert not any(map(torch.equal, expected, (inputs.reals, fakes)))
    assert not torch.equal(noise.reals.gates, noise.fakes.gates)
    shown = torch.cat(seen)  # together, in any order of blocks
    for images in expected:
        for image in images:
            assert (shown - image).abs().flatten(1).amax(1).min() < 1e-9


@pytest.mark.parametrize("objective", ["gan", "relativistic"])
def test_the_generator_learns_from_augmented_images(objective: str) -> None:
    """Else it would learn what the discriminator never sees (Karras et al. 2020, section 2.2)."""
    run = run_with(objective=objective, **AUGMENTED)
    state, p = born(run), torch.tensor(0.5, dtype=torch.float64)
    inputs = cast(generator_inputs(run, batch_of(run, 0), FULL, 0), torch.float64)
    noise = inputs.augment_noise
    fakes = generate_fakes(state, run, FULL, inputs.latents, inputs.labels)
    expected = [augment(fakes, p, noise.fakes, run.augment)]
    if objective == "relativistic":
        expected.append(augment(inputs.reals, p, noise.reals, run.augment))
    seen: list[Tensor] = []
    state.discriminator.register_forward_pre_hook(lambda _, words: seen.append(words[0].detach()))
    generator_loss(state, run, FULL, inputs)
    torch.testing.assert_close(seen, [images.detach() for images in expected])


@pytest.mark.parametrize(("confidence", "disturbed"), [(0.4, False), (0.9, True)])
def test_the_adaptive_noise_reaches_the_discriminator(confidence: float, disturbed: bool) -> None:
    run = run_with(kind="dcgan", objective="lsgan", adaptive_noise=True)
    state = born(run)
    state.controllers["confidence"].fill_(confidence)
    images = plain(batch_of(run, 0).images)
    calm = state.discriminator(images, LEVEL).scores
    found = run_discriminator(state, run, FULL, images).scores
    assert torch.equal(found, calm) != disturbed
