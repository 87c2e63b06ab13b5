"""Numbers in sentences."""

import pytest

from progan.runtime.text import counted


@pytest.mark.parametrize(("count", "words"), [
    (0, "0 images"), (1, "1 image"), (2, "2 images"), (12345, "12,345 images")])
def test_one_is_singular(count: int, words: str) -> None:
    assert counted(count, "image") == words


def test_other_plurals_and_another_word_for_none() -> None:
    assert [counted(count, "class", "classes", none="no") for count in (0, 1, 2)] == [
        "no classes", "1 class", "2 classes"]
