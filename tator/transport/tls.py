"""Settings → TLS context."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Mapping
from typing import Any

from urllib3.util.ssl_ import create_urllib3_context

from tator.exceptions import ApiConnectionError, ApiValueError

SETTINGS = ("verify_ssl", "ssl_ca_cert", "cert_file", "key_file", "assert_hostname")
_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


def make_context(values: Mapping[str, Any]) -> ssl.SSLContext:
    """Make a context.

    Args:
        values: The values of a configuration, by the names of its settings.

    Raises:
        ApiValueError: If a file can't be used; it names the setting or the variable.
        ApiConnectionError: If this machine has no descriptors or no memory left.
    """
    cert_file, key_file = values["cert_file"], values["key_file"]
    if key_file and not cert_file:
        raise ApiValueError(reason="key_file requires a cert_file")
    name, bundle = _bundle(values["ssl_ca_cert"])
    source, hint = "environment variable SSLKEYLOGFILE", "Unset it, or set it to a writable file."
    try:
        context = create_urllib3_context()
        source, hint = name, "It must be a readable PEM file."
        if values["ssl_ca_cert"] is None and os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(bundle)
        if cert_file:
            source = "key_file" if key_file else "cert_file"
            hint = "It must be a readable PEM file; a key must not have a passphrase."
            # Without a password, OpenSSL would stop and ask for one at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        reason = f"Could not load {source}: {problem}"
        if getattr(error, "errno", None) in _NOTHING_LEFT:  # which says nothing about the file
            raise ApiConnectionError(reason=reason, maybe_applied=False) from None
        raise ApiValueError(reason=reason, hint=hint) from None
    if not values["verify_ssl"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bundle(ssl_ca_cert: str | None) -> tuple[str, str]:
    """Return what names the trusted CAs, and their file or directory."""
    if ssl_ca_cert is not None:
        return "ssl_ca_cert", ssl_ca_cert
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(variable):
            return f"environment variable {variable}", os.environ[variable]
    import certifi  # its resources are slow to import, and plain http needs none

    return "certifi's bundle", certifi.where()
