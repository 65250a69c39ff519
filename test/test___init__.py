"""The names that `import tator` gives."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import tator

DEEP = [
    ("tator.api.job_api", "JobApi"),
    ("tator.api_client", "ApiClient"),
    ("tator.configuration", "Configuration"),
    ("tator.rest", "ApiException"),
    ("tator.rest", "RESTClientObject"),
    ("tator.rest", "RESTResponse"),
    ("tator.exceptions", "ApiTimeoutError"),
    ("tator.models", "InlineResponse2044"),
    ("tator.models", "InlineResponse2045"),
    ("tator.models.inline_response2044", "InlineResponse2044"),
    ("tator.models.inline_response2045", "InlineResponse2045"),
]


@pytest.mark.parametrize("name", tator.__all__)
def test_each_public_name_resolves(name: str) -> None:
    """Each name in `__all__` is there, and `dir` shows it."""
    assert getattr(tator, name) is not None
    assert name in dir(tator)


@pytest.mark.parametrize(("module", "name"), DEEP)
def test_the_deep_imports_give_the_same_objects(module: str, name: str) -> None:
    """A deep import gives the object that the short one gives."""
    found = getattr(importlib.import_module(module), name)
    assert found is getattr(tator, name, found)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """An unknown name raises the same error as in any other module."""
    with pytest.raises(AttributeError, match="'tator' has no attribute 'JobsApi'"):
        tator.JobsApi  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("use", ["", "tator.configuration", "tator.JobApi; tator.rest; tator.bulk"])
def test_names_are_resolved_on_first_use(use: str) -> None:
    """Importing tator does not import urllib3; using a name imports what it needs."""
    program = f"import sys, tator\nassert 'urllib3' not in sys.modules\n{use}"
    subprocess.run([sys.executable, "-c", program], check=True)
