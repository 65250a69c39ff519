"""Facts about the benchmark."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.budgets import BUDGETS, Budget, Verdict, names, verdicts
from benchmarks.outcomes import Amounts, Comparison

REPOSITORY = Path(__file__).parents[1]
AT_MOST = Budget("call", "one call", "tator", 0.85, to=("urllib3",))
AT_LEAST = Budget("bulk", "many calls", "tator", 1.15, to=("urllib3", "aiohttp"), at_least=True)


def benchmarks(*arguments):
    """Run the benchmark as a program."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


def test_a_quick_check_writes_what_it_prints_and_exits_with_1_if_a_budget_is_missed(tmp_path):
    """The table has the written ratios, and the exit status follows the written verdicts."""
    done = benchmarks("--quick", "--check", "--only", "call", "--output", str(tmp_path))
    assert "Written to" in done.stdout, done.stderr
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert done.returncode == (not all(budget["is_met"] for budget in written["budgets"]))
    (call,) = written["outcomes"]
    assert call["contestants"]["urllib3"]["ratio"] == 1
    (ours,) = [line for line in done.stdout.splitlines() if line.startswith("| **tator** |")]
    assert f"| {call['contestants']['tator']['ratio']:.2f} |" in ours
    assert ours in (tmp_path / "results.md").read_text(encoding="utf-8")
    for budget in written["budgets"]:
        verdict = "ok" if budget["is_met"] else "**MISSED**"
        (line,) = [line for line in done.stdout.splitlines() if f"| {budget['what']} |" in line]
        assert line.endswith(f"| {verdict} |")


def test_a_quick_run_measures_memory_and_exits_with_0(tmp_path):
    """Without `--check` the exit status says nothing about budgets."""
    done = benchmarks("--quick", "--only", "many-calls", "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (calls,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["outcomes"]
    assert calls["amounts"].keys() >= {"memory, MB", "each, bytes", "threads", "descriptors"}


def test_an_unknown_measurement_is_rejected():
    """The error names the measurements that exist."""
    done = benchmarks("--only", "calls")
    assert done.returncode == 2
    assert "many-calls" in done.stderr


@pytest.mark.parametrize(
    ("budget", "ours", "is_met"),
    [
        (AT_MOST, 85, True),
        (AT_MOST, 86, False),
        (AT_LEAST, 230, True),
        (AT_LEAST, 229, False),
    ],
)
def test_a_ratio_of_medians_to_the_best_peer_meets_its_budget_up_to_the_limit(budget, ours, is_met):
    """One outlier changes nothing, and of two peers the one with the better median counts."""
    samples = {
        "tator": [ours, ours, 1e6],
        "urllib3": [1, 100, 100],
        "aiohttp": [200, 200, 1],
    }
    outcome = Comparison("", "", "", samples, more_is_better=budget.at_least)
    assert Verdict(budget, budget.figure(outcome)).is_met == is_met


def test_a_budget_that_was_not_measured_is_missed():
    """A missing peer or amount never passes for success."""
    outcomes = [
        Comparison("bulk-0ms", "", "/s", {"tator": [1.0], "urllib3": [1.0]}),
        Amounts("clients", "", {}, "the system does not tell"),
    ]
    measured = {verdict.budget.what: verdict.measured for verdict in verdicts(outcomes)}
    assert measured["bulk, 0 ms, to urllib3"] == 1
    assert measured["bulk, 0 ms, 2 processes, to aiohttp"] is None
    assert measured["threads of 100 clients"] is None
    assert not Verdict(BUDGETS[0], None).is_met


def test_a_check_leaves_out_the_contestants_without_a_budget():
    """A script is compared with urllib3 alone, and a call with every peer."""
    assert names("script-http") == {"tator", "urllib3"}
    assert names("call") > {"tator", "urllib3", "httpx", "requests"}
