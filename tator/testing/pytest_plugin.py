"""The pytest fixture `local_tator`, which comes with the package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tator.testing import LocalTator


@pytest.fixture
def local_tator() -> Iterator[LocalTator]:
    """A `LocalTator` of the test's own."""
    from tator.testing import LocalTator

    with LocalTator() as server:
        yield server
