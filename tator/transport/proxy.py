"""Settings and environment → proxy."""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any, cast

import urllib3

from tator import checks
from tator.exceptions import ApiValueError
from tator.masking import mask, proxy_credentials
from tator.transport.pool import Pool, TlsPool

_HAS_SYSTEM_PROXIES = sys.platform in ("darwin", "win32")


def proxy_for(setting: str | None, scheme: str, host: str, port: int | None) -> str | None:
    """Return the URL of the proxy to use, by the setting or by the environment.

    Raises:
        ApiValueError: If the environment names one that can't be used.
    """
    if setting is not None:
        return setting or None
    if not (_HAS_SYSTEM_PROXIES or any(name.lower().endswith("_proxy") for name in os.environ)):
        return None
    import urllib.request  # costs half as much as urllib3, and is seldom needed

    proxies: Mapping[str, str] = mask(urllib.request.getproxies())
    address = host if port is None else f"{host}:{port}"
    if urllib.request.proxy_bypass(address) or _is_in(host, proxies.get("no", "")):
        return None
    name = scheme if proxies.get(scheme) else "all"
    if not proxies.get(name):
        return None
    try:
        return checks.proxy(f"environment variable {name.upper()}_PROXY", proxies[name])
    except ApiValueError as error:
        problem = error.reason
    raise ApiValueError(
        reason=problem, hint='Fix the variable, or set Configuration.proxy ("" for none).'
    )


def proxied_pool(
    proxy: str, context: ssl.SSLContext | None, scheme: str, host: str, options: dict[str, Any]
) -> Pool:
    """Return a pool of connections through a proxy."""
    _, authorization = proxy_credentials(proxy)
    port = options.pop("port")
    manager = urllib3.ProxyManager(
        re.sub(r"//.*@", "//", proxy),
        proxy_headers={"Proxy-Authorization": authorization} if authorization else None,
        proxy_ssl_context=context,
        **options,
    )
    manager.pool_classes_by_scheme = {"http": Pool, "https": TlsPool}
    return cast(Pool, manager.connection_from_host(host, port, scheme))


def _is_in(host: str, networks: str) -> bool:
    """Tell whether an address is in one of the networks of NO_PROXY, such as 10.0.0.0/8."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for name in networks.split(","):
        try:
            if address in ip_network(name.strip(), strict=False):
                return True
        except ValueError:
            continue
    return False
