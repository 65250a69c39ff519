"""The answer to the cancellation of a job."""

from __future__ import annotations

from tator.models.model import Field, Model


class InlineResponse2044(Model):
    """What the server says when it has cancelled a job.

    Args:
        message: The server's words; `None` where it answered without any (a bare 204).
    """

    message = Field(str)

    def __init__(self, message: str | None = None) -> None:
        self.message = message
