"""A run is one value: valid from birth, and the same after a trip through JSON."""

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from progan.config import (
    AUGMENT_KINDS,
    AUTOENCODERS_ONLY,
    SECTIONS,
    Augment,
    Growth,
    LossConfig,
    Network,
    Optim,
    Run,
    convert_python_values,
    from_dict,
    override,
    to_dict,
)
from progan.errors import UserError
from progan.option_fields import (
    FloatAt,
    IntAt,
    format_changes,
    format_option_name,
    list_section_changes,
    section_from_dict,
)
from progan.option_fields import list_option_fields as fields_of
from progan.presets import PRESETS, preset
from progan.sizes import MIN_LEVEL, Size, level_of, require_resolution
from tests.for_each import for_each

ALL_SECTIONS = (Run, *SECTIONS.values())
FIELDS = [field for section in ALL_SECTIONS for field in fields_of(section)]
RESOLUTIONS = tuple(1 << level for level in range(2, 11))


def section_of(name: str) -> Any:
    return next(
        section for section in ALL_SECTIONS if name in {field.name for field in fields_of(section)}
    )


def values(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any]:
    """Any value that a field declares to accept."""
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    whole = st.integers(int(low or 0), 10**6 if high is None else int(high))
    real = st.floats(low, 1e9 if high is None else high, allow_nan=False)
    tables = {
        kind: st.dictionaries(st.sampled_from(RESOLUTIONS), number, max_size=4).map(
            lambda table: tuple(table.items())
        )
        for kind, number in ((IntAt, whole), (FloatAt, real))
    }
    if field.metadata["resolution"]:
        return st.sampled_from(RESOLUTIONS)
    if field.metadata["several"]:
        return st.lists(st.sampled_from(choices), min_size=1).map(",".join)
    if choices:
        return st.sampled_from(choices)
    kinds = {int: whole, float: real, bool: st.booleans(), str: st.text(max_size=9), **tables}
    return kinds[field.type]


OVERRIDES = st.fixed_dictionaries(
    {}, optional={field.name: values(field) for field in FIELDS}
).filter(
    lambda wanted: (
        wanted.get("initial_resolution", 4) <= wanted.get("resolution", 1024)
        and min(wanted.get("base_height", 4), wanted.get("base_width", 4)) < 8
        and wanted.get("training_kimg", 1) + wanted.get("transition_kimg", 1) > 0
        and {"none": lambda p: p == 0, "fixed": lambda p: p > 0, "adaptive": lambda p: True}[
            wanted.get("augment", "none")
        ](wanted.get("augment_p", 0))
        and not (
            wanted.get("separate_updates")
            and (wanted.get("mixed_batches") or wanted.get("objective") == "relativistic")
        )
        and wanted.get("freeze_d", 0) <= level_of(wanted.get("resolution", 1024)) - MIN_LEVEL
        and not (
            wanted.get("fade_first")
            and (
                wanted.get("initial_resolution", 4) == wanted.get("resolution", 1024)
                or wanted.get("kind", "progressive") not in ("progressive", "stacked-mnist")
            )
        )
        and not (wanted.get("precision") == "fp16" and wanted.get("optimizer") == "rmsprop")
        and (
            wanted.get("objective") not in AUTOENCODERS_ONLY or wanted.get("kind") == "autoencoder"
        )
    )
)


def through_json(run: Run) -> Run:
    return from_dict(json.loads(json.dumps(to_dict(run))))


@for_each("name", PRESETS)
def test_presets_survive_json(name: str) -> None:
    assert through_json(preset(name)) == preset(name)


@given(OVERRIDES)
def test_any_run_survives_json_and_holds_what_was_asked_for(wanted: dict[str, Any]) -> None:
    run = override(Run(), wanted)
    assert through_json(run) == run
    flat = {
        key: value
        for part in (to_dict(run), *(to_dict(run)[name] for name in SECTIONS))
        for key, value in part.items()
    }
    assert {name: flat[name] for name in wanted} == wanted


@given(OVERRIDES)
def test_the_rest_of_a_run_stays_as_it_was(wanted: dict[str, Any]) -> None:
    assert override(Run(), wanted) == override(override(Run(), wanted), {})
    defaults = {field.name: field.default for field in FIELDS}
    run = override(Run(), wanted)
    undone = {name: defaults[name] for name in wanted}
    assert override(run, undone) == Run()


