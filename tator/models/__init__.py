"""The models that the operations return."""

from tator.models.inline_response2044 import InlineResponse2044
from tator.models.inline_response2045 import InlineResponse2045

__all__ = ["InlineResponse2044", "InlineResponse2045"]
