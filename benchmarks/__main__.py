"""Measure `tator` beside its peers: `python -m benchmarks`, run from the repository."""

from __future__ import annotations

import argparse
import compileall
import sys
from pathlib import Path

from benchmarks import budgets, peers, report
from benchmarks.measurements import MEASUREMENTS
from benchmarks.turns import Setting


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--check",
        action="store_true",
        help="measure what has a budget, and exit with 1 if one is missed",
    )
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument(
        "--full", action="store_true", help="a million IDs for the memory, instead of 100,000"
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help="make this measurement alone")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmark-results"),
        help="directory for table, plot and JSON (default: %(default)s)",
    )
    options = parser.parse_args()
    directory = (options.output / "peers").absolute()
    setting = Setting(directory, options.quick, options.full, options.check)
    peers.generate(directory)
    # An installed package comes compiled.
    for package in (peers.REPOSITORY / "tator", peers.REPOSITORY / "benchmarks", directory):
        compileall.compile_dir(package, quiet=2)
    print(f"{report.machine()}\n", flush=True)
    outcomes = []
    for name in [options.only] if options.only else MEASUREMENTS:
        for outcome in MEASUREMENTS[name](setting):
            print(report.markdown(outcome), flush=True)
            outcomes.append(outcome)
    verdicts = budgets.verdicts(outcomes)
    print(report.markdown_of_budgets(verdicts))
    for problem in report.write(outcomes, verdicts, options.output):
        print(problem)
    print(f"Written to {options.output}")
    return int(options.check and not all(verdict.is_met for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
