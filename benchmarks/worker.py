"""The program of a measured process: `python -m benchmarks.worker TASK NAME HOST`.

It reads a count from each line of its input and writes what it measured as a line of JSON.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from uuid import uuid1

from benchmarks import contestants

_TOKEN = "0123456789abcdef0123456789abcdef01234567"
_WORKERS = 32

Task = Callable[[int], object]


def _call(name: str, host: str) -> Task:
    """The median seconds of one call, after the first ones."""
    delete = contestants.CALLS[name](host, _TOKEN)
    run_uid = str(uuid1())

    def measure(count: int) -> float:
        times = []
        for _ in range(count):
            started = perf_counter()
            delete(run_uid)
            times.append(perf_counter() - started)
        return median(times)

    measure(20)
    return measure


def _bulk(name: str, host: str) -> Task:
    """Cancellations a second, with a new client."""
    delete_all = contestants.BULK_AND_PROCESSES[name]

    def measure(count: int) -> float:
        run_uids = list(_run_uids(count))
        started = perf_counter()
        done = delete_all(host, _TOKEN, run_uids, _WORKERS)
        return done / (perf_counter() - started)

    measure(_WORKERS)
    return measure


def _client(name: str, host: str) -> Task:
    """The median seconds to make a client."""
    make = contestants.CLIENTS[name]

    def measure(count: int) -> float:
        times = []
        for _ in range(count):
            started = perf_counter()
            make()
            times.append(perf_counter() - started)
        return median(times)

    measure(3)
    return measure


def _clients(name: str, host: str) -> Task:
    """What 100 clients hold, and the memory that many leave that were made and dropped."""
    make = contestants.CLIENTS[name]

    def measure(count: int) -> dict[str, int]:
        for _ in range(1000):
            make()
        before = _resources()
        kept = [make() for _ in range(100)]
        held = _more(_resources(), before)
        del kept
        for _ in range(count):
            make()
        return {**held, "memory": _more(_resources(), before)["memory"]}

    return measure


def _many_calls(name: str, host: str) -> Task:
    """What one client holds after many calls, beyond what it held after the first thousand."""
    delete = contestants.CALLS[name](host, _TOKEN)

    def measure(count: int) -> dict[str, int]:
        for run_uid in _run_uids(1000):
            delete(run_uid)
        before = _resources()
        for run_uid in _run_uids(count):
            delete(run_uid)
        return _more(_resources(), before)

    return measure


def _bulk_memory(name: str, host: str) -> Task:
    """The peak memory of many cancellations, beyond the memory after the first thousand."""
    import tator

    api = tator.get_api(host, _TOKEN)

    def cancel(count: int) -> None:
        for _ in tator.bulk.iter_delete_jobs(api, _run_uids(count)):
            pass

    def measure(count: int) -> dict[str, int]:
        cancel(1000)
        return {"memory": _peak_memory(lambda: cancel(count))}

    return measure


def _bulk_failures(name: str, host: str) -> Task:
    """The peak memory of many cancellations that fail, with their result."""
    import tator

    api = tator.get_api(host, _TOKEN)

    def cancel(count: int) -> None:
        result = tator.bulk.delete_jobs(api, _run_uids(count), progress=False)
        assert len(result.failed) == count

    def measure(count: int) -> dict[str, int]:
        cancel(_WORKERS)
        return {"memory": _peak_memory(lambda: cancel(count))}

    return measure


def _run_uids(count: int) -> Iterator[str]:
    return (str(uuid1()) for _ in range(count))


def _resources() -> dict[str, int]:
    """What the process holds: memory in bytes, the others in number."""
    gc.collect()
    return {
        "memory": _memory("VmRSS"),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "TLS contexts": sum(isinstance(thing, ssl.SSLContext) for thing in gc.get_objects()),
    }


def _more(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {what: after[what] - before[what] for what in before}


def _peak_memory(work: Callable[[], None]) -> int:
    """The most bytes that work takes at any time, beyond those taken before."""
    gc.collect()
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Resets VmHWM.
    work()
    return _memory("VmHWM") - before


def _memory(field: str) -> int:
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if line.startswith(f"{field}:")
    )
    return int(line.split()[1]) * 1024


_TASKS: dict[str, Callable[[str, str], Task]] = {
    "call": _call,
    "bulk": _bulk,
    "client": _client,
    "clients": _clients,
    "many-calls": _many_calls,
    "bulk-memory": _bulk_memory,
    "bulk-failures": _bulk_failures,
}


def main() -> None:
    task, name, host = sys.argv[1:]
    measure = _TASKS[task](name, host)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), flush=True)


if __name__ == "__main__":
    main()
