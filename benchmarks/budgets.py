"""The budgets, as data, and whether the measurements are within them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.contestants import AIOHTTP, BASE, OURS, OURS_IN_PROCESSES, SCRIPTS
from benchmarks.outcomes import Amounts, Outcome

_PEERS = tuple(name for name in SCRIPTS if name not in (BASE, OURS))


@dataclass(frozen=True)
class Budget:
    """The limit of one figure.

    Attributes:
        outcome: The name of the outcome that has the figure.
        what: The figure, for a reader.
        name: The contestant, or the amount.
        limit: The largest ratio or amount.
        to: The contestants that the ratio is to, the best of them if there are several. Empty
            for an amount.
        at_least: Whether `limit` is the smallest ratio instead.
    """

    outcome: str
    what: str
    name: str
    limit: float
    to: tuple[str, ...] = ()
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.text(self.limit)}"

    def text(self, figure: float, digits: int = 2) -> str:
        """A figure as it is shown: a ratio with these digits, an amount without decimals."""
        return f"{figure:.{digits}f}" if self.to else f"{figure:,.0f}"

    def figure(self, outcome: Outcome) -> float | None:
        """The measured figure, or `None` if a contestant is missing."""
        if isinstance(outcome, Amounts):
            return outcome.amounts.get(self.name)
        present = [peer for peer in self.to if peer in outcome.samples]
        if self.name not in outcome.samples or not present:
            return None
        return outcome.ratio(self.name, *present)


BUDGETS = (
    Budget("call", "one warm call, to urllib3", OURS, 0.85, to=(BASE,)),
    Budget("call", "one warm call, to the fastest other peer", OURS, 1.00, to=_PEERS),
    Budget("import", "import, to urllib3", OURS, 0.05, to=(BASE,)),
    Budget("script-http", "a script with one http call, to urllib3", OURS, 1.08, to=(BASE,)),
    Budget("script-https", "a script with one https call, to urllib3", OURS, 1.08, to=(BASE,)),
    Budget("clients", "threads of 100 clients", "threads", 0),
    Budget("clients", "descriptors of 100 clients", "descriptors", 0),
    Budget("clients", "TLS contexts of 100 clients", "TLS contexts", 0),
    # Noise of a megabyte over 10,000 clients, each of which takes several thousand bytes.
    Budget("clients", "bytes left by each client that was dropped", "each, bytes", 100),
    Budget("bulk-20ms", "bulk, 20 ms, to urllib3", OURS, 1.00, to=(BASE,), at_least=True),
    Budget("bulk-0ms", "bulk, 0 ms, to urllib3", OURS, 1.15, to=(BASE,), at_least=True),
    Budget(
        "bulk-0ms",
        "bulk, 0 ms, 2 processes, to aiohttp",
        OURS_IN_PROCESSES,
        1.00,
        to=(AIOHTTP,),
        at_least=True,
    ),
    # Less than any object that could be kept; a known ID takes about 20 bytes.
    Budget("bulk-memory", "bulk, peak bytes for each ID", "each, bytes", 50),
    Budget("bulk-failures", "bulk, peak MB for failures with 150 kB pages", "memory, MB", 60),
    Budget("many-calls", "threads left by many calls", "threads", 0),
    Budget("many-calls", "descriptors left by many calls", "descriptors", 0),
    Budget("many-calls", "bytes left by each call", "each, bytes", 50),
)


@dataclass(frozen=True)
class Verdict:
    """A budget and its measured figure, `None` if it could not be measured."""

    budget: Budget
    measured: float | None

    @property
    def is_met(self) -> bool:
        if self.measured is None:
            return False
        if self.budget.at_least:
            return self.measured >= self.budget.limit
        return self.measured <= self.budget.limit


def verdicts(outcomes: Iterable[Outcome]) -> list[Verdict]:
    """The verdict for each budget of these outcomes."""
    return [
        Verdict(budget, budget.figure(outcome))
        for outcome in outcomes
        for budget in BUDGETS
        if budget.outcome == outcome.name
    ]


def names(outcome: str) -> set[str]:
    """The contestants that the budgets of an outcome compare."""
    return {
        name
        for budget in BUDGETS
        if budget.outcome == outcome
        for name in (budget.name, *budget.to)
    }
