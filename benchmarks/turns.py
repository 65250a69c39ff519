"""How contestants take turns, so that a disturbance affects all of them alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from textwrap import shorten
from time import perf_counter
from typing import Any

from benchmarks import budgets, peers
from benchmarks.contestants import BASE, OURS

_LEFT_OUT_STARTS = ("PYTHON", "TATOR_", "SSL_CERT_")
_LEFT_OUT_ENDS = ("_PROXY", "_CA_BUNDLE")


@dataclass(frozen=True)
class Setting:
    """What the measurements work with.

    Attributes:
        directory: The directory for generated clients and other files.
        quick: Whether few rounds suffice.
        full: Whether the memory for a million IDs is measured.
        only_budgets: Whether only the contestants are measured that a budget compares.
    """

    directory: Path
    quick: bool = False
    full: bool = False
    only_budgets: bool = False

    def count(self, usual: int, quick: int) -> int:
        return quick if self.quick else usual

    def contestants(self, outcome: str, names: Iterable[str]) -> list[str]:
        """The names of those that take part."""
        compared = budgets.names(outcome)
        return [name for name in names if not self.only_budgets or name in compared]


class Failed(Exception):
    """A measured process failed, for this reason."""


class Worker:
    """A process that measures one contestant whenever it is asked to."""

    def __init__(self, setting: Setting, task: str, name: str, host: str) -> None:
        command = [sys.executable, "-m", "benchmarks.worker", task, name, host]
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # see __exit__
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(setting),
        )
        try:
            self._response()
        except Failed:
            self.__exit__()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()
        self._errors.close()

    def measure(self, count: int) -> Any:
        assert self._process.stdin
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._response()

    def _response(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise Failed(_last_line(self._errors.read()))
        return json.loads(line)


Samples = dict[str, list[float]]
Skipped = dict[str, str]


def in_turn(
    setting: Setting, task: str, names: Iterable[str], host: str, rounds: int, count: int
) -> tuple[Samples, Skipped]:
    """Let workers take turns.

    Returns:
        The samples of each contestant, one for each round, and why others could not take part.
    """
    skipped: Skipped = {}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            try:
                workers[name] = stack.enter_context(Worker(setting, task, name, host))
            except Failed as failure:
                _skip(skipped, name, failure)
        measures = {name: partial(worker.measure, count) for name, worker in workers.items()}
        return _rounds(measures, rounds), skipped


def programs_in_turn(
    programs: Mapping[str, Callable[[], float]], rounds: int
) -> tuple[Samples, Skipped]:
    """Let whole programs take turns, as `in_turn` does with workers."""
    skipped: Skipped = {}
    able = {}
    for name, run in programs.items():
        try:
            run()  # The first run writes the compiled modules if there are none.
            able[name] = run
        except Failed as failure:
            _skip(skipped, name, failure)
    return _rounds(able, rounds), skipped


def program(
    command: list[str], environment: dict[str, str], prints_seconds: bool = False
) -> Callable[[], float]:
    """A program to run; the function returns the seconds that it takes, or prints."""

    def run() -> float:
        # Not in the repository, whose packages would come before those on the path.
        with tempfile.TemporaryDirectory() as elsewhere:
            started = perf_counter()
            done = subprocess.run(
                command, env=environment, cwd=elsewhere, capture_output=True, check=False
            )
            seconds = perf_counter() - started
        if done.returncode:
            raise Failed(_last_line(done.stderr.decode()))
        return float(done.stdout) if prints_seconds else seconds

    return run


def _rounds(measures: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    samples: Samples = {name: [] for name in measures}
    names = list(measures)
    for _ in range(rounds):
        for name in names:
            samples[name].append(measures[name]())
        # So that no contestant always follows the same one.
        names = names[1:] + names[:1]
    return samples


def _skip(skipped: Skipped, name: str, failure: Failed) -> None:
    if name in (BASE, OURS):
        raise failure
    skipped[name] = str(failure)


def _last_line(text: str) -> str:
    return shorten((text.strip().splitlines() or ["it ended without a message"])[-1], 120)


def environment(setting: Setting, *paths: Path) -> dict[str, str]:
    """The environment of the measured processes, without the settings of this user."""
    path = os.pathsep.join(map(str, [*paths, peers.REPOSITORY, setting.directory]))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(_LEFT_OUT_ENDS) and not name.startswith(_LEFT_OUT_STARTS)
    }
    return {**kept, "PYTHONPATH": path}
