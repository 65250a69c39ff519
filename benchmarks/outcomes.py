"""What a measurement yields: contestants side by side, or amounts of `tator` alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.contestants import BASE


@dataclass(frozen=True)
class Comparison:
    """The samples of each contestant; those of one round are at the same index of each list."""

    name: str
    title: str
    unit: str
    samples: Mapping[str, list[float]]
    skipped: Mapping[str, str] = field(default_factory=dict)
    more_is_better: bool = False

    def ratio(self, name: str, *to: str) -> float:
        """The ratio of a median to the best median of others, by default to that of the base."""
        best = max if self.more_is_better else min
        return median(self.samples[name]) / best(
            median(self.samples[peer]) for peer in to or [BASE]
        )


@dataclass(frozen=True)
class Amounts:
    """Amounts of `tator` alone, by names that hold the unit; `skipped` says why there are none."""

    name: str
    title: str
    amounts: Mapping[str, float]
    skipped: str = ""


Outcome = Comparison | Amounts
