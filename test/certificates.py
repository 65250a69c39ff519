"""Certificates for the tests."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import trustme


class Tls:
    """A certificate authority (CA), and what it certifies.

    Args:
        directory: Where its files go.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca_file)

    def server(
        self, *names: str, after: int = -1, until: int = 1, clients: bool = False
    ) -> ssl.SSLContext:
        """A server's context.

        Args:
            names: What its certificate is for. Defaults to 127.0.0.1.
            after: From which day on it is valid, counted from today.
            until: Until which day it is valid.
            clients: Whether a client needs a certificate too.
        """
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = self._ca.issue_cert(
            *(names or ("127.0.0.1",)),
            not_before=now + datetime.timedelta(days=after),
            not_after=now + datetime.timedelta(days=until),
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            self._ca.configure_trust(context)
        return context

    def self_signed(self) -> ssl.SSLContext:
        """A server's context whose certificate is signed by itself."""
        path = self._directory / "self-signed.pem"
        ca = trustme.CA()
        ca.private_key_pem.write_to_path(str(path))
        ca.cert_pem.write_to_path(str(path), append=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def files(self, name: str) -> tuple[str, str]:
        """The files of a certificate and its key, for the server or the client of that name."""
        leaf = self._ca.issue_cert(name)
        certificate, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        leaf.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        return str(certificate), str(key)
