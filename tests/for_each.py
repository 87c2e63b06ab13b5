"""One test for many cases: all of them run, and those that fail are reported together."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import pytest

Test = Callable[..., None]


def for_each(
    names: str | Sequence[str],
    cases: Iterable[Any],
    ids: Sequence[str] | Callable[[Any], object] | None = None,
) -> Callable[[Test], Test]:
    """Run a test for each case, as `pytest.mark.parametrize` does, but as a single test.

    For one assertion about many presets, modules or options, each of which is quick. The cases
    share their fixtures. Decorators can be stacked.

    Args:
        names, cases, ids: As those of `pytest.mark.parametrize`; cases have no marks.
    """
    words = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    rows = [_row(case, single=len(words) == 1) for case in cases]
    labels = [_label(row, number, ids) for number, row in enumerate(rows)]
    assert rows, f"no cases for {', '.join(words)}"

    def decorate(test: Test) -> Test:
        signature = inspect.signature(test)
        assert set(words) <= set(signature.parameters), f"{test.__name__} lacks one of {words}"

        @wraps(test)
        def all_cases(*args: Any, **fixtures: Any) -> None:
            failures: list[BaseException] = []
            skipped: list[str] = []
            for label, row in zip(labels, rows, strict=True):
                try:
                    test(*args, **fixtures, **dict(zip(words, row.values, strict=True)))
                except KeyboardInterrupt:
                    raise
                except pytest.skip.Exception as reason:
                    skipped.append(f"{label}: {reason}")
                except BaseException as error:  # that of pytest.fail is not an Exception
                    error.add_note(f"case: {label}")
                    failures.append(error)
            if failures:
                raise BaseExceptionGroup(f"{len(failures)} of {len(rows)} cases failed", failures)
            if skipped:
                pytest.skip(f"{len(skipped)} of {len(rows)} cases: {skipped[0]}")

        all_cases.__signature__ = signature.replace(
            parameters=[  # type: ignore[attr-defined]
                each for name, each in signature.parameters.items() if name not in words
            ]
        )
        return all_cases

    return decorate


def _row(case: Any, *, single: bool) -> Any:
    """A case as pytest.param makes it."""
    if hasattr(case, "marks"):
        assert not case.marks, "for_each takes no marks"
        return case
    return pytest.param(case) if single else pytest.param(*case)


def _label(row: Any, number: int, ids: Sequence[str] | Callable[[Any], object] | None) -> str:
    if row.id is not None:
        return str(row.id)
    if callable(ids):
        return "-".join(str(ids(value)) for value in row.values)
    return ids[number] if ids is not None else ", ".join(map(repr, row.values))[:200]
