"""Stop the laboratory's jobs: its scripts import this package instead of Tator's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tator

__all__ = ["Lab", "StopFailed"]


class StopFailed(Exception):
    """Something could not be stopped.

    Attributes:
        still_running: Whether it was certainly not stopped; if `False`, check it on the server.
    """

    def __init__(self, reason: str, still_running: bool) -> None:
        super().__init__(reason, still_running)
        self.still_running = still_running

    def __str__(self) -> str:
        return str(self.args[0])


class Lab:
    """The laboratory's jobs.

    Args:
        host: The Tator server's URL. Defaults to `TATOR_HOST`.
        token: The API token. Defaults to `TATOR_TOKEN`.
    """

    def __init__(self, host: str | None = None, token: str | None = None) -> None:
        self._jobs = tator.get_api(host, token)
        self._client = self._jobs.api_client
        self._client.user_agent = f"labjobs/2.1 {self._client.user_agent}"
        # Our queue retries by itself, so one retry is enough, and nobody waits for minutes.
        self._client.configuration.retries = 1
        self._client.configuration.deadline = 60

    def stop(self, run_uid: str) -> None:
        """Stop one job.

        Raises:
            StopFailed: If it may still be running.
        """
        with _our_errors():
            self._jobs.delete_job(run_uid)

    def server_version(self) -> str:
        """Return the server's version, from an endpoint that the SDK has no method for.

        Raises:
            StopFailed: If the server did not return it.
        """
        with _our_errors():
            versions: dict[str, str] = self._client.call_api(
                "/rest/Version",
                "GET",
                response_type=dict[str, str],
                auth_settings=["TokenAuth"],
                _return_http_data_only=True,
            )
        return versions["version"]


@contextmanager
def _our_errors() -> Iterator[None]:
    try:
        yield
    except tator.ApiException as error:
        raise StopFailed(str(error), still_running=not error.maybe_applied) from error
