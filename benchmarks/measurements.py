"""The measurements: each function yields what it measured."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid1

from benchmarks import contestants, peers, server
from benchmarks.contestants import OURS
from benchmarks.outcomes import Amounts, Comparison, Outcome
from benchmarks.turns import Setting, Worker, environment, in_turn, program, programs_in_turn

_MEGABYTE = 1e6


def calls(setting: Setting) -> Iterable[Outcome]:
    """One warm call."""
    names = setting.contestants("call", contestants.CALLS)
    with _one_core(), server.running() as host:
        samples, skipped = in_turn(
            setting, "call", names, host, setting.count(60, 5), setting.count(200, 50)
        )
    yield Comparison("call", "One warm call, keep-alive", "µs", _times(samples, 1e6), skipped)


@contextmanager
def _one_core() -> Iterator[None]:
    """Let the server and those who call it share a core, where the system allows it.

    On two, most of a call is the time in which one of them wakes up, which depends on the cores
    that the system picks for the run.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def imports(setting: Setting) -> Iterable[Outcome]:
    """The import of a package."""
    fresh = environment(setting)
    programs = {
        name: program(_importing(contestants.IMPORTS[name]), fresh, prints_seconds=True)
        for name in setting.contestants("import", contestants.IMPORTS)
    }
    unavailable = {}
    official = "tator 1.8.1, the official one"
    if not setting.only_budgets:
        try:
            theirs = {**fresh, "PYTHONPATH": str(peers.official(setting.directory))}
            programs[official] = program(_importing("tator"), theirs, prints_seconds=True)
        except peers.Unavailable as error:
            unavailable[official] = str(error)
    samples, skipped = programs_in_turn(programs, setting.count(25, 3))
    yield Comparison(
        "import",
        "Import, in a fresh interpreter",
        "ms",
        _times(samples, 1e3),
        {**unavailable, **skipped},
    )


def _importing(module: str) -> list[str]:
    """A program that prints the seconds of an import, without those of the interpreter's start."""
    source = (
        "from time import perf_counter; started = perf_counter();"
        f" import {module}; print(perf_counter() - started)"
    )
    return [sys.executable, "-c", source]


def scripts(setting: Setting) -> Iterable[Outcome]:
    """A whole program that makes one call and prints the response."""
    with server.running() as host:
        title = "A script that makes one call and prints the response, http"
        yield _one_call(setting, "script-http", title, host)
    title = "The same, https, with certifi's certificates"
    try:
        authority, certificate = _certificate(setting.directory)
        bundle = _certifi_with(setting.directory, authority)
    except ImportError as error:
        skipped = dict.fromkeys(contestants.SCRIPTS, str(error))
        yield Comparison("script-https", title, "ms", {}, skipped)
        return
    with server.running(certificate=certificate) as host:
        yield _one_call(setting, "script-https", title, host, bundle)


def _one_call(setting: Setting, name: str, title: str, host: str, *paths: Path) -> Comparison:
    programs = {}
    for contestant in setting.contestants(name, contestants.SCRIPTS):
        maker = contestants.SCRIPTS[contestant].__name__
        source = (
            f"import sys; from benchmarks.contestants import {maker} as make;"
            " print(make(sys.argv[1], sys.argv[2])(sys.argv[3]))"
        )
        command = [sys.executable, "-c", source, host, "0123456789", str(uuid1())]
        programs[contestant] = program(command, environment(setting, *paths))
    samples, skipped = programs_in_turn(programs, setting.count(25, 3))
    return Comparison(name, title, "ms", _times(samples, 1e3), skipped)


def clients(setting: Setting) -> Iterable[Outcome]:
    """Making a client, and what it leaves behind."""
    if not setting.only_budgets:
        names = contestants.CLIENTS
        samples, skipped = in_turn(
            setting, "client", names, "", setting.count(8, 3), setting.count(20, 5)
        )
        yield Comparison("client", "Making a client", "µs", _times(samples, 1e6), skipped)
    count = setting.count(10_000, 2_000)
    title = f"100 clients, and {count:,} that were made and dropped"
    yield _amounts(setting, "clients", title, "", count)


def bulk(setting: Setting) -> Iterable[Outcome]:
    """Many cancellations, 32 at a time."""
    title = "cancellations, 32 at a time, server takes"
    count = setting.count(1500, 200)
    takes = "20 ms (at most 1,600/s)"
    yield _bulk(setting, "bulk-20ms", f"{count:,} {title} {takes}", 0.02, contestants.BULK, count)
    count = setting.count(3000, 200)
    everyone = contestants.BULK_AND_PROCESSES
    yield _bulk(setting, "bulk-0ms", f"{count:,} {title} 0 ms", 0, everyone, count)


def _bulk(
    setting: Setting, name: str, title: str, latency: float, names: Iterable[str], count: int
) -> Comparison:
    names = setting.contestants(name, names)
    with server.running(latency) as host:
        samples, skipped = in_turn(setting, "bulk", names, host, setting.count(15, 3), count)
    return Comparison(name, title, "/s", samples, skipped, more_is_better=True)


def bulk_memory(setting: Setting) -> Iterable[Outcome]:
    """The memory of many cancellations."""
    count = setting.count(1_000_000 if setting.full else 100_000, 3_000)
    with server.running() as host:
        title = f"{count:,} IDs from a generator, beyond the first 1,000"
        yield _amounts(setting, "bulk-memory", title, host, count)
    count = setting.count(3_000, 300)
    with server.running(fails=True) as host:
        title = f"{count:,} failures, each with a page of 150 kB"
        yield _amounts(setting, "bulk-failures", title, host, count)


def many_calls(setting: Setting) -> Iterable[Outcome]:
    """Many calls on one client."""
    count = setting.count(100_000, 3_000)
    with server.running() as host:
        title = f"{count:,} calls on one client, beyond the first 1,000"
        yield _amounts(setting, "many-calls", title, host, count)


MEASUREMENTS: dict[str, Callable[[Setting], Iterable[Outcome]]] = {
    "call": calls,
    "import": imports,
    "script": scripts,
    "client": clients,
    "bulk": bulk,
    "bulk-memory": bulk_memory,
    "many-calls": many_calls,
}


def _amounts(setting: Setting, task: str, title: str, host: str, count: int) -> Amounts:
    """What `tator` alone takes; the memory as a whole and for each."""
    if not Path("/proc/self/status").exists():
        return Amounts(task, title, {}, "only Linux tells")
    with Worker(setting, task, OURS, host) as worker:
        seen = worker.measure(count)
    memory = seen.pop("memory")
    return Amounts(
        task, title, {"memory, MB": memory / _MEGABYTE, "each, bytes": memory / count, **seen}
    )


def _times(samples: Mapping[str, list[float]], factor: float) -> dict[str, list[float]]:
    return {name: [factor * seconds for seconds in times] for name, times in samples.items()}


def _certificate(directory: Path) -> tuple[Path, Path]:
    """The files of a new CA's certificate, and of a server's key and chain."""
    import trustme

    authority = trustme.CA()
    files = directory / "authority.pem", directory / "server.pem"
    authority.cert_pem.write_to_path(str(files[0]))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(files[1]))
    return files


def _certifi_with(directory: Path, authority: Path) -> Path:
    """A directory with a copy of certifi that includes the CA."""
    import certifi

    copy = directory / "certifi-copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(Path(certifi.__file__).parent, copy / "certifi")
    with (copy / "certifi" / "cacert.pem").open("a", encoding="utf-8") as bundle:
        bundle.write(authority.read_text(encoding="utf-8"))
    return copy
