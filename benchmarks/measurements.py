"""The measurements: contestants take turns, so that what disturbs one disturbs all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from textwrap import shorten
from time import perf_counter
from typing import Any
from uuid import uuid1

from benchmarks import contestants, peers, server
from benchmarks.contestants import BASE, OURS

_SERVER_TAKES = 0.02  # seconds
_MEGABYTE = 1e6
_LEFT_OUT_STARTS = ("PYTHON", "TATOR_", "SSL_CERT_")
_LEFT_OUT_ENDS = ("_PROXY", "_CA_BUNDLE")
# Smaller than anything that could be left behind for each: an object, an entry, a string.
_FLAT = 50  # bytes


@dataclass(frozen=True)
class Budget:
    """What our ratio to the base may be."""

    limit: float
    at_least: bool = False

    def is_met(self, ratio: float) -> bool:
        return ratio >= self.limit if self.at_least else ratio <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:.2f}"


@dataclass(frozen=True)
class Comparison:
    """What the contestants took; the samples of one round stand at the same place of each list."""

    name: str
    title: str
    unit: str
    samples: Mapping[str, list[float]]
    budget: Budget | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)

    def ratio(self, name: str) -> float:
        """The median's ratio to that of the base."""
        return median(self.samples[name]) / median(self.samples[BASE])


@dataclass(frozen=True)
class Fact:
    """One thing that was seen, and whether it is what was promised."""

    what: str
    seen: str
    is_met: bool


@dataclass(frozen=True)
class Facts:
    """What was seen of `tator` alone."""

    name: str
    title: str
    facts: list[Fact]


Outcome = Comparison | Facts


@dataclass(frozen=True)
class Setting:
    """Where the measurements work, and how patiently.

    Attributes:
        directory: Where the generated clients and other files are kept.
        quick: Whether few rounds will do.
    """

    directory: Path
    quick: bool

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


def calls(setting: Setting) -> Iterable[Outcome]:
    """One warm call."""
    with server.running() as host:
        samples, skipped = _in_turn(
            setting, "call", contestants.CALLS, host, setting.count(60, 5), setting.count(200, 50)
        )
    yield Comparison(
        "call",
        "One warm call, keep-alive",
        "µs",
        _times(samples, 1e6),
        Budget(1.0),
        skipped,
    )


def imports(setting: Setting) -> Iterable[Outcome]:
    """What importing a package takes."""
    environment = _environment(setting)
    skipped = {}
    runs = {name: (_importing(module), environment) for name, module in contestants.IMPORTS.items()}
    official = "tator 1.8.1, the official one"
    try:
        directory = peers.official(setting.directory)
        runs[official] = (_importing("tator"), {**environment, "PYTHONPATH": str(directory)})
    except peers.Unavailable as error:
        skipped[official] = str(error)
    samples, failed = _run_in_turn(setting, runs, setting.count(25, 3))
    yield Comparison(
        "import",
        "Import, in a fresh interpreter",
        "ms",
        _times(samples, 1e3),
        Budget(0.10),
        {**skipped, **failed},
    )


def _importing(module: str) -> list[str]:
    """A program that prints the seconds that an import takes; those of the start are left out."""
    program = (
        "from time import perf_counter; started = perf_counter();"
        f" import {module}; print(perf_counter() - started)"
    )
    return [sys.executable, "-c", program]


def scripts(setting: Setting) -> Iterable[Outcome]:
    """A whole program that makes one call."""
    rounds = setting.count(15, 3)
    with server.running() as host:
        yield _one_call(
            setting, "script-http", "A script that makes one call, http", host, "", rounds
        )
    try:
        authority, certificate = _certificate(setting.directory)
        bundle = _certifi_with(setting.directory, authority)
    except ImportError as error:
        skipped = dict.fromkeys(contestants.SCRIPTS, str(error))
        yield Comparison("script-https", "The same, https", "ms", {}, None, skipped)
        return
    with server.running(certificate=certificate) as host:
        title = "The same, https, with the one certificate needed"
        yield _one_call(setting, "script-https", title, host, str(authority), rounds)
        title = "The same, https, with certifi's certificates"
        yield _one_call(setting, "script-https-certifi", title, host, "", rounds, bundle)