def test_a_run_is_hashable_and_cannot_be_changed() -> None:
    assert len({Run(), Run(), Run(seed=1)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        Run().seed = 1  # type: ignore[misc]


def test_settings_younger_than_a_file_get_what_runs_did_before() -> None:
    old = {"seed": 7, "growth": {"batch": 5}}
    before = LossConfig(gp_resolution="trained")
    assert from_dict(old) == Run(seed=7, growth=Growth(batch=5), loss=before)
    assert from_dict({"loss": {"gp_resolution": "final"}}) == Run()


def test_a_file_with_the_older_name_of_a_section_is_read() -> None:
    old = to_dict(override(Run(), {"objective": "lsgan", "gp_target": 750}))
    old["objective"] = old.pop("loss")
    assert from_dict(old) == override(Run(), {"objective": "lsgan", "gp_target": 750})


def test_old_networks_are_squares() -> None:
    old = dataclasses.asdict(Network(resolution=64))
    del old["base_height"], old["base_width"]
    assert section_from_dict(Network, old) == Network(resolution=64)
    assert Network().size(8) == Size(256, 256)


def test_unknown_settings_are_named() -> None:
    with pytest.raises(UserError, match="Unknown growth settings: momentum, speed; another"):
        section_from_dict(Growth, {"speed": 1, "batch": 2, "momentum": 3})
    with pytest.raises(UserError, match="Unknown network settings: depth"):
        from_dict({"network": {"depth": 3}})
    with pytest.raises(UserError, match="Unknown settings: sed"):
        from_dict({"sed": 3})
    with pytest.raises(UserError, match="Unknown settings: g_lrr"):
        override(Run(), {"g_lrr": 0.1})


@for_each(
    "name, value",
    [
        ("batch", "many"),
        ("batch", 4.5),
        ("batch", True),
        ("mirror", "no"),
        ("mirror", 1),
        ("resolution", "32"),
        ("resolution", 32.0),
        ("g_lr", "fast"),
        ("g_lr", math.nan),
        ("training_kimg", math.inf),
        ("batch_at", ((4, 8), (16,))),
        ("batch_at", ((4, 1.5),)),
        ("g_lr_at", 3),
        ("seed", None),
    ],
)
def test_values_of_another_kind_are_refused(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{format_option_name(name)} cannot be"):
        override(Run(), {name: value})


def test_scalars_of_numpy_are_those_of_python() -> None:
    values = {
        "batch": np.int32(8), "g_lr": np.float64(0.5), "mirror": np.bool_(True),
        "augment_kinds": [np.str_("flip"), "color"], "batch_at": {np.int64(8): np.int16(4)},
        "g_lr_at": [(np.int64(8), np.float64(0.25))],
    }  # fmt: skip
    growth = override(Run(), convert_python_values(values)).growth
    assert (growth.batch, growth.g_lr, growth.batch_at) == (8, 0.5, ((8, 4),))
    assert growth.g_lr_at == ((8, 0.25),)
    with pytest.raises(UserError, match="--batch cannot be 8.0: a whole number is expected"):
        override(Run(), convert_python_values({"batch": np.float32(8)}))


def test_a_table_names_each_resolution_once() -> None:
    with pytest.raises(UserError, match="--batch-at names a resolution twice"):
        Growth(batch_at=((4, 8), (4, 16)))


@for_each(
    "field",
    [field for field in FIELDS if field.metadata["low"] is not None and field.type in (int, float)],
    ids=lambda field: field.name,
)
def test_every_lower_limit_is_kept_and_named(field: dataclasses.Field[Any]) -> None:
    section, low = section_of(field.name), field.metadata["low"]
    below = low - 1 if field.type is int else math.nextafter(low, -math.inf)
    with pytest.raises(UserError) as caught:
        section(**{field.name: below})
    assert (
        str(caught.value)
        == f"{format_option_name(field.name)} must be at least {low:g}, not {below}."
    )
    assert getattr(section(**{field.name: field.type(low)}), field.name) == low


@for_each(
    "field",
    [
        field
        for field in FIELDS
        if field.metadata["high"] is not None and field.type in (int, float)
    ],
    ids=lambda field: field.name,
)
def test_every_upper_limit_is_kept_and_named(field: dataclasses.Field[Any]) -> None:
    section, high = section_of(field.name), field.metadata["high"]
    above = high + 1 if field.type is int else math.nextafter(high, math.inf)
    with pytest.raises(UserError) as caught:
        section(**{field.name: above})
    assert (
        str(caught.value)
        == f"{format_option_name(field.name)} must be at most {high:g}, not {above}."
    )
    assert getattr(section(**{field.name: field.type(high)}), field.name) == high


def test_some_limits_hold() -> None:
    for section, name, number in [
        (Network, "stddev_group", -1),
        (Growth, "batch", 0),
        (Growth, "g_lr", -0.1),
        (Optim, "beta2", 1.0),
    ]:
        with pytest.raises(UserError, match=format_option_name(name)):
            section(**{name: number})


@pytest.mark.parametrize("value", [0, 1, 2, 3, 5, 48, 1023, 2048, -4])
def test_resolutions_are_powers_of_two_from_4_to_1024(value: int) -> None:
    message = f"must be a power of two from 4 to 1024, not {value}."
    with pytest.raises(UserError, match=f"--resolution {message}"):
        Network(resolution=value)
    with pytest.raises(UserError, match=f"--initial-resolution {message}"):
        Growth(initial_resolution=value)
    with pytest.raises(UserError, match=f"Each resolution in --g-lr-at {message}"):
        Growth(g_lr_at=((value, 0.1),))


@pytest.mark.parametrize("value", RESOLUTIONS)
def test_all_nine_resolutions_are_accepted(value: int) -> None:
    require_resolution(value, "it")
    assert 2 ** Network(resolution=value).max_level == value


@pytest.mark.parametrize(
    ("name", "table"),
    [("batch_at", ((8, 4), (16, 0))), ("g_lr_at", ((8, -1.0),)), ("tick_kimg_at", ((4, 0.0),))],
)
def test_the_values_of_a_table_have_the_limits_of_the_field(name: str, table: Any) -> None:
    with pytest.raises(UserError, match=f"{format_option_name(name)} must be at least"):
        Growth(**{name: table})


def test_choices_are_listed() -> None:
    with pytest.raises(UserError) as caught:
        Run(precision="fp7")
    assert str(caught.value).startswith("--precision must be one of fp32, tf32, ")
    assert str(caught.value).endswith("not 'fp7'.")


def test_fp16_needs_an_optimizer_that_can_skip_steps() -> None:
    with pytest.raises(UserError, match="choose --optimizer adam, or --precision bf16"):
        Run(precision="fp16", optim=Optim(optimizer="rmsprop"))


def test_settings_are_found_by_their_older_names() -> None:
    old = from_dict({"precision": "bf16", "bf16_from": 32})
    assert (old.precision, old.low_precision_from) == ("bf16", 32)


def test_several_choices_are_listed() -> None:
    assert Augment(augment_kinds="color, flip,flip").kinds == {"color", "flip"}
    for words, wrong in (("flip,turn", "turn"), ("", ""), ("flip,", "")):
        with pytest.raises(UserError) as caught:
            Augment(augment_kinds=words)
        assert str(caught.value) == (
            f"--augment-kinds must list some of {', '.join(AUGMENT_KINDS)}, not {wrong!r}."
        )


def test_contradictions_are_refused() -> None:
    with pytest.raises(UserError, match="--initial-resolution 64 is larger than .* resolution 32"):
        Run(network=Network(resolution=32), growth=Growth(initial_resolution=64))
    with pytest.raises(UserError, match="cannot both be 0"):
        Growth(training_kimg=0, transition_kimg=0)
    for network, initial in ((Network(resolution=32), 32), (Network(kind="dcgan"), 64)):
        with pytest.raises(UserError, match="--fade-first has nothing to fade in"):
            Run(network=network, growth=Growth(initial_resolution=initial, fade_first=True))


def test_the_lowest_resolution_of_a_discriminator_always_learns() -> None:
    assert Run(network=Network(resolution=32), optim=Optim(freeze_d=3)).optim.freeze_d == 3
    with pytest.raises(UserError, match="--freeze-d 4 .* at most 3 can keep their weights"):
        Run(network=Network(resolution=32), optim=Optim(freeze_d=4))


def test_changes_are_listed_by_name() -> None:
    assert list_section_changes(Network(), Network()) == []
    changes = list_section_changes(Network(), Network(fmap_max=64, g_norm="none"))
    assert changes == [("fmap_max", 512, 64), ("g_norm", "pixel", "none")]
    assert format_changes(changes) == "fmap_max: 512 -> 64; g_norm: pixel -> none"


def test_feature_maps_are_those_of_the_paper() -> None:
    paper = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
    assert {1 << level: Network().feature_maps(level) for level in range(2, 11)} == paper


@given(st.integers(1, 10**5), st.floats(0, 9), st.integers(1, 999), st.integers(1, 10))
def test_there_is_always_a_feature_map_and_never_too_many(
    fmap_base: int, fmap_decay: float, fmap_max: int, level: int
) -> None:
    network = Network(fmap_base=fmap_base, fmap_decay=fmap_decay, fmap_max=fmap_max)
    assert 1 <= network.feature_maps(level) <= fmap_max
    assert network.feature_maps(level) >= network.feature_maps(level + 1)


def test_every_field_has_words_and_a_name_of_its_own() -> None:
    names = [field.name for field in FIELDS]
    assert len(set(names)) == len(names)  # `override` and the command line know only the name
    assert all(field.metadata["text"].endswith(".") for field in FIELDS)


def test_an_augmentation_that_does_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="--augment-p 0.5 needs --augment fixed or adaptive"):
        override(Run(), {"augment_p": 0.5})
    with pytest.raises(UserError, match="--augment fixed needs a probability"):
        override(Run(), {"augment": "fixed"})
    assert override(Run(), {"augment": "adaptive", "augment_p": 0.5}).augment.augment_p == 0.5


def test_rules_between_settings_are_kept() -> None:
    with pytest.raises(UserError, match="--objective began compares energies"):
        override(Run(), {"objective": "began"})
    for other in ({"mixed_batches": True}, {"objective": "relativistic"}):
        with pytest.raises(UserError, match="--separate-updates takes reals and fakes apart"):
            override(Run(), {"separate_updates": True, **other})
