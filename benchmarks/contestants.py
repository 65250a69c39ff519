"""Each contestant as its users would write it; what it needs is imported where it is used.

A maker takes the host, the token, a CA file (`None` for the default) and the most connections,
and gives a function that deletes one job and returns the server's words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Delete = Callable[[str], str]

BASE = "urllib3"
OURS = "tator"


def _headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/json",
        "Authorization": f"Token {token}",
        "User-Agent": "benchmark/1.0",
    }


def raw_socket(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import json
    import socket

    name, _, port = host.removeprefix("http://").partition(":")
    connection = socket.create_connection((name, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = "".join(f"{key}: {value}\r\n" for key, value in _headers(token).items())

    def delete(run_uid: str) -> str:
        request = f"DELETE /rest/Job/{run_uid} HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n"
        connection.sendall(request.encode())
        answer = connection.recv(65536)
        return str(json.loads(answer.partition(b"\r\n\r\n")[2])["message"])

    return delete


def http_client(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import http.client
    import json

    connection = http.client.HTTPConnection(host.removeprefix("http://"))
    headers = _headers(token)

    def delete(run_uid: str) -> str:
        connection.request("DELETE", f"/rest/Job/{run_uid}", headers=headers)
        return str(json.loads(connection.getresponse().read())["message"])

    return delete


def urllib3_pool(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import json

    import urllib3

    pool = urllib3.connection_from_url(host)
    headers = _headers(token)

    def delete(run_uid: str) -> str:
        answer = pool.request("DELETE", f"/rest/Job/{run_uid}", headers=headers)
        return str(json.loads(answer.data)["message"])

    return delete


def urllib3_manager(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import json

    import urllib3

    pools = urllib3.PoolManager(maxsize=size, block=True, ca_certs=ca or _bundle(host))
    headers = _headers(token)

    def delete(run_uid: str) -> str:
        answer = pools.request("DELETE", f"{host}/rest/Job/{run_uid}", headers=headers)
        return str(json.loads(answer.data)["message"])

    return delete


def _bundle(host: str) -> str | None:
    if not host.startswith("https:"):
        return None
    import certifi

    return certifi.where()


def tator(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import tator

    api = tator.get_api(host, token)
    if ca:
        api.api_client.configuration.ssl_ca_cert = ca

    def delete(run_uid: str) -> str:
        return str(api.delete_job(run_uid).message)

    return delete


def httpx(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import ssl

    import httpx  # type: ignore[import-not-found,unused-ignore]  # a peer

    client = httpx.Client(
        headers=_headers(token),
        verify=ssl.create_default_context(cafile=ca) if ca else True,
        limits=httpx.Limits(max_connections=size, max_keepalive_connections=size),
    )

    def delete(run_uid: str) -> str:
        return str(client.delete(f"{host}/rest/Job/{run_uid}").json()["message"])

    return delete


def requests(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import requests  # type: ignore[import-untyped,unused-ignore]  # types are a package of their own
    import requests.adapters  # type: ignore[import-untyped,unused-ignore]  # as above

    session = requests.Session()
    session.headers.update(_headers(token))
    session.verify = ca or True
    session.mount(host, requests.adapters.HTTPAdapter(pool_maxsize=size, pool_block=True))

    def delete(run_uid: str) -> str:
        return str(session.delete(f"{host}/rest/Job/{run_uid}").json()["message"])

    return delete


def openapi_generator(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import generated_by_openapi_generator as generated  # type: ignore[import-not-found]  # made anew

    configuration = generated.Configuration(
        host=host,
        api_key={"TokenAuth": token},
        api_key_prefix={"TokenAuth": "Token"},
        ssl_ca_cert=ca or _bundle(host),
    )
    configuration.connection_pool_maxsize = size
    api = generated.JobApi(generated.ApiClient(configuration))

    def delete(run_uid: str) -> str:
        return str(api.delete_job(run_uid).message)

    return delete


def openapi_python_client(host: str, token: str, ca: str | None = None, size: int = 1) -> Delete:
    import ssl

    import generated_by_openapi_python_client as generated  # type: ignore[import-not-found]  # made anew
    import httpx
    from generated_by_openapi_python_client.api.job import (  # type: ignore[import-not-found]  # made anew
        delete_job,
    )

    client = generated.AuthenticatedClient(
        base_url=host,
        token=token,
        prefix="Token",
        verify_ssl=ssl.create_default_context(cafile=ca) if ca else True,
        httpx_args={
            "limits": httpx.Limits(max_connections=size, max_keepalive_connections=size),
        },
    )

    def delete(run_uid: str) -> str:
        return str(delete_job.sync(run_uid, client=client).message)

    return delete


CALLS = {
    "raw socket": raw_socket,
    "http.client": http_client,
    "urllib3, its pool alone": urllib3_pool,
    BASE: urllib3_manager,
    OURS: tator,
    "httpx": httpx,
    "requests": requests,
    "openapi-generator client": openapi_generator,
    "openapi-python-client client": openapi_python_client,
}

# The limit and the single-purpose ones are no way to write a whole program.
SCRIPTS = {
    name: maker
    for name, maker in CALLS.items()
    if maker not in (raw_socket, http_client, urllib3_pool)
}

IMPORTS = {
    BASE: "urllib3",
    OURS: "tator",
    "httpx": "httpx",
    "requests": "requests",
    "openapi-generator client": "generated_by_openapi_generator",
    "openapi-python-client client": "generated_by_openapi_python_client.api.job.delete_job",
}


def _in_threads(maker: Callable[..., Delete]) -> Callable[[str, str, list[str], int], int]:
    def delete_all(host: str, token: str, run_uids: list[str], workers: int) -> int:
        from concurrent.futures import ThreadPoolExecutor

        delete = maker(host, token, size=workers)
        with ThreadPoolExecutor(workers) as executor:
            return len(list(executor.map(delete, run_uids)))

    return delete_all


def _tator_bulk(host: str, token: str, run_uids: list[str], workers: int) -> int:
    import tator

    with tator.get_api(host, token).api_client as client:
        result = tator.bulk.delete_jobs(
            tator.JobApi(client), run_uids, max_workers=workers, progress=False
        )
    result.raise_for_failures()
    return len(result.deleted)


BULK = {name: _in_threads(maker) for name, maker in SCRIPTS.items()} | {OURS: _tator_bulk}


def _urllib3_client() -> object:
    import urllib3

    return urllib3.PoolManager()


def _tator_client() -> object:
    import tator

    return tator.ApiClient()


def _httpx_client() -> object:
    import httpx

    return httpx.Client()


def _requests_client() -> object:
    import requests

    return requests.Session()


def _openapi_generator_client() -> object:
    import generated_by_openapi_generator as generated

    return generated.ApiClient()


def _openapi_python_client() -> object:
    import generated_by_openapi_python_client as generated

    return generated.Client(base_url="http://127.0.0.1").get_httpx_client()


CLIENTS = {
    BASE: _urllib3_client,
    OURS: _tator_client,
    "httpx": _httpx_client,
    "requests": _requests_client,
    "openapi-generator client": _openapi_generator_client,
    "openapi-python-client client": _openapi_python_client,
}
