"""The settings of a run on its page."""

from progan import presets
from progan.config import override
from progan.report.facts import list_changes_from_preset


def test_changes_keep_their_values_and_name_options_only() -> None:
    run = override(
        presets.preset("demo"),
        {"detector": "/data/inception_v3.pt", "total_kimg": 5, "channels": 1, "base_width": 6},
    )
    before = presets.preset("demo").growth.total_kimg
    assert list_changes_from_preset(run) == [
        f"--total-kimg: {before:g} -> 5",
        "--detector:  -> /data/inception_v3.pt",
    ]
