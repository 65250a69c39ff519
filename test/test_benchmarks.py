"""Facts about the benchmark."""

import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_a_quick_measurement_prints_a_table_and_writes_the_same_figures(tmp_path):
    """A measurement takes whoever is installed, compares with urllib3, and writes what it saw."""
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "call"]
    done = subprocess.run(
        [*command, "--output", str(tmp_path)], cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (ours,) = [line for line in done.stdout.splitlines() if line.startswith("| **tator** |")]
    (written,) = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["outcomes"]
    assert written["contestants"]["urllib3"]["ratio"] == 1
    assert f"| {written['contestants']['tator']['ratio']:.2f} |" in ours
    assert ours in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_a_measurement_that_does_not_exist_is_refused():
    """A misspelt measurement ends with the names of those there are."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--only", "calls"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "many-calls" in done.stderr
