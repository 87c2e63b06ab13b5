"""What --metrics understands."""

import pytest

from metrics.evaluation import METRICS
from metrics.options import DESCRIPTIONS, LOWER_IS_BETTER, parse_metrics
from progan.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("swd", {"swd": ("swd", None)}),
        ("swd16k, ms_ssim", {"swd16k": ("swd", 16384), "ms-ssim": ("ms-ssim", None)}),
        (
            "fid50k,kid75,kid7510",
            {"fid50k": ("fid", 50000), "kid75": ("kid75", None), "kid7510": ("kid75", 10)},
        ),
        (
            "ms-ssim10k,is-500,kid1k",
            {"ms-ssim10k": ("ms-ssim", 10000), "is-500": ("is", 500), "kid1k": ("kid", 1024)},
        ),
    ],
)
def test_lists_of_metrics(text: str, expected: dict) -> None:
    assert parse_metrics(text) == expected


@pytest.mark.parametrize("text", ["fidd", "swd,nonsense", "swdk", "swd16m", "16k", "swd-", "-"])
def test_what_is_no_metric_is_named(text: str) -> None:
    with pytest.raises(UserError, match="no such metric.*swd16k,ms-ssim"):
        parse_metrics(text)


def test_names_fit_the_table() -> None:
    assert list(METRICS) == list(DESCRIPTIONS)
    assert set(LOWER_IS_BETTER) < set(DESCRIPTIONS)