def _one_call(
    setting: Setting, name: str, title: str, host: str, ca: str, rounds: int, *paths: Path
) -> Comparison:
    environment = _environment(setting, *paths)
    runs = {}
    for contestant, maker in contestants.SCRIPTS.items():
        program = (
            f"import sys; from benchmarks.contestants import {maker.__name__} as make;"
            " make(sys.argv[1], sys.argv[2], sys.argv[3] or None)(sys.argv[4])"
        )
        command = [sys.executable, "-c", program, host, "0123456789", ca, str(uuid1())]
        runs[contestant] = (command, environment)
    samples, skipped = _run_in_turn(setting, runs, rounds)
    return Comparison(name, title, "ms", _times(samples, 1e3), Budget(1.10), skipped)


def clients(setting: Setting) -> Iterable[Outcome]:
    """Making a client, and what it leaves behind."""
    samples, skipped = _in_turn(
        setting, "client", contestants.CLIENTS, "", setting.count(8, 3), setting.count(20, 5)
    )
    yield Comparison(
        "client", "Making a client", "µs", _times(samples, 1e6), budget=None, skipped=skipped
    )
    count = setting.count(10_000, 2_000)
    with _Worker(setting, "clients-kept", OURS, "") as worker:
        seen = worker.measure(count)
    yield Facts(
        "client-resources",
        "What `ApiClient()` takes",
        [
            _none("threads of 100 clients", seen["threads"]),
            _none("descriptors of 100 clients", seen["descriptors"]),
            _none("TLS contexts of 100 clients", seen["contexts"]),
            _flat(f"memory after {count:,} made and dropped", seen["memory"], count),
        ],
    )


def bulk(setting: Setting) -> Iterable[Outcome]:
    """Many deletions, 32 at a time."""
    count = setting.count(1500, 200)
    with server.running(_SERVER_TAKES) as host:
        samples, skipped = _in_turn(
            setting, "bulk", contestants.BULK, host, setting.count(15, 3), count
        )
    yield Comparison(
        "bulk",
        f"{count:,} deletions, 32 at a time, the server takes 20 ms (ideal 1,600/s)",
        "/s",
        samples,
        Budget(1.0, at_least=True),
        skipped,
    )
    many = setting.count(100_000, 3_000)
    with server.running() as host, _Worker(setting, "bulk-memory", OURS, host) as worker:
        seen = worker.measure(many)
    what = f"most memory during {many:,} ids from a generator, beyond that of 1,000"
    yield Facts(
        "bulk-memory", "What `bulk.iter_delete_jobs` takes", [_flat(what, **seen, count=many)]
    )


def many_calls(setting: Setting) -> Iterable[Outcome]:
    """Many calls on one client."""
    count = setting.count(100_000, 3_000)
    with server.running() as host, _Worker(setting, "many-calls", OURS, host) as worker:
        seen = worker.measure(count)
    yield Facts(
        "many-calls",
        f"What {count:,} calls on one client leave behind",
        [
            _flat("memory", seen["memory"], count),
            _none("threads", seen["threads"]),
            _none("descriptors", seen["descriptors"]),
        ],
    )


MEASUREMENTS: dict[str, Callable[[Setting], Iterable[Outcome]]] = {
    "call": calls,
    "import": imports,
    "script": scripts,
    "client": clients,
    "bulk": bulk,
    "many-calls": many_calls,
}


def _none(what: str, seen: int) -> Fact:
    return Fact(what, f"{seen:+d}" if seen else "none", seen <= 0)


def _flat(what: str, memory: int, count: int) -> Fact:
    seen = f"{memory / _MEGABYTE:+.1f} MB, {memory / count:.0f} bytes each"
    return Fact(what, seen, memory < max(_MEGABYTE, _FLAT * count))


