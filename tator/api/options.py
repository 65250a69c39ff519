"""The options that every operation takes, as type checkers see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypedDict, TypeVar

from tator.api_client import HttpInfo
from tator.async_result import AsyncResult
from tator.checks import Timeout

if TYPE_CHECKING:
    from typing import TypeAlias

    from typing_extensions import Required
    from urllib3 import HTTPResponse

    T = TypeVar("T")
    # What the two forms return for options that are variables.
    Either: TypeAlias = T | AsyncResult[T] | HTTPResponse | AsyncResult[HTTPResponse]
    EitherInfo: TypeAlias = (
        Either[T]
        | HttpInfo[T]
        | AsyncResult[HttpInfo[T]]
        | HttpInfo[HTTPResponse]
        | AsyncResult[HttpInfo[HTTPResponse]]
    )

    class Common(TypedDict, total=False):
        """Options that do not change the result type."""

        _request_timeout: Timeout
        _return_http_data_only: Literal[False] | None

    class Plain(Common, total=False):
        """The model, at the end of the call."""

        async_req: Literal[False] | None
        _preload_content: Literal[True]

    class Later(Common, total=False):
        """A handle for the model."""

        async_req: Required[Literal[True]]
        _preload_content: Literal[True]

    class Raw(Common, total=False):
        """The raw response."""

        async_req: Literal[False] | None
        _preload_content: Required[Literal[False]]

    class RawLater(Common, total=False):
        """A handle for the raw response."""

        async_req: Required[Literal[True]]
        _preload_content: Required[Literal[False]]

    class Variable(TypedDict, total=False):
        """Options that are variables."""

        async_req: bool | None
        _preload_content: bool
        _request_timeout: Timeout
        _return_http_data_only: bool | None
