"""What is public changes only on purpose."""

from __future__ import annotations

from pathlib import Path

from public_surface import surface

SNAPSHOT = Path(__file__).with_name("public_surface.txt")


def test_the_public_surface_is_as_in_the_snapshot() -> None:
    """If the change is meant: python test/public_surface.py > test/public_surface.txt."""
    assert surface() == SNAPSHOT.read_text(encoding="utf-8")