def _times(samples: Mapping[str, list[float]], factor: float) -> dict[str, list[float]]:
    return {name: [factor * seconds for seconds in times] for name, times in samples.items()}


class _Failed(Exception):
    """A measured process failed, for the reason given."""


class _Worker:
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
            env=_environment(setting),
        )
        try:
            self._answer()
        except _Failed:
            self.__exit__()
            raise

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()
        self._errors.close()

    def measure(self, count: int) -> Any:
        assert self._process.stdin
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._errors.seek(0)
            raise _Failed(_last_line(self._errors.read()))
        return json.loads(line)


def _in_turn(
    setting: Setting, task: str, names: Iterable[str], host: str, rounds: int, count: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Let workers take turns.

    Returns:
        For each contestant what it measured in each round, and why others could not take part.
    """
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        workers = {}
        for name in names:
            try:
                workers[name] = stack.enter_context(_Worker(setting, task, name, host))
            except _Failed as failure:
                _skip(skipped, name, failure)
        return _rounds(
            {name: worker.measure for name, worker in workers.items()}, rounds, count
        ), skipped


def _rounds(
    measures: Mapping[str, Callable[[int], float]], rounds: int, count: int
) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in measures}
    names = list(measures)
    for _ in range(rounds):
        for name in names:
            samples[name].append(measures[name](count))
        # Nobody always follows the same one.
        names = names[1:] + names[:1]
    return samples


def _run_in_turn(
    setting: Setting, runs: Mapping[str, tuple[list[str], dict[str, str]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """The seconds that processes print, or else take; and why some could not take part."""
    skipped: dict[str, str] = {}
    measures: dict[str, Callable[[int], float]] = {}
    with tempfile.TemporaryDirectory() as elsewhere:
        # Not in the repository, whose packages would come before those on the path.
        for name, (command, environment) in runs.items():

            def measure(
                _: int, command: list[str] = command, environment: dict[str, str] = environment
            ) -> float:
                started = perf_counter()
                done = subprocess.run(
                    command, env=environment, cwd=elsewhere, capture_output=True, check=False
                )
                seconds = perf_counter() - started
                if done.returncode:
                    raise _Failed(_last_line(done.stderr.decode()))
                return float(done.stdout or seconds)

            try:
                # The first run writes the compiled modules where there are none.
                measure(1)
                measures[name] = measure
            except _Failed as failure:
                _skip(skipped, name, failure)
        return _rounds(measures, rounds, 1), skipped


def _skip(skipped: dict[str, str], name: str, failure: _Failed) -> None:
    if name in (BASE, OURS):
        raise failure
    skipped[name] = str(failure)


def _last_line(text: str) -> str:
    return shorten((text.strip().splitlines() or ["it ended without a word"])[-1], 120)


def _environment(setting: Setting, *paths: Path) -> dict[str, str]:
    """The environment of the measured processes: nothing in it that only this user has."""
    path = os.pathsep.join(map(str, [*paths, peers.REPOSITORY, setting.directory]))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(_LEFT_OUT_ENDS) and not name.startswith(_LEFT_OUT_STARTS)
    }
    return {**kept, "PYTHONPATH": path}


def _certificate(directory: Path) -> tuple[Path, Path]:
    """A new authority's certificate, and a server's key and chain."""
    import trustme

    authority = trustme.CA()
    files = directory / "authority.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(files[0]))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(files[1]))
    return files


def _certifi_with(directory: Path, authority: Path) -> Path:
    """A directory with a copy of certifi that knows the authority too."""
    import certifi

    copy = directory / "certifi-copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(Path(certifi.__file__).parent, copy / "certifi")
    with (copy / "certifi" / "cacert.pem").open("a", encoding="utf-8") as bundle:
        bundle.write(authority.read_text(encoding="utf-8"))
    return copy
