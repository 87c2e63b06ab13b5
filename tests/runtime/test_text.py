"""Counts in sentences, and names that every file system can hold."""

import unicodedata

import pytest

from progan.runtime.text import (
    format_count,
    make_distinct_file_names,
    make_safe_file_name,
    pluralize,
)
from tests.for_each import for_each


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 images are"),
        (1, "1 image is"),
        (2, "2 images are"),
        (1234567, "1,234,567 images are"),
    ],
)
def test_nouns_and_verbs_agree_with_counts(count: int, text: str) -> None:
    assert f"{format_count(count, 'image')} {pluralize(count, 'is', 'are')}" == text


def test_zero_may_have_a_word_of_its_own() -> None:
    assert [format_count(count, "class", "classes", none="no") for count in (0, 1, 2)] == [
        "no classes",
        "1 class",
        "2 classes",
    ]


def test_other_plurals_are_given() -> None:
    assert format_count(1, "copy", "copies") == "1 copy"
    assert format_count(2, "copy", "copies") == "2 copies"


@pytest.mark.parametrize("name", ["cat", "red bird", "日本", "a-b", "x" * 240, "a.b", "_", "nulls"])
def test_safe_names_stay_as_they_are(name: str) -> None:
    assert make_safe_file_name(name, "x") == name


@for_each(
    ("name", "safe"),
    [
        ("..", "x"),
        (".", "x"),
        ("", "x"),
        (" ", "x"),
        (". .", "x"),
        ("/", "-"),
        ("a/b", "a-b"),
        ("../../b", "-..-b"),
        ("a\\b", "a-b"),
        ("c:x", "c-x"),
        ("a\0b", "a-b"),
        ("a\nb", "a-b"),
        ("\x1b[31m", "-[31m"),
        ("\ud800", "-"),
        ("a\u202eb", "a-b"),
        ("a.", "a"),
        ("a ", "a"),
        (" a", "a"),
        (".hidden", "hidden"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("COM¹", "_COM¹"),
        ("nul .x", "_nul .x"),
        ("__MACOSX", "___MACOSX"),
        ("x" * 300, "x" * 240),
        ("é" * 200, "é" * 120),
        ("x" * 239 + "é", "x" * 239),
        ("x" * 239 + ".y", "x" * 239),
    ],
)
def test_unsafe_names_are_changed(name: str, safe: str) -> None:
    assert make_safe_file_name(name, "x") == safe


@pytest.mark.parametrize(
    "names",
    [
        ["Cat", "cat", "CAT", "cat-2"],
        ["a/b", "a-b", "a\\b"],
        ["..", ".", "", "class-0", "class-1"],
        ["café", unicodedata.normalize("NFD", "café")],
        ["x" * 300, "x" * 301, "x" * 240],
        ["a.", "a ", "a"],
        ["straße", "STRASSE"],
        ["con", "_con"],
        ["y", "y"],
    ],
)
def test_distinct_names_stay_distinct_without_case_and_normalization(names: list[str]) -> None:
    for given in (names, names[::-1]):
        found = make_distinct_file_names(given, "class")
        keys = {unicodedata.normalize("NFC", name.casefold()) for name in found}
        assert len(keys) == len(names)
        assert all(
            len(name.encode()) <= 255 and make_safe_file_name(name[:200], "") for name in found
        )


def test_names_that_are_safe_come_first() -> None:
    assert make_distinct_file_names(["a/b", "a-b", "Cat", "cat", "CAT-2"], "class") == [
        "a-b-2",
        "a-b",
        "Cat",
        "cat-3",
        "CAT-2",
    ]
