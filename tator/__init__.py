"""Cancel background jobs on a Tator server.

import tator

api = tator.get_api("https://your-tator-server", "your token")
api.delete_job(run_uid)
"""

from __future__ import annotations

from importlib import import_module

from tator._version import __version__

# Type checkers know the name; importing it from `typing` would cost more than all of this file.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from tator import api as api
    from tator import api_client as api_client
    from tator import async_result as async_result
    from tator import bulk as bulk
    from tator import configuration as configuration
    from tator import exceptions as exceptions
    from tator import models as models
    from tator import rest as rest
    from tator import serialization as serialization
    from tator.api.job_api import JobApi, get_api, get_parser
    from tator.api_client import ApiClient
    from tator.configuration import Configuration
    from tator.exceptions import (
        ApiAttributeError,
        ApiConnectionError,
        ApiException,
        ApiKeyError,
        ApiProxyError,
        ApiResponseError,
        ApiTimeoutError,
        ApiTlsError,
        ApiTypeError,
        ApiValueError,
        BadRequestException,
        ForbiddenException,
        NotFoundException,
        OpenApiException,
        RedirectException,
        ServiceException,
        TooManyRequestsException,
        UnauthorizedException,
    )
    from tator.models import InlineResponse2044, InlineResponse2045

__all__ = [
    "ApiAttributeError",
    "ApiClient",
    "ApiConnectionError",
    "ApiException",
    "ApiKeyError",
    "ApiProxyError",
    "ApiResponseError",
    "ApiTimeoutError",
    "ApiTlsError",
    "ApiTypeError",
    "ApiValueError",
    "BadRequestException",
    "Configuration",
    "ForbiddenException",
    "InlineResponse2044",
    "InlineResponse2045",
    "JobApi",
    "NotFoundException",
    "OpenApiException",
    "RedirectException",
    "ServiceException",
    "TooManyRequestsException",
    "UnauthorizedException",
    "__version__",
    "get_api",
    "get_parser",
]

_MODULES = (
    "api",
    "api_client",
    "async_result",
    "bulk",
    "configuration",
    "exceptions",
    "models",
    "rest",
    "serialization",
)
_MODULE_OF = {
    "ApiClient": "api_client",
    "Configuration": "configuration",
    # Not `models`, where a program can put other classes under these names.
    "InlineResponse2044": "models.inline_response2044",
    "InlineResponse2045": "models.inline_response2045",
    "JobApi": "api",
    "get_api": "api.job_api",
    "get_parser": "api.job_api",
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # urllib3 and similar modules take a hundred times as long to import as this file.
        if name in _MODULES:
            return import_module(f"tator.{name}")
        if name not in __all__:
            raise AttributeError(f"module 'tator' has no attribute {name!r}")
        value = getattr(import_module(f"tator.{_MODULE_OF.get(name, 'exceptions')}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
