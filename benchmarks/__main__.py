"""Measure `tator` beside its peers: `python -m benchmarks`, run from the repository."""

from __future__ import annotations

import argparse
import compileall
from pathlib import Path

from benchmarks import peers, report
from benchmarks.measurements import MEASUREMENTS, Setting


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--only", choices=MEASUREMENTS, help="make this measurement alone")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmark-results"),
        help="directory for table, plot and JSON (default: %(default)s)",
    )
    options = parser.parse_args()
    setting = Setting((options.output / "peers").absolute(), options.quick)
    peers.generate(setting.directory)
    # An installed package comes compiled.
    for directory in (
        peers.REPOSITORY / "tator",
        peers.REPOSITORY / "benchmarks",
        setting.directory,
    ):
        compileall.compile_dir(directory, quiet=2)
    print(f"{report.machine()}\n", flush=True)
    outcomes = []
    for name in [options.only] if options.only else MEASUREMENTS:
        for outcome in MEASUREMENTS[name](setting):
            print(report.markdown(outcome), flush=True)
            outcomes.append(outcome)
    for problem in report.write(outcomes, options.output):
        print(problem)
    print(f"Written to {options.output}")


if __name__ == "__main__":
    main()
