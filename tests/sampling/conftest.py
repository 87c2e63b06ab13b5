"""Small networks, as snapshots of them are kept."""

import pytest

from progan.sampling.snapshot_file import Snapshot
from tests.builders import tiny_snapshot


@pytest.fixture(scope="session")
def snapshot() -> Snapshot:
    return tiny_snapshot()


@pytest.fixture(scope="session")
def with_classes() -> Snapshot:
    """Its classes are the digits 3, 7 and 1, and the names collide with indices on purpose."""
    return tiny_snapshot(("3", "7", "1"))
