"""The help of train.py and its list of presets."""

from click.testing import CliRunner

from progan.cli.train import main
from progan.cli.train_help import COMMON, HEADINGS
from progan.option_fields import format_option_name
from progan.options import group_offered_fields
from progan.presets import ABOUT, PRESETS, describe, preset


def show(*words: str) -> str:
    result = CliRunner().invoke(main, [*words])
    assert result.exit_code == 0, result.output
    return result.output


def test_help_is_short_and_help_all_complete() -> None:
    short, complete = show("--help"), show("--help-all")
    groups = group_offered_fields()
    assert set(HEADINGS) == set(groups)
    names = [field.name for fields in groups.values() for field in fields]
    assert set(COMMON) < set(names)
    listed = {name for name in names if f"  {format_option_name(name)} " in short}
    assert listed == set(COMMON)
    assert all(f"  {format_option_name(name)} " in complete for name in names)
    assert all(f"\n{heading}:\n" in complete for heading in HEADINGS.values())
    assert "--help-all" in short and "--resume" in short and "--resume" in complete
    assert len(short.splitlines()) < len(complete.splitlines()) / 2


def test_defaults_are_those_of_the_preset_wherever_it_is_named() -> None:
    for words in (
        ("--preset", "cpu", "--help"),
        ("--help", "--preset=cpu"),
        ("-h", "--cfg", "cpu"),
    ):
        text = " ".join(show(*words).split())
        assert "defaults of preset cpu" in text
        assert f"show in all. [default: {preset('cpu').growth.total_kimg:g}]" in text
    assert "defaults of preset v2-1gpu" in show("--help")
    assert "[default: 8:128,16:128" not in show("--help-all")
    assert "[default: 4:128,8:128,16:128" in show("--help-all")


def test_all_presets_are_listed_with_what_they_need() -> None:
    lines = show("--list-presets").splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(PRESETS)]] == list(PRESETS)
    assert "celeba-128 128 9000 16 CelebA" in " ".join(" ".join(lines).split())
    assert {describe(name) for name in PRESETS} == set(ABOUT.values())
