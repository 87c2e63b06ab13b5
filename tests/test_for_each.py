"""No case is missed, and each that fails is named."""

from pathlib import Path

import pytest

from tests.for_each import for_each


@for_each("small", [1, 2])
@for_each(("large", "sum_"), [(10, 11), pytest.param(20, 21, id="twenty")])
def sums(small: int, large: int, sum_: int, log: list[tuple[int, int]]) -> None:
    log.append((small, large))
    assert small + large == sum_
    if large == 20:
        pytest.fail("not an Exception")


def test_every_case_runs_and_all_failures_are_reported_together() -> None:
    log: list[tuple[int, int]] = []
    with pytest.raises(BaseExceptionGroup) as caught:
        sums(log=log)
    assert log == [(1, 10), (1, 20), (2, 10), (2, 20)]
    one, two = caught.value.exceptions
    assert isinstance(one, BaseExceptionGroup) and isinstance(two, BaseExceptionGroup)
    assert (one.__notes__, two.__notes__) == (["case: 1"], ["case: 2"])
    assert [error.__notes__ for error in one.exceptions] == [["case: twenty"]]
    assert [error.__notes__ for error in two.exceptions] == [["case: 10, 11"], ["case: twenty"]]


def test_a_skipped_case_does_not_hide_the_others() -> None:
    @for_each("number", range(3), ids=lambda number: f"no. {number}")
    def skips_the_first(number: int, wrong: bool) -> None:
        if number == 0:
            pytest.skip("nothing there")
        assert not wrong

    with pytest.raises(pytest.skip.Exception, match="1 of 3 cases: no. 0: nothing there"):
        skips_the_first(wrong=False)
    with pytest.raises(BaseExceptionGroup, match="2 of 3 cases failed"):
        skips_the_first(wrong=True)


def test_cases_that_would_test_nothing_are_refused() -> None:
    with pytest.raises(AssertionError, match="no cases for number"):
        for_each("number", [])
    with pytest.raises(AssertionError, match="lacks one of"):
        for_each("nmber", [1])(lambda number: None)
    with pytest.raises(AssertionError, match="takes no marks"):
        for_each("number", [pytest.param(1, marks=pytest.mark.slow)])


class TestFixtures:
    @for_each("name", ["a", "b"])
    def test_methods_get_their_fixtures(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).touch()
        assert (tmp_path / "a").exists()
