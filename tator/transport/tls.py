"""Settings → TLS context."""

from __future__ import annotations

import errno
import os
import ssl
from typing import NamedTuple

from urllib3.util.ssl_ import create_urllib3_context

from tator.exceptions import ApiConnectionError, ApiValueError

_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class TlsSettings(NamedTuple):
    """The settings of a configuration that a context is made from."""

    verify_ssl: bool
    ssl_ca_cert: str | None
    cert_file: str | None
    key_file: str | None
    assert_hostname: str | bool | None


def make_context(settings: TlsSettings) -> ssl.SSLContext:
    """Make a context.

    Raises:
        ApiValueError: If a file can't be used; it names the setting or the variable.
        ApiConnectionError: If this machine has no descriptors or no memory left.
    """
    if settings.key_file and not settings.cert_file:
        raise ApiValueError(reason="key_file needs a cert_file beside it")
    name, bundle = _bundle(settings)
    source, hint = "environment variable SSLKEYLOGFILE", "Unset it, or name a file to write."
    try:
        context = create_urllib3_context()
        source, hint = name, "It must be a readable PEM file."
        if settings.ssl_ca_cert is None and os.path.isdir(bundle):
            context.load_verify_locations(capath=bundle)
        else:
            context.load_verify_locations(bundle)
        if settings.cert_file:
            source = "key_file" if settings.key_file else "cert_file"
            hint = "It must be a readable PEM file; a key must be without a passphrase."
            # Without a password, OpenSSL would stop and ask for one at the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        reason = f"Could not load {source}: {problem}"
        if getattr(error, "errno", None) in _NOTHING_LEFT:  # which says nothing about the file
            raise ApiConnectionError(reason=reason, maybe_applied=False) from None
        raise ApiValueError(reason=reason, hint=hint) from None
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _bundle(settings: TlsSettings) -> tuple[str, str]:
    """Return what names the trusted CAs, and their file or directory."""
    if settings.ssl_ca_cert is not None:
        return "ssl_ca_cert", settings.ssl_ca_cert
    for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        if os.environ.get(variable):
            return f"environment variable {variable}", os.environ[variable]
    import certifi  # its resources are slow to import, and plain http needs none

    return "certifi's bundle", certifi.where()
