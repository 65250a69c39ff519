"""Start a `LocalTator` by hand: `python -m tator.testing --jobs 5 --server 2025-06`."""

from __future__ import annotations

import argparse
import re
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from tator.testing.messages import Request
from tator.testing.responses import GENERATIONS
from tator.testing.server import LocalTator

_GROUP = 3  # jobs


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until Ctrl-C, and show each request with the status of its response."""
    parser = argparse.ArgumentParser(prog="python -m tator.testing", description=__doc__)
    parser.add_argument(
        "--jobs",
        type=_count,
        default=5,
        help=f"how many jobs to launch beside a group of {_GROUP} (5)",
    )
    parser.add_argument("--port", type=int, default=0, help="the port (a free one)")
    parser.add_argument("--token", type=_token, help="the token (a new random one)")
    parser.add_argument(
        "--server", choices=GENERATIONS, default="2020-05", help="the generation (2020-05)"
    )
    options = parser.parse_args(arguments)

    try:
        server = LocalTator(options.token, port=options.port, server=options.server)
    except (OSError, ValueError) as error:
        parser.error(f"could not use port {options.port}: {error}")
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with server:
            server.on_request = _log
            run_uids = server.launch(options.jobs).run_uids
            group = server.launch(_GROUP)
            (transcode,) = server.launch(kind="transcode").run_uids
            token = shlex.quote(server.token)
            _say(f"export TATOR_HOST={server.host}", f"export TATOR_TOKEN={token}")
            _say(f"export PROJECT={group.project}", f"export GROUP_ID={group.group_id}")
            _say(f"export TRANSCODE_UID={transcode}", *_lines(run_uids))
            stopped.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _lines(run_uids: Sequence[str]) -> list[str]:
    # One job for a single call, the others for a bulk run.
    first, rest = run_uids[:1], run_uids[1:]
    lines = [f"export RUN_UID={uid}" for uid in first]
    return [*lines, f"export RUN_UIDS='{' '.join(rest)}'"] if rest else lines


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError("must be an integer, 0 or more")
    return int(text)


def _token(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise argparse.ArgumentTypeError("must be printable ASCII without spaces")
    return text


def _log(request: Request) -> None:
    # In one piece, since requests come on many threads.
    sys.stderr.write(f"{request.method} {request.path} {request.status or 'dropped'}\n")


def _say(*lines: str) -> None:
    print(*lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
