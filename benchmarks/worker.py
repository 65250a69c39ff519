"""What runs in the processes that are measured: `python -m benchmarks.worker TASK NAME HOST`.

Each line that comes in is a count; each line that goes out is what was measured, as JSON.
"""

from __future__ import annotations

import gc
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from statistics import median
from time import perf_counter
from uuid import uuid1

from benchmarks import contestants

_TOKEN = "0123456789abcdef0123456789abcdef01234567"
_WORKERS = 32

Task = Callable[[int], object]


def _call(name: str, host: str) -> Task:
    """Seconds that one call takes, after the first ones."""
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
    """Deletions per second, with a client made for the purpose."""
    delete_all = contestants.BULK[name]

    def measure(count: int) -> float:
        run_uids = list(_run_uids(count))
        started = perf_counter()
        done = delete_all(host, _TOKEN, run_uids, _WORKERS)
        return done / (perf_counter() - started)

    measure(_WORKERS)
    return measure


def _client(name: str, host: str) -> Task:
    """Seconds that it takes to make a client."""
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


def _clients_kept(name: str, host: str) -> Task:
    """What many clients take that were made and dropped."""
    make = contestants.CLIENTS[name]

    def measure(count: int) -> dict[str, int]:
        for _ in range(1000):
            make()
        before = _resources()
        kept = [make() for _ in range(100)]
        with_clients = _resources()
        del kept
        for _ in range(count):
            make()
        after = _resources()
        return {
            "threads": with_clients["threads"] - before["threads"],
            "descriptors": with_clients["descriptors"] - before["descriptors"],
            "contexts": with_clients["contexts"] - before["contexts"],
            "memory": after["memory"] - before["memory"],
        }

    return measure


def _many_calls(name: str, host: str) -> Task:
    """What one client takes more after many calls than after the first thousand."""
    delete = contestants.CALLS[name](host, _TOKEN)

    def measure(count: int) -> dict[str, int]:
        for run_uid in _run_uids(1000):
            delete(run_uid)
        before = _resources()
        for run_uid in _run_uids(count):
            delete(run_uid)
        after = _resources()
        return {what: after[what] - before[what] for what in before}

    return measure


def _bulk_memory(name: str, host: str) -> Task:
    """The most memory that many deletions take at any time, beyond that of the first thousand."""
    import tator

    api = tator.get_api(host, _TOKEN)

    def measure(count: int) -> dict[str, int]:
        for _ in tator.bulk.iter_delete_jobs(api, _run_uids(1000)):
            pass
        before = peak = _resources()["memory"]
        outcomes = tator.bulk.iter_delete_jobs(api, _run_uids(count))
        for done, _ in enumerate(outcomes, 1):
            if done % (count // 20) == 0:
                peak = max(peak, _resources()["memory"])
        return {"memory": peak - before}

    return measure


def _run_uids(count: int) -> Iterator[str]:
    return (str(uuid1()) for _ in range(count))


def _resources() -> dict[str, int]:
    """What the process holds: memory in bytes, the others in number."""
    gc.collect()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[1])
    return {
        "memory": pages * os.sysconf("SC_PAGE_SIZE"),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "contexts": sum(isinstance(thing, ssl.SSLContext) for thing in gc.get_objects()),
    }


_TASKS: dict[str, Callable[[str, str], Task]] = {
    "call": _call,
    "bulk": _bulk,
    "client": _client,
    "clients-kept": _clients_kept,
    "many-calls": _many_calls,
    "bulk-memory": _bulk_memory,
}


def main() -> None:
    task, name, host = sys.argv[1:]
    measure = _TASKS[task](name, host)
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(int(line))), flush=True)


if __name__ == "__main__":
    main()
