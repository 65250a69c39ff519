"""Settings become a TLS context, or an error that names what can't be used."""

from __future__ import annotations

import errno
import os
import resource
import ssl
from pathlib import Path
from typing import Any

import certifi
import pytest
from certificates import Tls

from tator import ApiConnectionError, ApiValueError, Configuration
from tator.transport.tls import make_context

pytestmark = pytest.mark.fast


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """The certificate authority."""
    return Tls(tmp_path_factory.mktemp("tls"))


def settings(**values: Any) -> dict[str, Any]:
    """The values of a configuration with these settings."""
    return vars(Configuration(**values))


def authorities(context: ssl.SSLContext) -> int:
    return context.cert_store_stats()["x509_ca"]


def test_a_context_verifies_servers_with_tls_1_2_or_later() -> None:
    """By certifi's bundle unless something else is set."""
    context = make_context(settings())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert authorities(context) == Path(certifi.where()).read_text().count("BEGIN CERTIFICATE")


def test_verify_ssl_off_verifies_nothing() -> None:
    """Neither certificate nor name."""
    context = make_context(settings(verify_ssl=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_the_trusted_cas_are_those_of_the_setting_or_the_environment(
    tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of certifi's; a directory is read when a server is verified."""
    assert authorities(make_context(settings(ssl_ca_cert=tls.ca_file))) == 1
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", tls.ca_file)
    assert authorities(make_context(settings())) == 1
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path))
    assert authorities(make_context(settings())) == 0
    assert authorities(make_context(settings(ssl_ca_cert=tls.ca_file))) == 1


@pytest.mark.parametrize("setting", ["ssl_ca_cert", "cert_file", "key_file"])
@pytest.mark.parametrize("fault", ["missing", "a directory", "not PEM", "empty", "NUL"])
def test_a_file_that_cannot_be_used_is_named(
    setting: str, fault: str, tls: Tls, tmp_path: Path
) -> None:
    """By its setting, and with what is wrong with it."""
    path = str(tmp_path / "file.pem")
    if fault == "a directory":
        os.mkdir(path)
    elif fault == "NUL":
        path += "\0"
    elif fault != "missing":
        Path(path).write_text("no certificate" if fault == "not PEM" else "")
    given = {setting: path}
    if setting == "key_file":
        given["cert_file"] = tls.files("client.test")[0]
    with pytest.raises(ApiValueError, match=f"Could not load {setting}: .+PEM file") as caught:
        make_context(settings(**given))
    assert caught.value.__cause__ is None


def test_a_private_key_without_its_certificate_is_rejected(tls: Tls) -> None:
    """Another certificate's key is rejected, too."""
    certificate, key = tls.files("client.test")
    _, other_key = tls.files("other.test")
    assert make_context(settings(cert_file=certificate, key_file=key))
    with pytest.raises(ApiValueError, match="key_file requires a cert_file"):
        make_context(settings(key_file=key))
    with pytest.raises(ApiValueError, match="Could not load key_file"):
        make_context(settings(cert_file=certificate, key_file=other_key))


ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjSdVlZ1sYq1gICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEHV4SAwzt8sh0C0e8wm+2VwEgZAf
-----END ENCRYPTED PRIVATE KEY-----
"""


def test_a_private_key_with_a_passphrase_is_rejected(tls: Tls, tmp_path: Path) -> None:
    """OpenSSL would ask for it at the terminal, and wait."""
    path = tmp_path / "key.pem"
    path.write_text(ENCRYPTED)
    with pytest.raises(ApiValueError, match="not have a passphrase"):
        make_context(settings(cert_file=tls.files("client.test")[0], key_file=str(path)))


def test_an_environment_variable_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSLKEYLOGFILE, and those for trusted CAs."""
    nowhere = str(tmp_path / "nowhere" / "x")
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSLKEYLOGFILE"):
        monkeypatch.setenv(name, nowhere)
        problem = f"Could not load environment variable {name}: No such file or directory"
        with pytest.raises(ApiValueError, match=problem):
            make_context(settings())


def test_files_without_a_descriptor_are_not_blamed(tls: Tls) -> None:
    """This machine has none left, and the next call may be right."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(ApiConnectionError) as caught:
            make_context(settings(ssl_ca_cert=tls.ca_file))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    words = os.strerror(errno.EMFILE)
    assert caught.value.reason == f"Could not load ssl_ca_cert: {words}"
    assert not caught.value.maybe_applied
