"""Networks that begin with those of another run compute what those computed, where they fit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from progan.config import Run
from progan.errors import UserError
from progan.networks import NETWORKS
from progan.run_directory import save_config
from progan.sampling.checkpoint_format import with_checksum
from progan.sampling.snapshot_file import Snapshot, save_network
from progan.training.checkpoint import save_state_and_delete_oldest
from progan.training.init_from import (
    InitSource,
    Transfer,
    apply_transfer,
    can_fade_first,
    find_init_source,
    format_transfer_table,
    inherit_settings,
    list_transfer_warnings,
    load_init_source,
    plan_transfer,
)
from progan.training.resume import require_resumable
from progan.training.state import TrainState, create_state
from tests.builders import tiny_run

CPU = torch.device("cpu")
END = 7000  # images: at 16x16, all faded in
LATENTS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))


def trained(run: Run, images_seen: int = END) -> TrainState:
    """A state whose three networks all differ, as after some training."""
    state = create_state(run, CPU)
    state.images_seen = state.round_images_seen = images_seen
    for number, network in enumerate((state.generator, state.discriminator, state.g_ema)):
        chance = torch.Generator().manual_seed(number)
        for weight in network.state_dict().values():
            if weight.is_floating_point():
                weight.add_(torch.rand(weight.shape, generator=chance))
    return state


def saved(directory: Path, run: Run, images_seen: int = END) -> tuple[TrainState, InitSource]:
    state = trained(run, images_seen)
    return state, load_init_source(save_state_and_delete_oldest(directory, state, run))


def begun(origin: InitSource, run: Run) -> tuple[TrainState, Transfer]:
    found, state = plan_transfer(origin, run), create_state(run, CPU)
    apply_transfer(state, found)
    return state, found


def fates(found: Transfer, role: str) -> dict[str, str]:
    return {row.layer: row.status for row in found.matches[role]}


def labels(run: Run) -> torch.Tensor:
    return torch.zeros(4, run.network.label_size)


def test_a_config_of_another_program_beside_a_network_is_no_run(tmp_path: Path) -> None:
    run = tiny_run()
    file, config = tmp_path / "network.safetensors", tmp_path / "config.json"
    g_ema = trained(run).g_ema
    save_network(file, Snapshot(generator=g_ema, level=4, alpha=1.0, images_seen=END))
    config.write_text('{"model_type": "gan", "architectures": ["Generator"]}')
    assert load_init_source(file).run is None
    config.write_text("{")
    assert load_init_source(file).run is None
    (tmp_path / "stats.jsonl").touch()  # which only a run has beside it
    with pytest.raises(UserError, match="config.json is damaged"):
        load_init_source(file)
    save_config(tmp_path, run)
    assert load_init_source(file).run == run


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize(
    "overrides",
    [{}, dict(label_size=3, g_norm="batch", d_norm="batch")],
    ids=["plain", "classes and batch norm"],
)
def test_a_run_like_its_origin_begins_with_all_of_it(
    kind: str, overrides: dict[str, Any], tmp_path: Path
) -> None:
    run = tiny_run(kind=kind, **overrides)
    source, origin = saved(tmp_path, run)
    state, found = begun(origin, replace(run, seed=1))
    for role, network in state.networks.items():
        ours, theirs = network.state_dict(), source.networks[role].state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), role
    assert {row.status for rows in found.matches.values() for row in rows} == {"copied"}
    assert found.shares == {"generator": 1, "discriminator": 1}
    assert state.images_seen == state.tick == state.seconds == 0
    assert not state.g_optimizer.state and not state.d_optimizer.state
    assert not list_transfer_warnings(found)


@pytest.mark.parametrize(("classes", "here"), [(0, 3), (3, 0), (3, 5), (5, 3)])
@pytest.mark.parametrize("kind", NETWORKS)
def test_another_number_of_classes_leaves_pictures_and_scores_as_they_are(
    kind: str, classes: int, here: int, tmp_path: Path
) -> None:
    """Without class both draw the same picture, and give it the same score."""
    settings: dict[str, Any] = dict(kind=kind, normalize_latents=False, equalized_lr=False)
    run, other = (tiny_run(label_size=number, **settings) for number in (classes, here))
    source, origin = saved(tmp_path, run)
    state, found = begun(origin, other)
    with torch.no_grad():
        for ours, theirs in ((state.generator, source.generator), (state.g_ema, source.g_ema)):
            drawn = ours(LATENTS, labels(other), 4)
            torch.testing.assert_close(drawn, theirs(LATENTS, labels(run), 4))
        torch.testing.assert_close(
            state.discriminator(drawn, 4).scores, source.discriminator(drawn, 4).scores
        )
        assert state.discriminator(drawn, 4).logits.shape == (4, here)
    assert [fate for fate in fates(found, "generator").values() if fate != "copied"] == ["in part"]
    (judging,) = {fate for fate in fates(found, "discriminator").values() if fate != "copied"}
    of_classes = "new" if not classes else "skipped" if here else "left"
    assert judging == (of_classes if kind == "autoencoder" else "in part")


def test_weights_of_other_classes_are_those_of_a_birth(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(label_size=3))
    run = tiny_run(label_size=5)
    (state, _), born = begun(origin, run), create_state(run, CPU)
    for role, part, rest in (
        ("generator", "dense", (slice(None), slice(8, None))),
        ("discriminator", "output", (slice(1, None),)),
    ):
        ours, fresh = (
            getattr(getattr(networks, role).blocks["4x4"], part).weight[rest]
            for networks in (state, born)
        )
        assert ours.numel() and torch.equal(ours, fresh)


@pytest.mark.parametrize("kind", ["progressive", "stacked-mnist"])
def test_a_grown_network_draws_at_its_old_resolution_what_it_drew(
    kind: str, tmp_path: Path
) -> None:
    run, larger = (tiny_run(kind=kind, resolution=size, d_fmap_base=64) for size in (16, 32))
    source, origin = saved(tmp_path, run)
    state, found = begun(origin, larger)
    with torch.no_grad():
        drawn = state.g_ema(LATENTS, labels(larger), 4)
        assert torch.equal(drawn, source.g_ema(LATENTS, labels(run), 4))
        if kind == "progressive":  # the other one has another layer for colours at its end
            assert torch.equal(
                state.discriminator(drawn, 4).scores, source.discriminator(drawn, 4).scores
            )
    new = {layer for layer, fate in fates(found, "generator").items() if fate == "new"}
    assert new and all("32x32" in layer for layer in new)
    born = create_state(larger, CPU)
    ours, theirs = state.generator.to_rgb["32x32"].weight, born.generator.to_rgb["32x32"].weight
    assert torch.equal(ours, theirs)
    assert torch.equal(state.g_ema.to_rgb["32x32"].weight, state.generator.to_rgb["32x32"].weight)


def test_a_smaller_run_leaves_the_highest_layers_behind(tmp_path: Path) -> None:
    source, origin = saved(tmp_path, tiny_run())
    state, found = begun(origin, tiny_run(resolution=8))
    with torch.no_grad():
        assert torch.equal(
            state.generator(LATENTS, torch.zeros(4, 0), 3),
            source.generator(LATENTS, torch.zeros(4, 0), 3),
        )
    left = {layer for layer, fate in fates(found, "discriminator").items() if fate == "left"}
    assert left == {"from_rgb.16x16", "blocks.16x16.conv", "blocks.16x16.down"}


@pytest.mark.parametrize("kind", ["dcgan", "resnet"])
def test_lists_that_count_from_the_highest_resolution_are_aligned(
    kind: str, tmp_path: Path
) -> None:
    """With maps of one width every shape would fit the layer of any other level."""
    run, larger = (tiny_run(kind=kind, fmap_decay=0, resolution=size) for size in (16, 32))
    source, origin = saved(tmp_path, run)
    state, found = begun(origin, larger)
    lists = [
        (network.downs if kind == "dcgan" else network.blocks)
        for network in (state.discriminator, source.discriminator)
    ]
    ours, theirs = (weights.state_dict() for weights in (lists[0][2:], lists[1][1:]))
    assert ours and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert any(fate == "new" for fate in fates(found, "discriminator").values())


def test_levels_that_the_origin_never_trained_are_new(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(), images_seen=2000)
    assert (origin.level, origin.settled_level) == (3, 2)
    state, found = begun(origin, tiny_run(seed=1))
    assert fates(found, "generator")["blocks.8x8.up"] == "copied"
    assert fates(found, "generator")["blocks.16x16.up"] == "new"
    born = create_state(tiny_run(seed=1), CPU)
    assert torch.equal(
        state.generator.blocks["16x16"].up.weight, born.generator.blocks["16x16"].up.weight
    )


def test_a_network_file_gives_the_average_to_generator_and_average(tmp_path: Path) -> None:
    run = tiny_run()
    source = trained(run)
    path = tmp_path / "network-snapshot-000007.safetensors"
    save_network(path, Snapshot(generator=source.g_ema, level=4, alpha=1.0, images_seen=END))
    state, found = begun(load_init_source(path), run)
    born = create_state(run, CPU)
    for name, weight in source.g_ema.state_dict().items():
        assert torch.equal(state.generator.state_dict()[name], weight)
        assert torch.equal(state.g_ema.state_dict()[name], weight)
    for name, weight in born.discriminator.state_dict().items():
        assert torch.equal(state.discriminator.state_dict()[name], weight)
    assert found.shares == {"generator": 1, "discriminator": 0}
    (warning,) = list_transfer_warnings(found)
    assert "holds no discriminator" in warning
    assert "state-*.pt" not in warning  # a network outside of a run has no states beside it
    save_config(tmp_path, run)
    (warning,) = list_transfer_warnings(found)
    assert "holds no discriminator" in warning and "A training state (state-*.pt) of" in warning
    assert not any(weight.requires_grad for weight in state.g_ema.parameters())
    assert all(weight.requires_grad for weight in state.generator.parameters())


def test_other_channels_renew_the_colours_alone(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run())
    _, found = begun(origin, tiny_run(channels=1))
    for role, colours in (("generator", "to_rgb"), ("discriminator", "from_rgb")):
        skipped = {layer for layer, fate in fates(found, role).items() if fate == "skipped"}
        assert skipped == {f"{colours}.{size}x{size}" for size in (4, 8, 16)}


def test_other_widths_are_skipped_where_they_matter_and_warned_of(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(fmap_base=32))
    run = tiny_run(fmap_base=64)
    _, found = begun(origin, run)
    assert fates(found, "generator")["blocks.4x4.conv"] == "copied"
    assert fates(found, "generator")["blocks.16x16.conv"] == "skipped"
    assert "fmap_base: 32 -> 64" in list_transfer_warnings(found)[0]


def test_another_latent_size_renews_the_first_layer(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(label_size=3))
    _, found = begun(origin, tiny_run(latent_size=11))  # as many inputs, but others
    assert fates(found, "generator")["blocks.4x4.conv"] == "copied"
    _, found = begun(origin, tiny_run(latent_size=9))
    assert fates(found, "generator")["blocks.4x4.dense"] == "skipped"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (dict(kind="dcgan"), "kind: progressive -> dcgan.*Omit --kind"),
        (dict(equalized_lr=False), "equalized_lr: True -> False.*Omit --equalized-lr"),
        (dict(fmap_max=5, latent_size=9), "Nothing of .* fits .*fmap_max: 8 -> 5"),
        (
            dict(resolution=32, freeze_d=1),
            "--freeze-d 1 would keep random weights: "
            "blocks.32x32.conv, blocks.32x32.down, from_rgb.32x32 cannot be copied",
        ),
        (dict(channels=1, freeze_d=1), "--freeze-d 1 .* from_rgb.16x16 cannot be copied"),
    ],
)
def test_what_would_be_of_no_use_is_refused(
    overrides: dict[str, Any], said: str, tmp_path: Path
) -> None:
    _, origin = saved(tmp_path, tiny_run())
    with pytest.raises(UserError, match=said):
        plan_transfer(origin, tiny_run(**overrides))


def test_layers_that_are_copied_can_be_frozen(tmp_path: Path) -> None:
    source, origin = saved(tmp_path, tiny_run())
    state, _ = begun(origin, tiny_run(freeze_d=2))
    assert torch.equal(
        state.discriminator.from_rgb["16x16"].weight, source.discriminator.from_rgb["16x16"].weight
    )
    assert not state.discriminator.blocks["8x8"].conv.weight.requires_grad
    with pytest.raises(UserError, match="--freeze-d 2 would keep random weights"):
        plan_transfer(
            replace(origin, weights={"average": origin.weights["average"]}), tiny_run(freeze_d=2)
        )


def test_settings_are_those_of_the_origin_from_where_it_had_arrived(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(g_activation="relu"))
    settings = inherit_settings(origin, 32)
    assert (settings["resolution"], settings["initial_resolution"]) == (32, 16)
    assert (settings["g_activation"], settings["freeze_d"]) == ("relu", 0)
    assert settings["init_from"] == str(tmp_path.resolve() / "state-000007.pt")
    assert inherit_settings(origin, 8)["initial_resolution"] == 8
    _, fading = saved(tmp_path, tiny_run(), images_seen=5000)
    assert (fading.level, inherit_settings(fading, 16)["initial_resolution"]) == (4, 8)


@pytest.mark.parametrize(
    ("overrides", "first"),
    [
        (dict(resolution=32, initial_resolution=16), True),
        (dict(resolution=32, initial_resolution=8), False),  # it begins elsewhere
        (dict(resolution=16, initial_resolution=16), False),  # there is nothing to fade in
        (dict(resolution=32, initial_resolution=16, label_size=2), False),
        (dict(resolution=32, initial_resolution=16, channels=1), False),
        (dict(resolution=32, initial_resolution=16, kind="dcgan"), False),
    ],
)
def test_a_run_that_goes_on_growing_begins_with_the_fade(
    overrides: dict[str, Any], first: bool, tmp_path: Path
) -> None:
    _, origin = saved(tmp_path, tiny_run())
    assert can_fade_first(origin, tiny_run(**overrides)) == first
    alone = replace(origin, weights={"average": origin.weights["average"]})
    assert not can_fade_first(alone, tiny_run(**overrides))
    _, on_its_way = saved(tmp_path, tiny_run(resolution=32))
    assert on_its_way.settled_level == 4 and not can_fade_first(on_its_way, tiny_run(**overrides))


def test_the_table_names_each_layer_with_both_shapes(tmp_path: Path) -> None:
    _, origin = saved(tmp_path, tiny_run(label_size=3, stddev_group=0))
    text = format_transfer_table(plan_transfer(origin, tiny_run(resolution=8)))
    assert "state-000007.pt, 16x16 at kimg 7" in text
    rows = [" ".join(line.split()) for line in text.splitlines()]
    assert {
        "blocks.4x4.dense 128x11 128x8 copied in part",
        "blocks.8x8.up 8x8x3x3 8x8x3x3 copied",
        "blocks.16x16.up 8x8x3x3 – left behind",
        "to_rgb.16x16 3x8x1x1 – left behind",
        "blocks.4x4.conv 8x8x3x3 8x9x3x3 skipped: the shapes differ",
    } <= set(rows)
    assert "layers: 5 copied, 1 in part, 3 left" in text
    assert all(line == line.rstrip() and len(line) <= 100 for line in text.splitlines()[1:])


class TestFiles:
    def test_a_run_stands_for_its_newest_state(self, tmp_path: Path) -> None:
        run = tiny_run()
        for images_seen in (1000, 7000):
            state = trained(run, images_seen)
            path = save_state_and_delete_oldest(tmp_path, state, run)
        snapshot = Snapshot(generator=state.g_ema, level=4, alpha=1.0, images_seen=9000)
        newest = tmp_path / "network-snapshot-000009.safetensors"
        save_network(newest, snapshot)
        assert find_init_source(tmp_path) == path and find_init_source(newest) == newest
        path.write_bytes(path.read_bytes()[:-100])
        assert find_init_source(tmp_path).name == "state-000001.pt"
        for state_file in tmp_path.glob("state-*"):
            state_file.unlink()
        assert find_init_source(tmp_path) == newest

    def test_a_directory_of_runs_stands_for_its_newest(self, tmp_path: Path) -> None:
        run = tiny_run()
        for number in range(2):
            directory = tmp_path / f"0000{number}-noise-tiny"
            directory.mkdir()
            state = trained(run)
            save_network(
                directory / "network-snapshot-000007.safetensors",
                Snapshot(generator=state.g_ema, level=4, alpha=1.0, images_seen=END),
            )
            path = save_state_and_delete_oldest(directory, state, run)
        assert find_init_source(tmp_path) == path

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match="No such file or directory: .*nowhere.* --init-from"):
            find_init_source(tmp_path / "nowhere")
        with pytest.raises(UserError, match="holds no network-snapshot"):
            find_init_source(tmp_path)

    def test_a_network_file_knows_the_settings_beside_it(self, tmp_path: Path) -> None:
        run = tiny_run(gp_weight=3.0)
        path = tmp_path / "network-snapshot-000007.safetensors"
        save_network(
            path, Snapshot(generator=trained(run).g_ema, level=4, alpha=0.5, images_seen=END)
        )
        assert load_init_source(path).run is None and load_init_source(path).settled_level == 3
        save_config(tmp_path, run)
        assert load_init_source(path).run == run

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is empty"),
            (b"hello", "is a text file"),
            (b"\x80\x04\x95 a pickle", "is not a readable pickle"),
        ],
    )
    def test_other_files_are_refused(self, content: bytes, said: str, tmp_path: Path) -> None:
        path = tmp_path / "network.bin"
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"network.bin {said}"):
            load_init_source(path)
        with pytest.raises(UserError, match=f"network.bin {said}"):
            require_resumable(path)

    def test_files_of_torch_that_are_no_states_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "G.pt"
        torch.save({"weight": torch.zeros(3)}, path)
        with pytest.raises(UserError, match="G.pt holds weights of another architecture"):
            load_init_source(path)
        torch.save(torch.nn.Linear(2, 2), path)
        with pytest.raises(UserError, match="pickled PyTorch module of the class torch.nn"):
            load_init_source(path)

    @pytest.mark.parametrize("part", ["generator", "discriminator", "average"])
    def test_a_state_whose_networks_are_others_is_refused(self, part: str, tmp_path: Path) -> None:
        path = save_state_and_delete_oldest(tmp_path, trained(tiny_run()), tiny_run())
        content = torch.load(path, weights_only=True)
        for wrong in ({"x": torch.zeros(3)}, {}, {3: 4}, content[part] | {"to_rgb.4x4.bias": 3}):
            torch.save(with_checksum(content | {part: wrong}), path)
            with pytest.raises(UserError, match=f"damaged: its {part}|not a whole"):
                load_init_source(path)


def test_the_last_level_of_a_state_is_the_one_that_was_trained_last(tmp_path: Path) -> None:
    """Without fades, the next round of a state may be of a level whose layers are random."""
    run = tiny_run(training_kimg=0.128, transition_kimg=0, total_kimg=0.384, batch=64)
    state = create_state(run, CPU)
    state.images_seen = state.round_images_seen = 256
    state.phase = 2  # stable at 8x8
    path = save_state_and_delete_oldest(tmp_path, state, run)
    source = load_init_source(path)
    assert (source.level, source.alpha) == (3, 1.0)
