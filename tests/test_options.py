"""Config fields as options of a command."""

from typing import Any

import click
import pytest
from click.testing import CliRunner

from progan.config import SECTIONS, Run, override
from progan.option_fields import format_option_name, list_option_fields
from progan.options import add_config_options, select_given_fields
from progan.presets import preset
from tests.for_each import for_each

FIELDS = [field for section in (Run, *SECTIONS.values()) for field in list_option_fields(section)]
OFFERED = [field for field in FIELDS if field.metadata["option"]]


def parse(*words: str) -> dict[str, Any]:
    """The overrides that a command line names."""
    seen: dict[str, Any] = {}

    @click.command()
    @click.option("--data")
    @add_config_options
    def command(**options: Any) -> None:
        seen.update(select_given_fields(options))

    result = CliRunner().invoke(command, words, catch_exceptions=False)
    if result.exit_code:
        raise click.UsageError(result.output)
    return seen


@pytest.fixture(scope="module")
def command() -> click.Command:
    @click.command()
    @add_config_options
    def bare(**options: Any) -> None:
        """Nothing but the config."""

    return bare


def test_every_field_has_one_option_and_no_two_share_a_name(command: click.Command) -> None:
    names = [name for option in command.params for name in (*option.opts, *option.secondary_opts)]
    assert len(set(names)) == len(names)
    assert [option.name for option in command.params] == [field.name for field in OFFERED]
    assert all(format_option_name(field.name) in names for field in OFFERED)


def test_what_the_dataset_decides_is_not_offered(command: click.Command) -> None:
    kept_back = {field.name for field in FIELDS} - {option.name for option in command.params}
    assert kept_back == {
        "preset",
        "base_height",
        "base_width",
        "channels",
        "label_size",
        "data",
        "fingerprint",
        "init_from",
        "pixel_bias",
    }


def test_help_tells_what_each_option_does_and_its_default(command: click.Command) -> None:
    text = " ".join(command.get_help(click.Context(command, terminal_width=10_000)).split())
    for field in OFFERED:
        assert field.metadata["text"] in text
    for shown in (
        "[default: 1024, unless the preset differs]",
        "[default: 0.001]",
        "[default: 1e-08, unless",
        "[default: fp32, unless the preset differs]",
        "[default: on]",
        "[default: off",
        "[default: none, unless",
        "[default: 4:160,8:140,16:120,",
    ):
        assert shown in text
    with_value = [field for field in OFFERED if field.type is not bool]
    assert text.count("[default: ") >= len(with_value)


def test_nothing_given_is_nothing_overridden() -> None:
    assert parse() == {}
    assert override(Run(), parse()) == Run()


def test_values_have_the_type_of_their_field() -> None:
    found = parse("--batch", "8", "--total-kimg", "0.5", "--precision", "tf32", "--seed", "3")
    assert found == {"batch": 8, "batch_at": (), "total_kimg": 0.5, "precision": "tf32", "seed": 3}
    assert {name: type(value) for name, value in found.items()} == {
        "batch": int,
        "batch_at": tuple,
        "total_kimg": float,
        "precision": str,
        "seed": int,
    }


def test_a_value_for_all_resolutions_undoes_the_table_of_the_preset() -> None:
    assert override(preset("v2-1gpu"), parse("--batch", "8")).growth.batch_at == ()
    both = parse("--g-lr", "0.1", "--g-lr-at", "8:0.2")
    assert both == {"g_lr": 0.1, "g_lr_at": ((8, 0.2),)}


@pytest.mark.parametrize(
    ("option", "empty"), [("--batch-at", ()), ("--metrics", ""), ("--subset", ""), ("--best", "")]
)
def test_none_is_what_help_calls_nothing(option: str, empty: object) -> None:
    assert parse(option, "none") == {option[2:].replace("-", "_"): empty}


@pytest.mark.parametrize(
    ("option", "word", "number"),
    [
        ("--micro-batch", "auto", 0),
        ("--micro-batch", "8", 8),
        ("--device-data-gib", "auto", -1.0),
        ("--device-data-gib", "0", 0.0),
        ("--device-data-gib", "2.5", 2.5),
    ],
)
def test_auto_leaves_a_number_to_the_program(option: str, word: str, number: float) -> None:
    (found,) = parse(option, word).values()
    assert (found, type(found)) == (number, type(number))


@pytest.mark.parametrize("option", ["--micro-batch", "--device-data-gib"])
def test_what_is_neither_a_number_nor_auto_is_refused(option: str, command: click.Command) -> None:
    (shown,) = (each for each in command.params if option in each.opts)
    assert shown.help.endswith("[default: auto]")  # type: ignore[attr-defined]
    with pytest.raises(click.UsageError, match=f"Invalid value for '{option}'"):
        parse(option, "most")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--mirror", {"mirror": True}),
        ("--no-mirror", {"mirror": False}),
        ("--fused-scaling", {"fused_scaling": True}),
        ("--no-fused-scaling", {"fused_scaling": False}),
    ],
)
def test_switches_go_both_ways(word: str, expected: dict[str, bool]) -> None:
    assert parse(word) == expected


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("256:14,512:6", ((256, 14), (512, 6))),
        ("4:128", ((4, 128),)),
        ("", ()),
        (" 4:1 , 8:2,", ((4, 1), (8, 2))),
    ],
)
def test_values_per_resolution(text: str, table: tuple[tuple[int, int], ...]) -> None:
    assert parse("--batch-at", text) == {"batch_at": table}


def test_rates_per_resolution_are_real_numbers() -> None:
    assert parse("--g-lr-at", "512:0.002,1024:3e-3") == {"g_lr_at": ((512, 0.002), (1024, 0.003))}


@pytest.mark.parametrize("text", ["256", "256:1:2", "a:1", "4:x", "4:1.5", "4=1"])
def test_what_is_no_table_is_answered_with_an_example(text: str) -> None:
    with pytest.raises(click.UsageError, match="is not a list of RESOLUTION:VALUE, as in 256:14"):
        parse("--batch-at", text)


@pytest.mark.parametrize("words", [("--batch", "x"), ("--precision", "fp7"), ("--seed", "1.5")])
def test_values_of_another_type_are_refused(words: tuple[str, str]) -> None:
    with pytest.raises(click.UsageError, match=f"Invalid value for '{words[0]}'"):
        parse(*words)


def test_only_fields_that_were_named_are_given() -> None:
    options = {"batch": 3, "mirror": False, "seed": None, "data": "x", "outdir": "y", "channels": 1}
    assert select_given_fields(options) == {"batch": 3, "batch_at": (), "mirror": False}


@for_each(
    "field",
    [field for field in OFFERED if field.type in (int, float)],
    ids=lambda field: field.name,
)
def test_the_default_typed_in_is_the_default(field: Any) -> None:
    found = parse(format_option_name(field.name), str(field.default))
    assert found[field.name] == field.default
    table = f"{field.name}_at"
    defaults = {item.name: item.default for item in OFFERED}
    assert override(Run(), found) == override(Run(), {table: ()} if table in defaults else {})
