"""The pytest fixture `local_tator`, which is installed with the package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tator.testing import LocalTator


@pytest.fixture
def local_tator(request: pytest.FixtureRequest) -> Iterator[LocalTator]:
    """A `LocalTator` for this test alone.

    For a generation other than the default: `@pytest.mark.parametrize("local_tator", ["2025-06"],
    indirect=True)`.
    """
    from tator.testing import LocalTator

    with LocalTator(server=getattr(request, "param", "2020-05")) as server:
        yield server
