"""The response to the cancellation of a job."""

from __future__ import annotations

from tator.models.model import Field, Model


class InlineResponse2044(Model):
    """The response to the cancellation of a job.

    Args:
        message: The server's message. Defaults to `None`, as after a 204 without a body.
    """

    message: Field[str] = Field(str)

    def __init__(self, message: str | None = None) -> None:
        self.message = message
