"""Settings and environment become a proxy, or none."""

from __future__ import annotations

import ssl

import pytest
from urllib3.util.ssl_ import create_urllib3_context

from tator import ApiValueError, checks
from tator.transport.pool import Pool, TlsPool
from tator.transport.proxy import proxied_pool, proxy_for

pytestmark = pytest.mark.fast

PROXY = "http://proxy.test:3128"


def test_without_settings_there_is_no_proxy() -> None:
    """Neither in the configuration nor in the environment."""
    assert proxy_for(None, "http", "tator.test", None) is None


def test_the_setting_is_used_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """`""` is for none."""
    monkeypatch.setenv("HTTP_PROXY", "http://other.test")
    assert proxy_for(PROXY, "http", "tator.test", None) == PROXY
    assert proxy_for("", "http", "tator.test", None) is None


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        ({"HTTP_PROXY": PROXY}, PROXY, None),
        ({"https_proxy": PROXY}, None, PROXY),
        ({"ALL_PROXY": PROXY}, PROXY, PROXY),
        ({"all_proxy": PROXY, "HTTP_PROXY": "http://a.test"}, "http://a.test", PROXY),
        ({"ALL_PROXY": PROXY, "HTTPS_PROXY": ""}, PROXY, PROXY),
        ({"ALL_PROXY": ""}, None, None),
        ({"FTP_PROXY": PROXY}, None, None),
        ({"HTTP_PROXY": "proxy.test:3128"}, PROXY, None),
        ({"NO_PROXY": "*"}, None, None),
    ],
    ids=str,
)
def test_the_environment_names_a_proxy_for_each_scheme(
    environment: dict[str, str],
    http: str | None,
    https: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In capitals or not; ALL_PROXY is for those that have none."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(None, "http", "tator.test", None) == http
    assert proxy_for(None, "https", "tator.test", 8443) == https


@pytest.mark.parametrize(
    ("no_proxy", "host", "port", "is_direct"),
    [
        ("tator.test", "tator.test", None, True),
        ("tator.test", "www.tator.test", None, True),
        (".tator.test", "www.tator.test", None, True),
        ("tator.test", "nottator.test", None, False),
        ("other.test, tator.test", "tator.test", 80, True),
        ("tator.test:8080", "tator.test", 8080, True),
        ("tator.test:8080", "tator.test", 80, False),
        ("*", "tator.test", None, True),
        ("10.0.0.1", "10.0.0.1", None, True),
        ("10.0.0.0/8", "10.1.2.3", None, True),
        ("10.0.0.0/8", "10.1.2.3", 8080, True),
        ("10.0.0.9/8", "10.1.2.3", None, True),
        ("10.0.0.0/255.0.0.0", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("10.0.0.0/8", "tator.test", None, False),
        ("nonsense, , fd00::/8", "fd00::1", 8080, True),
        ("fd00::/8", "10.1.2.3", None, False),
        ("10.0.0.0/33, (, [, \\, 127.0.0.1:x", "10.1.2.3", None, False),
        ("", "10.1.2.3", None, False),
    ],
)
def test_no_proxy_names_what_is_reached_directly(
    no_proxy: str, host: str, port: int | None, is_direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, their subdomains, ports, addresses and networks; malformed items exclude nothing."""
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(None, "http", host, port) == (None if is_direct else PROXY)


@pytest.mark.parametrize("value", ["socks5://me:hush-hush@proxy.test", "http://me:hush-hush@"])
def test_an_unusable_proxy_of_the_environment_names_its_variable(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the way out, but no password; neither does the context of the error."""
    monkeypatch.setenv("all_proxy", value)
    with pytest.raises(ApiValueError, match="environment variable ALL_PROXY") as caught:
        proxy_for(None, "http", "tator.test", None)
    assert 'Configuration.proxy ("" for none)' in str(caught.value)
    assert "hush-hush" not in repr(caught.value)
    assert caught.value.__context__ is None


def pool(proxy: str, scheme: str, context: ssl.SSLContext | None = None) -> Pool:
    url = checks.proxy("proxy", proxy)
    assert url is not None
    return proxied_pool(url, context, scheme, "tator.test", {"port": None, "maxsize": 3})


def test_a_pool_through_a_proxy_has_our_connections() -> None:
    """A plain host shares the proxy's, a host over TLS has its own; both keep what is set."""
    forwarding, tunneling = pool(PROXY, "http"), pool(PROXY, "https")
    assert (type(forwarding), type(tunneling)) == (Pool, TlsPool)
    assert (forwarding.host, forwarding.port) == ("proxy.test", 3128)
    assert (tunneling.host, tunneling.port) == ("tator.test", 443)
    assert forwarding.idle.maxsize == tunneling.idle.maxsize == 3
    secure = pool("https://proxy.test", "http", create_urllib3_context())
    assert (type(secure), secure.host, secure.port) == (TlsPool, "proxy.test", 443)


@pytest.mark.parametrize(
    ("user_info", "sent"),
    [
        ("me:p%40ss%3Aword@", "Basic bWU6cEBzczp3b3Jk"),
        ("me:%D0%BF%D0%B0%D1%80@", "Basic bWU60L/QsNGA"),
        ("me:пар@", "Basic bWU60L/QsNGA"),
        ("me@", "Basic bWU="),
        ("", None),
    ],
)
def test_a_proxy_gets_the_credentials_of_its_url(user_info: str, sent: str | None) -> None:
    """Percent-encoded or not, in UTF-8."""
    through = pool(f"http://{user_info}proxy.test:3128", "https")
    assert through.proxy is not None
    assert (through.proxy.auth, through.proxy.host) == (None, "proxy.test")
    assert through.proxy_headers.get("Proxy-Authorization") == sent
