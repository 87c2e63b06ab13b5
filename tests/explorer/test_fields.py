"""Anything can be typed."""


from progan.explorer.callbacks import parse_int
from tests.for_each import for_each


@for_each(("value", "number"), [
    (7, 7), (7.6, 8), (-3, 0), (250, 100), (1e30, 100), (None, None), ("", None), ("7", None),
    (float("nan"), None), (float("inf"), None), (True, None), ([7], None)])
def test_numbers_are_the_nearest_possible_ones(value: object, number: int | None) -> None:
    assert parse_int(value, 0, 100) == number


def test_without_bounds_any_whole_number_will_do() -> None:
    assert parse_int(-10**30) == -10**30
