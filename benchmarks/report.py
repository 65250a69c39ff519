"""What was measured, as a table, a plot and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.budgets import Verdict
from benchmarks.contestants import BASE, OURS, OURS_IN_PROCESSES
from benchmarks.outcomes import Amounts, Comparison, Outcome


def machine() -> str:
    """The kind of machine, in a line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} on {platform.machine()}"
    return f"{python}, urllib3 {version('urllib3')}, {system}, {os.cpu_count()} cores"


def markdown(outcome: Outcome) -> str:
    """One measurement as a table."""
    if isinstance(outcome, Amounts):
        lines = [f"### {outcome.title}", "", "| | measured |", "|---|---:|"]
        lines += [f"| {name} | {_number(seen)} |" for name, seen in outcome.amounts.items()]
        lines += ["", f"Left out: {outcome.skipped}"] if outcome.skipped else []
        return "\n".join(lines) + "\n"
    unit = outcome.unit
    lines = [
        f"### {outcome.title}",
        "",
        f"| | median, {unit} | middle half, {unit} | ratio |",
        "|---|---:|---:|---:|",
    ]
    for name in outcome.samples:
        middle, low, high = _spread(outcome.samples[name])
        label = f"**{name}**" if name.startswith(OURS) else name
        cells = [label, _number(middle), f"{_number(low)} … {_number(high)}"]
        lines.append(f"| {' | '.join(cells)} | {_ratio(outcome.ratio(name))} |")
    lines += [""] + [f"Left out: {name} ({why})" for name, why in outcome.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def markdown_of_budgets(verdicts: Iterable[Verdict]) -> str:
    """Each budget, the measured figure, and whether it is met."""
    lines = ["### Budgets", "", "| what | budget | measured | |", "|---|---:|---:|---|"]
    for verdict in verdicts:
        budget, seen = verdict.budget, verdict.measured
        cells = [
            budget.what,
            str(budget),
            "not measured" if seen is None else budget.text(seen, digits=3),
        ]
        lines.append(f"| {' | '.join(cells)} | {'ok' if verdict.is_met else '**MISSED**'} |")
    return "\n".join(lines) + "\n"


def write(outcomes: Iterable[Outcome], verdicts: Iterable[Verdict], directory: Path) -> list[str]:
    """Write results.md, results.json and the plot; return why something could not be written."""
    outcomes, verdicts = list(outcomes), list(verdicts)
    parts = [f"{machine()}\n", *map(markdown, outcomes), markdown_of_budgets(verdicts)]
    (directory / "results.md").write_text("\n".join(parts), encoding="utf-8")
    result = {
        "machine": machine(),
        "outcomes": [_as_json(outcome) for outcome in outcomes],
        "budgets": [
            {
                "what": verdict.budget.what,
                "budget": str(verdict.budget),
                "measured": verdict.measured,
                "is_met": verdict.is_met,
            }
            for verdict in verdicts
        ],
    }
    (directory / "results.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    comparisons = [
        outcome for outcome in outcomes if isinstance(outcome, Comparison) and outcome.samples
    ]
    if not comparisons:
        return []
    try:
        _plot(comparisons, directory)
    except ImportError as error:
        return [f"no plot ({error})"]
    return []


def _as_json(outcome: Outcome) -> dict[str, Any]:
    if isinstance(outcome, Amounts):
        return vars(outcome)
    contestants = {}
    for name, samples in outcome.samples.items():
        middle, low, high = _spread(samples)
        spread = {"median": middle, "lower_quartile": low, "upper_quartile": high}
        contestants[name] = {**spread, "ratio": outcome.ratio(name), "rounds": len(samples)}
    return {
        "name": outcome.name,
        "title": outcome.title,
        "unit": outcome.unit,
        "base": BASE,
        "contestants": contestants,
        "skipped": dict(outcome.skipped),
    }


def _plot(comparisons: list[Comparison], directory: Path) -> None:
    import matplotlib  # type: ignore[import-not-found,unused-ignore]  # as the peers

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = (len(comparisons) + 1) // 2
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(13, 3.1 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(comparisons) :]:
        axis.remove()
    for axis, comparison in zip(axes.flat, comparisons, strict=False):
        names = list(comparison.samples)
        spreads = [_spread(comparison.samples[name]) for name in names]
        middles = [middle for middle, _, _ in spreads]
        errors = [
            [middle - low for middle, low, _ in spreads],
            [high - middle for middle, _, high in spreads],
        ]
        colors = [
            {OURS: "#0a7e5c", OURS_IN_PROCESSES: "#0a7e5c", BASE: "#55606e"}.get(name, "#b9c1cb")
            for name in names
        ]
        bars = axis.barh(names, middles, xerr=errors, color=colors, ecolor="#333333", capsize=2)
        labels = [
            f"  {_number(middle)} {comparison.unit}  ({_ratio(comparison.ratio(name))})"
            for name, middle in zip(names, middles, strict=True)
        ]
        axis.bar_label(bars, labels, fontsize=8)
        base = median(comparison.samples[BASE])
        axis.axvline(base, color="#55606e", linewidth=0.8, linestyle=":", zorder=0)
        axis.invert_yaxis()
        axis.margins(x=0.32)
        axis.set_xlim(left=0)
        better = "more" if comparison.more_is_better else "less"
        axis.set_title(
            f"{comparison.title}\n{comparison.unit}, {better} is better", fontsize=9, loc="left"
        )
        axis.tick_params(labelsize=8.5)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"Medians, middle halves, and ratios to {BASE}: {machine()}", fontsize=11)
    for kind in ("png", "svg"):
        figure.savefig(directory / f"results.{kind}", dpi=110)
    pyplot.close(figure)


def _spread(samples: list[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile."""
    low, middle, high = quantiles(samples, n=4, method="inclusive")
    return middle, low, high


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"
