"""What was measured, as a table, a plot and JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from benchmarks.contestants import BASE, OURS
from benchmarks.measurements import Comparison, Facts, Outcome


def machine() -> str:
    """The kind of machine, in a line."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()}, {os.cpu_count()} cores"


def markdown(outcome: Outcome) -> str:
    """One measurement as a table."""
    if isinstance(outcome, Facts):
        lines = [f"### {outcome.title}", "", "| | seen | budget |", "|---|---|---|"]
        lines += [f"| {fact.what} | {fact.seen} | {_met(fact.is_met)} |" for fact in outcome.facts]
        return "\n".join(lines) + "\n"
    unit = outcome.unit
    lines = [
        f"### {outcome.title}",
        "",
        f"| | median, {unit} | middle half, {unit} | ratio | budget |",
        "|---|---:|---:|---:|---|",
    ]
    for name in outcome.samples:
        middle, low, high = _spread(outcome.samples[name])
        budget = ""
        if name == OURS and outcome.budget:
            budget = f"{outcome.budget} {_met(outcome.budget.is_met(outcome.ratio(name)))}"
        label = f"**{name}**" if name == OURS else name
        cells = [label, _number(middle), f"{_number(low)} … {_number(high)}"]
        lines.append(f"| {' | '.join(cells)} | {_ratio(outcome.ratio(name))} | {budget} |")
    lines += [""] + [f"Left out: {name} ({why})" for name, why in outcome.skipped.items()]
    return "\n".join(lines).rstrip() + "\n"


def write(outcomes: Iterable[Outcome], directory: Path) -> list[str]:
    """Write results.md, results.json and the plot; return why something could not be written."""
    outcomes = list(outcomes)
    text = "\n".join([f"{machine()}\n", *map(markdown, outcomes)])
    (directory / "results.md").write_text(text, encoding="utf-8")
    result = {"machine": machine(), "outcomes": [_as_json(outcome) for outcome in outcomes]}
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
    if isinstance(outcome, Facts):
        facts = [vars(fact) for fact in outcome.facts]
        return {"name": outcome.name, "title": outcome.title, "facts": facts}
    contestants = {}
    for name, samples in outcome.samples.items():
        middle, low, high = _spread(samples)
        spread = {"median": middle, "lower_quartile": low, "upper_quartile": high}
        contestants[name] = {**spread, "ratio": outcome.ratio(name), "rounds": len(samples)}
    budget = outcome.budget
    return {
        "name": outcome.name,
        "title": outcome.title,
        "unit": outcome.unit,
        "base": BASE,
        "contestants": contestants,
        "budget": str(budget) if budget else None,
        "is_met": budget.is_met(outcome.ratio(OURS)) if budget and contestants else None,
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
        colours = [{OURS: "#0a7e5c", BASE: "#55606e"}.get(name, "#b9c1cb") for name in names]
        bars = axis.barh(names, middles, xerr=errors, color=colours, ecolor="#333333", capsize=2)
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
        better = "more" if comparison.budget and comparison.budget.at_least else "less"
        axis.set_title(
            f"{comparison.title}\n{comparison.unit}, {better} is better", fontsize=9.5, loc="left"
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
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}"


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "**not met**"
