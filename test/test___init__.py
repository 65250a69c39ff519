"""The names that `import tator` gives."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

import tator
from tator.testing import LocalTator

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


def test_models_of_the_same_names_do_not_replace_ours(local_tator: LocalTator) -> None:
    """A program can put others into `tator.models` before the methods are first used."""
    run_uid = local_tator.launch().run_uids[0]
    local_tator.route("DELETE", f"/rest/Job/{run_uid}", {"message": 3})
    program = f"""
import tator.models

class Lenient:
    swagger_types = {{"message": "str"}}
    attribute_map = {{"message": "message"}}

    def __init__(self, message=None):
        self.message = message

for name in tator.models.__all__:
    setattr(tator.models, name, Lenient)
try:
    tator.get_api().delete_job({run_uid!r})
except tator.ApiResponseError as error:
    print(error.message)
print(tator.JobApi.__module__, tator.InlineResponse2044.__module__)
print(tator.InlineResponse2045.__module__)
"""
    environment = {**os.environ, "TATOR_HOST": local_tator.host, "TATOR_TOKEN": local_tator.token}
    run = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.splitlines() == [
        "not a valid Tator response (str expected, int found)",
        "tator.api.job_api tator.models.inline_response2044",
        "tator.models.inline_response2045",
    ]
