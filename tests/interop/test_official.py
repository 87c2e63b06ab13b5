"""Networks of the official code: the same functions here, and the same file there again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from progan import networks as nets
from progan.config import Network
from progan.errors import UserError
from progan.interop.conversion import convert, read_model
from progan.interop.imported_model import to_float_tensor
from progan.interop.load import load_snapshot
from progan.interop.official import (
    TRANSPOSED,
    lod_to_level,
    network_from_arguments,
    official_arguments,
    official_names,
    require_official,
    transpose_from_official,
    transpose_to_official,
)
from progan.sampling.snapshot_file import load_network, save_network
from progan.sizes import MAX_LEVEL, MIN_LEVEL
from tests.builders import tiny_snapshot
from tests.for_each import for_each
from tests.interop import official_files
from tests.reference import official

CPU = torch.device("cpu")
PICKLES = ("network-snapshot-001234-net32.pkl", "network-snapshot-001234-net32-proto4.pkl")
ROLES = {"generator": "G", "discriminator": "D", "average": "Gs"}


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, np.ndarray]:
    with np.load(shared / "golden" / "network-snapshot-001234-net32-expected.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", PICKLES)
def test_golden_pickles_have_every_weight_in_its_place(
    shared: Path, expected: dict[str, np.ndarray], name: str
) -> None:
    trained = read_model(shared / "golden" / name)
    assert trained.network == Network(resolution=32, latent_size=64, fmap_base=256, fmap_max=64)
    assert trained.images_seen == 1_234_000
    for role, weights in trained.weights.items():
        reference = official.state_dict(expected, f"{ROLES[role]}/")
        assert weights.keys() == reference.keys()
        assert all(torch.equal(weights[key], reference[key]) for key in reference)


@pytest.mark.parametrize("name", PICKLES)
def test_golden_networks_compute_the_same(
    shared: Path, expected: dict[str, np.ndarray], name: str
) -> None:
    trained = read_model(shared / "golden" / name)
    latents, labels = torch.from_numpy(expected["latents"]), torch.from_numpy(expected["labels"])
    alpha = None if trained.alpha == 1 else torch.tensor(trained.alpha)
    generator = nets.build_generator(trained.network)
    judge = nets.build_discriminator(trained.network)
    judge.load_state_dict(trained.weights["discriminator"])
    for role, images in (("generator", "G_out"), ("average", "Gs_out")):
        generator.load_state_dict(trained.weights[role])
        with torch.no_grad():
            drawn = generator(latents, labels, trained.level, alpha)
        np.testing.assert_allclose(drawn, expected[images], rtol=0, atol=1e-5)
    with torch.no_grad():
        scores = judge(torch.from_numpy(expected["images"]), trained.level, alpha).scores
    np.testing.assert_allclose(scores, expected["D_scores"][:, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    content = official_files.networks(lod=1.25)
    trained = read_model(official_files.write(tmp_path / "mine.pkl", content, protocol))
    assert (trained.level, trained.alpha, trained.images_seen) == (3, 0.75, 0)
    for role, network in zip(("generator", "discriminator", "average"), content, strict=True):
        arrays = dict(network.state["variables"])
        reference = {
            official.our_name(name, 4): official.our_layout(name, array)
            for name, array in arrays.items()
            if name != "lod"
        }
        assert trained.weights[role].keys() == reference.keys()
        assert all(torch.equal(trained.weights[role][key], reference[key]) for key in reference)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fused_scale": False},
        {"mbstd_group_size": 0},
        {"latent_size": 5},
        {"label_size": 3},
        {"use_pixelnorm": False, "use_leakyrelu": False, "normalize_latents": False},
        {"use_wscale": False, "num_channels": 1},
        {"something_unknown": 5},
        {"fmap_decay": 1},
    ],
)
def test_there_and_back_is_the_same(tmp_path: Path, arguments: dict[str, Any]) -> None:
    source = official_files.write(tmp_path / "a.pkl", official_files.networks(lod=0.5, **arguments))
    first = read_model(source)
    convert(first, source, tmp_path / "b.npz")
    second = read_model(tmp_path / "b.npz")
    assert (second.network, second.level, second.alpha) == (first.network, 4, 0.5)
    assert second.originals == first.originals
    for role, weights in first.weights.items():
        assert all(torch.equal(second.weights[role][name], weights[name]) for name in weights)
    content = official_files.networks(lod=0.5, **arguments)
    with np.load(tmp_path / "b.npz") as archive:
        for name, network in zip(("G", "D", "Gs"), content, strict=True):
            for variable, array in network.state["variables"]:
                np.testing.assert_array_equal(archive[f"{name}/{variable}"], array)
            stored = json.loads(str(archive[f"{name}/static_kwargs"]))
            known = {
                key: value for key, value in network.state["static_kwargs"].items() if key in stored
            }
            assert stored | known == stored


def test_the_averaged_generator_becomes_a_network_file(tmp_path: Path) -> None:
    path = tmp_path / "network-snapshot-000012.pkl"
    official_files.write(path, official_files.networks(lod=0.25, label_size=2))
    trained = read_model(path)
    convert(trained, path, tmp_path / "ours.safetensors")
    ours = load_network(tmp_path / "ours.safetensors", CPU)
    assert (ours.level, ours.alpha, ours.images_seen) == (4, 0.75, 12_000)
    assert ours.label_names == ("0", "1")
    weights = ours.generator.state_dict()
    assert all(
        torch.equal(weights[name], tensor) for name, tensor in trained.weights["average"].items()
    )


def test_our_network_file_gets_official_names(tmp_path: Path) -> None:
    snapshot = tiny_snapshot(("a", "b"), alpha=0.5)
    save_network(tmp_path / "ours.safetensors", snapshot)
    trained = read_model(tmp_path / "ours.safetensors")
    convert(trained, tmp_path / "ours.safetensors", tmp_path / "theirs.npz")
    again = load_snapshot(tmp_path / "theirs.npz", CPU)
    assert (again.generator.config, again.level, again.alpha) == (snapshot.generator.config, 4, 0.5)
    ours, theirs = snapshot.generator.state_dict(), again.generator.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@given(
    max_level=st.integers(MIN_LEVEL, MAX_LEVEL),
    fused=st.booleans(),
    role=st.sampled_from(sorted(ROLES)),
)
def test_names_are_those_of_the_reference(max_level: int, fused: bool, role: str) -> None:
    names = official_names(role, max_level, fused=fused)
    assert len(set(names.values())) == len(names)
    if fused:
        assert all(official.our_name(theirs, max_level) == ours for ours, theirs in names.items())
    with torch.device("meta"):
        network = Network(resolution=1 << max_level)
        shell = (nets.build_discriminator if role == "discriminator" else nets.build_generator)(
            network
        )
    assert set(names) == set(shell.state_dict())


@given(
    name=st.sampled_from([TRANSPOSED, "Conv1/weight"]),
    shape=st.lists(st.integers(2, 4), min_size=4, max_size=4),
)
def test_layouts_go_there_and_back(name: str, shape: list[int]) -> None:
    array = np.random.RandomState(0).randn(*shape).astype(np.float32)
    np.testing.assert_array_equal(
        transpose_to_official(name, transpose_from_official(name, array)), array
    )
    np.testing.assert_array_equal(
        to_float_tensor(transpose_from_official(name, array)), official.our_layout(name, array)
    )


@given(lod=st.floats(0, 8))
def test_places_count_from_the_other_end(lod: float) -> None:
    level, alpha = lod_to_level(lod, 10)
    assert level + alpha == pytest.approx(11 - lod) and 0 < alpha <= 1 and 2 <= level <= 10


@given(
    network=st.builds(
        Network,
        resolution=st.sampled_from([4, 64, 1024]),
        channels=st.integers(1, 4),
        label_size=st.integers(0, 9),
        latent_size=st.integers(1, 512),
        fmap_base=st.integers(1, 8192),
        d_fmap_base=st.sampled_from([0, 100]),
        fmap_max=st.integers(1, 512),
        fmap_decay=st.floats(0, 3),
        equalized_lr=st.booleans(),
        g_norm=st.sampled_from(["pixel", "none"]),
        g_activation=st.sampled_from(["leaky-relu", "relu"]),
        normalize_latents=st.booleans(),
        stddev_group=st.sampled_from([0, 4, 16]),
        fused_scaling=st.booleans(),
    )
)
def test_settings_go_there_and_back(network: Network) -> None:
    arguments = official_arguments(network)
    again = network_from_arguments(arguments["generator"], arguments["discriminator"])
    same = replace(network, d_fmap_base=0) if network.d_fmap_base == network.fmap_base else network
    assert again == same
    require_official(network, "x", with_discriminator=True)


def test_the_defaults_are_the_official_ones() -> None:
    assert network_from_arguments({}, {}) == Network(resolution=32, channels=1)
    assert network_from_arguments({"fmap_base": 4096, "fmap_max": 128}).latent_size == 128


@pytest.mark.parametrize(
    "different",
    [
        {"kind": "dcgan"},
        {"base_width": 6},
        {"g_norm": "batch"},
        {"g_activation": "elu"},
        {"output": "tanh"},
        {"d_norm": "layer"},
        {"minibatch_kernels": 3},
        {"pixel_bias": True},
    ],
)
def test_what_the_official_code_cannot_build_is_named(different: dict[str, Any]) -> None:
    (name,) = different
    with pytest.raises(UserError, match=f"^mine cannot be converted .* {name}: "):
        require_official(Network(**different), "mine", with_discriminator=True)


def test_a_generator_alone_may_have_any_discriminator_and_training() -> None:
    require_official(
        Network(d_norm="layer", minibatch_kernels=3, dropout=0.5, weight_stddev=0.1),
        "mine",
        with_discriminator=False,
    )


def changed(network: official_files.Network, **changes: Any) -> official_files.Network:
    return official_files.Network(**network.state | changes)


def with_variable(name: str, value: Any) -> Any:
    g, d, gs = official_files.networks()
    pairs = [pair for pair in gs.state["variables"] if pair[0] != name]
    return g, d, changed(gs, variables=[*pairs, *([] if value is None else [(name, value)])])


@for_each(
    ("content", "said"),
    [
        ([1, 2, 3], "its G is not a network of the official"),
        ({"a": 1}, "but not of the official networks"),
        (official_files.networks()[:2], "but not of the official networks"),
        ((*official_files.networks()[:2], 5), "its Gs is not a network"),
        ([official_files.networks()[at] for at in (1, 0, 2)], "its G was built by D_paper"),
        (with_variable("4x4/Conv/bias", None), "its Gs lacks '4x4/Conv/bias'"),
        (with_variable("4x4/More/bias", np.zeros(3)), "has an unknown '4x4/More/bias'"),
        (with_variable("4x4/Conv/bias", np.zeros(3)), "4x4.conv.bias of its average has shape 3"),
        (with_variable("4x4/Conv/bias", np.full(8, np.nan)), "not finite"),
        (with_variable("4x4/Conv/bias", [[1]] * 8), "not pairs of names and arrays"),
        (with_variable("lod", np.float32(2.5)), "are invalid"),
        (with_variable("lod", np.float32("nan")), "are invalid"),
        (official_files.networks(resolution=48), "must be a power of two"),
        (official_files.networks(pixelnorm_epsilon=1e-6), "pixelnorm_epsilon"),
        (official_files.networks(fmap_base=10**400), "no network is as large"),
        (official_files.networks(fmap_decay="steep"), "are invalid"),
        (None, "but not of the official networks"),
    ],
)
def test_other_content_is_refused_in_words(tmp_path: Path, content: Any, said: str) -> None:
    path = official_files.write(tmp_path / "x.pkl", content)
    with pytest.raises(UserError) as caught:
        read_model(path)
    assert said in str(caught.value) and str(path) in str(caught.value)


def test_generators_and_discriminators_that_differ_too_much_are_refused(tmp_path: Path) -> None:
    g, d, gs = official_files.networks()
    other = changed(d, static_kwargs=d.state["static_kwargs"] | {"fmap_max": 4})
    with pytest.raises(UserError, match="its G has fmap_max 8 and its D 4"):
        read_model(official_files.write(tmp_path / "x.pkl", (g, other, gs)))


def test_archives_of_other_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros(3))
    with pytest.raises(UserError, match="holds no network with the official names"):
        read_model(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", **{"Gs/static_kwargs": np.array("[1]")})  # type: ignore[arg-type]
    with pytest.raises(UserError, match="y.npz is a damaged archive"):
        read_model(tmp_path / "y.npz")
    np.savez(
        tmp_path / "z.npz",
        **{  # type: ignore[arg-type]
            "Gs/static_kwargs": np.array("{}"),
            "Gs/lod": np.array([{}], object),
        },
    )
    with pytest.raises(UserError, match="z.npz is a damaged archive"):
        read_model(tmp_path / "z.npz")
