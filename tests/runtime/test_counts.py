"""Counts in sentences."""

import pytest

from progan.runtime.counts import format_count, pluralize


@pytest.mark.parametrize(("count", "text"), [
    (0, "0 images are"), (1, "1 image is"), (2, "2 images are"), (1234567, "1,234,567 images are")])
def test_nouns_and_verbs_agree_with_counts(count: int, text: str) -> None:
    assert f"{format_count(count, 'image')} {pluralize(count, 'is', 'are')}" == text


def test_zero_may_have_a_word_of_its_own() -> None:
    assert [format_count(count, "class", "classes", none="no") for count in (0, 1, 2)] == [
        "no classes", "1 class", "2 classes"]


def test_other_plurals_are_given() -> None:
    assert format_count(1, "copy", "copies") == "1 copy"
    assert format_count(2, "copy", "copies") == "2 copies"
