"""Mutated responses against the reader, and over sockets; h11 says what is a response.

`SOAK_SECONDS=600 python -m pytest -m soak test/soak` runs each for ten minutes.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import threading
import time
from http.client import HTTPException

import pytest
from mutations import Parsed, as_h11_reads, mutated, seeds

import tator
from tator.transport.limits import TooLarge
from tator.transport.response import Response, Stream

pytestmark = pytest.mark.soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "20"))
DEADLINE = 0.5  # seconds
SLACK = 1.0


def in_pieces(chance: random.Random, data: bytes) -> tuple[Stream, list[bytes]]:
    """Return a stream that delivers the bytes in random pieces, and those still to come."""
    pieces: list[bytes] = []
    while data:
        size = chance.choice([1, 2, 7, 100, len(data)])
        pieces.append(data[:size])
        data = data[size:]
    pieces.reverse()

    def recv(size: int) -> bytes:
        if not pieces:
            return b""
        piece = pieces.pop()
        if len(piece) > size:
            pieces.append(piece[size:])
        return piece[:size]

    return Stream(recv), pieces


def as_we_read(chance: random.Random, data: bytes) -> tuple[Response, bytes, bytes] | None:
    """Return what our reader makes of the bytes, and what is to come; `None` if it rejects them."""
    stream, pieces = in_pieces(chance, data)
    response = Response(stream, "DELETE")
    try:
        response.begin()
        return response, response.read_all(1 << 20), b"".join(reversed(pieces))
    except (HTTPException, TooLarge):
        return None


def test_the_reader_accepts_no_response_that_h11_rejects() -> None:
    """It raises nothing foreign, and agrees with h11 on status and body of what it accepts."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    ends = time.monotonic() + SECONDS
    count = accepted = 0
    while time.monotonic() < ends:
        data = mutated(chance, chance.choice(seeds(f"job {count}")))
        ours = as_we_read(chance, data)
        count += 1
        if ours is None:
            continue
        response, body, to_come = ours
        if response.status == 101:  # final for us: nothing is switched
            continue
        accepted += 1
        theirs = as_h11_reads(data)
        assert theirs is not None, (seed, data)
        assert (theirs.status, theirs.body) == (response.status, body), (seed, data)
        if response.leaves_connection_clean:
            # What arrives later is noticed before the connection is used again.
            assert theirs.rest == to_come, (seed, data)
    assert accepted > 0
    print(f"{count} responses, {accepted} accepted")


class Fuzzer:
    """A server that gives each request a mutated response, and remembers it by its ID."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.sent: dict[str, bytes] = {}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(DEADLINE + SLACK)
            arrived = b""
            try:
                while True:
                    while b"\r\n\r\n" not in arrived:
                        data = connection.recv(1 << 16)
                        if not data:
                            return
                        arrived += data
                    head, _, arrived = arrived.partition(b"\r\n\r\n")
                    uid = re.findall(rb"/rest/Job/(\S+)", head)[0].decode()
                    data = mutated(self._chance, self._chance.choice(seeds(uid)))
                    # A retry of the same request may get another one.
                    self.sent[uid] = data
                    connection.sendall(data)
                    if self._chance.random() < 0.5:
                        return
            except OSError:
                return


def test_a_call_over_a_socket_ends_in_time_with_its_own_response_or_an_error() -> None:
    """No foreign exception, no late call, no invented success, no response of another call."""
    seed = random.randrange(1 << 32)
    server = Fuzzer(random.Random(seed))
    api = tator.JobApi(
        tator.ApiClient(tator.Configuration(server.host, deadline=DEADLINE, retries=0))
    )
    ends = time.monotonic() + SECONDS
    counts = {"calls": 0, "successes": 0}
    failures: list[object] = []

    def call_again(worker: int) -> None:
        number = 0
        while time.monotonic() < ends and not failures:
            number += 1
            uid = f"{worker}-{number}"
            started = time.monotonic()
            try:
                message = api.delete_job(uid).message
            except tator.ApiException as error:
                message = error
            except BaseException as error:
                failures.append((seed, uid, error))
                return
            if time.monotonic() - started > DEADLINE + SLACK:
                failures.append((seed, uid, "late"))
            sent = server.sent.pop(uid, b"")
            counts["calls"] += 1
            if not isinstance(message, tator.ApiException):
                counts["successes"] += 1
                if not is_right(message, as_h11_reads(sent)):
                    failures.append((seed, uid, message, sent))

    threads = [threading.Thread(target=call_again, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    server.close()
    api.api_client.close()
    assert not failures
    assert counts["successes"] > 0
    print(counts)


def is_right(message: str | None, theirs: Parsed | None) -> bool:
    """Tell whether a success is what the server sent for this request."""
    if theirs is None or not 200 <= theirs.status < 300:
        return False
    if theirs.status == 204:
        return message is None
    try:
        return bool(json.loads(theirs.body.decode("utf-8-sig")).get("message") == message)
    except (ValueError, AttributeError):
        return False
