"""A Tator server to test against, on a loopback port of this machine.

    with LocalTator() as tator_server:
        group = tator_server.launch(2)
        api = tator.get_api(tator_server.host, tator_server.token)
        api.delete_job(group.run_uids[0])
        assert tator_server.jobs[group.run_uids[0]] == "cancelled"

It needs only the standard library, and the rest of this package never imports it.
"""

from __future__ import annotations

# pytest loads this package in every session, so the server is imported where it is first used.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from tator.testing.messages import Request
    from tator.testing.server import Group, LocalTator

__all__ = ["Group", "LocalTator", "Request"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from tator.testing import server

        return getattr(server, name)
    raise AttributeError(f"module 'tator.testing' has no attribute {name!r}")
