"""How much of urllib3's and http.client's inside the transport stands on: no more than it must."""

from __future__ import annotations

import ast
import http.client
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.util.ssltransport import SSLTransport

pytestmark = pytest.mark.fast

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "tator/rest.py", *sorted((ROOT / "tator/transport").glob("*.py"))]
PAGE = ROOT / "docs/project/private-names.md"
MOST = 3


def things_below() -> Iterator[Any]:
    """The classes that the transport builds on, and an instance of each that can be made."""
    with socket.socket() as sock:
        yield http.client.HTTPResponse(sock)
    yield from (http.client.HTTPResponse, http.client.HTTPConnection, http.client.HTTPSConnection)
    yield from (HTTPConnection, HTTPSConnection, SSLTransport, urllib3.Retry, urllib3.Timeout)
    yield from (urllib3.HTTPConnectionPool, urllib3.HTTPSConnectionPool, urllib3.PoolManager)
    yield from (urllib3.ProxyManager, urllib3.HTTPResponse, urllib3.BaseHTTPResponse)
    yield from (http.client.HTTPConnection("x"), HTTPConnection("x"), HTTPSConnection("x"))
    yield from (urllib3.HTTPConnectionPool("x"), urllib3.HTTPSConnectionPool("x"))
    yield from (urllib3.ProxyManager("http://x"), urllib3.HTTPResponse(), urllib3.Timeout())


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def names_in(path: Path) -> Iterator[str]:
    """The private names that a file reads, sets, defines or imports, or has in a string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = line.targets if isinstance(line, ast.Assign) else []
                targets = [line.target] if isinstance(line, ast.AnnAssign) else targets
                yield from (target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "").split(".")
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def private_names() -> set[str]:
    """Those of urllib3 and http.client that the transport overrides or uses."""
    known = {name for thing in things_below() for name in dir(thing)}
    found = {name for path in SOURCES for name in names_in(path) if is_private(name)}
    return found & known


def test_the_transport_uses_three_private_names_at_most() -> None:
    """Each may vanish with any version of urllib3 or Python, without a word."""
    assert len(private_names()) <= MOST, sorted(private_names())


def test_the_page_names_each_of_them() -> None:
    """With the reason for it, and no other."""
    page = PAGE.read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \| .{20,} \| .{20,} \|$", page, re.MULTILINE)) == (
        private_names()
    )


def test_no_private_module_is_imported() -> None:
    """Neither of urllib3 nor of the standard library."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else names
            for name in names:
                private = [part for part in name.split(".") if is_private(part)]
                assert not private or name.startswith("tator"), f"{path.name} imports {name}"
