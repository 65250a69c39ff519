"""What is public changes only on purpose."""

from __future__ import annotations

from public_surface import SNAPSHOT, surface


def test_the_public_surface_is_as_in_the_snapshot() -> None:
    """If the change is meant: run python test/public_surface.py, which writes it."""
    assert surface() == SNAPSHOT.read_text(encoding="utf-8")
