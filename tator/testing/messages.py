"""A request as it arrived, and a response as it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

HTML = "text/html; charset=UTF-8"
# What Django REST framework says with every response of the API.
API_HEADERS = {
    "Content-Type": "application/json",
    "Vary": "Accept, Cookie",
    "Allow": "DELETE, OPTIONS",
    "X-Frame-Options": "SAMEORIGIN",
}
_PHRASES = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    """A request as it arrived.

    Attributes:
        method: The HTTP method.
        path: The path and the query, as they were sent.
        headers: The headers by lower-case name.
        body: The body in bytes, without the framing of chunks.
        status: The status of its response; 0 if the connection is dropped.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    status: int = 0


@dataclass(frozen=True)
class Response:
    """A response, without the headers that every response has."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def with_headers(self, headers: Mapping[str, str] | None) -> Response:
        """Add headers, which replace those of the same name."""
        # In one spelling, so that a name is there once.
        added = {name.title(): value for name, value in (headers or {}).items()}
        return Response(self.status, self.body, {**self.headers, **added})


def json_response(status: int, value: object) -> Response:
    """Make a response of the API."""
    return Response(status, json.dumps(value).encode(), API_HEADERS)


def page(status: int, title: str | None = None) -> Response:
    """Make a web page, as Django or a server in front of it does."""
    title = phrase(status) if title is None else title
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>"
    return Response(status, html.encode(), {"Content-Type": HTML})


def phrase(status: int) -> str:
    """Name a status."""
    return _PHRASES.get(status, "Unknown")
