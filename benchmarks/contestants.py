"""Each contestant as its users would write it. Each imports what it needs where it uses it.

A maker takes the host, the token and the number of connections to keep. It returns a function
that deletes one job and returns the parsed response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Delete = Callable[[str], object]
    AsyncDelete = Callable[[str], Awaitable[object]]

BASE = "urllib3"
OURS = "tator"
OURS_IN_PROCESSES = "tator, 2 processes"
AIOHTTP = "aiohttp"


def _headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/json",
        "Authorization": f"Token {token}",
        "User-Agent": "benchmark/1.0",
    }


def raw_socket(host: str, token: str, size: int = 1) -> Delete:
    import json
    import socket

    name, _, port = host.removeprefix("http://").partition(":")
    connection = socket.create_connection((name, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    headers = "".join(f"{key}: {value}\r\n" for key, value in _headers(token).items())

    def delete(run_uid: str) -> object:
        request = f"DELETE /rest/Job/{run_uid} HTTP/1.1\r\nHost: {name}\r\n{headers}\r\n"
        connection.sendall(request.encode())
        response = connection.recv(65536)
        return json.loads(response.partition(b"\r\n\r\n")[2])

    return delete


def http_client(host: str, token: str, size: int = 1) -> Delete:
    import http.client
    import json

    connection = http.client.HTTPConnection(host.removeprefix("http://"))
    headers = _headers(token)

    def delete(run_uid: str) -> object:
        connection.request("DELETE", f"/rest/Job/{run_uid}", headers=headers)
        return json.loads(connection.getresponse().read())

    return delete


def urllib3_pool(host: str, token: str, size: int = 1) -> Delete:
    import json

    import urllib3

    pool = urllib3.connection_from_url(host)
    headers = _headers(token)

    def delete(run_uid: str) -> object:
        response = pool.request("DELETE", f"/rest/Job/{run_uid}", headers=headers)
        return json.loads(response.data)

    return delete


def urllib3_manager(host: str, token: str, size: int = 1) -> Delete:
    import json

    import urllib3

    pools = urllib3.PoolManager(maxsize=size, block=True, ca_certs=_bundle(host))
    headers = _headers(token)

    def delete(run_uid: str) -> object:
        response = pools.request("DELETE", f"{host}/rest/Job/{run_uid}", headers=headers)
        return json.loads(response.data)

    return delete


def _bundle(host: str) -> str | None:
    if not host.startswith("https:"):
        return None
    import certifi

    return certifi.where()


def tator(host: str, token: str, size: int = 1) -> Delete:
    import tator

    api = tator.get_api(host, token)

    def delete(run_uid: str) -> object:
        return api.delete_job(run_uid)

    return delete


def httpx(host: str, token: str, size: int = 1) -> Delete:
    import httpx  # type: ignore[import-not-found,unused-ignore]  # a peer

    client = httpx.Client(
        headers=_headers(token),
        limits=httpx.Limits(max_connections=size, max_keepalive_connections=size),
    )

    def delete(run_uid: str) -> object:
        return client.delete(f"{host}/rest/Job/{run_uid}").json()

    return delete


def requests(host: str, token: str, size: int = 1) -> Delete:
    import requests  # type: ignore[import-untyped,unused-ignore]  # its types are a separate package
    import requests.adapters  # type: ignore[import-untyped,unused-ignore]  # as above

    session = requests.Session()
    session.headers.update(_headers(token))
    session.mount(host, requests.adapters.HTTPAdapter(pool_maxsize=size, pool_block=True))

    def delete(run_uid: str) -> object:
        return session.delete(f"{host}/rest/Job/{run_uid}").json()

    return delete


def openapi_generator(host: str, token: str, size: int = 1) -> Delete:
    import generated_by_openapi_generator as generated  # type: ignore[import-not-found]  # made anew

    configuration = generated.Configuration(
        host=host,
        api_key={"TokenAuth": token},
        api_key_prefix={"TokenAuth": "Token"},
        ssl_ca_cert=_bundle(host),
    )
    configuration.connection_pool_maxsize = size
    api = generated.JobApi(generated.ApiClient(configuration))

    def delete(run_uid: str) -> object:
        return api.delete_job(run_uid)

    return delete


def openapi_python_client(host: str, token: str, size: int = 1) -> Delete:
    import generated_by_openapi_python_client as generated  # type: ignore[import-not-found]  # made anew
    import httpx
    from generated_by_openapi_python_client.api.job import (  # type: ignore[import-not-found]  # made anew
        delete_job,
    )

    client = generated.AuthenticatedClient(
        base_url=host,
        token=token,
        prefix="Token",
        httpx_args={
            "limits": httpx.Limits(max_connections=size, max_keepalive_connections=size),
        },
    )

    def delete(run_uid: str) -> object:
        return delete_job.sync(run_uid, client=client)

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

# The raw socket, http.client and a single pool are limits, and no way to write a whole program.
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


def _tator_processes(host: str, token: str, run_uids: list[str], workers: int) -> int:
    from concurrent.futures import ProcessPoolExecutor

    import tator

    with ProcessPoolExecutor(2) as executor:
        result = tator.bulk.delete_jobs(
            tator.get_api(host, token),
            run_uids,
            max_workers=workers,
            progress=False,
            executor=executor,
        )
    result.raise_for_failures()
    return len(result.deleted)


def _aiohttp_gather(host: str, token: str, run_uids: list[str], workers: int) -> int:
    """As most people write it: all at once, and the connector holds them back."""
    import asyncio

    async def delete_all(delete: AsyncDelete) -> int:
        return len(await asyncio.gather(*map(delete, run_uids)))

    return asyncio.run(_with_aiohttp(host, token, workers, delete_all))


def _aiohttp_tasks(host: str, token: str, run_uids: list[str], workers: int) -> int:
    """As fast as it goes: one task for each connection."""
    import asyncio

    async def delete_all(delete: AsyncDelete) -> int:
        remaining = iter(run_uids)

        async def work() -> int:
            return len([await delete(run_uid) for run_uid in remaining])

        return sum(await asyncio.gather(*(work() for _ in range(workers))))

    return asyncio.run(_with_aiohttp(host, token, workers, delete_all))


async def _with_aiohttp(
    host: str, token: str, workers: int, delete_all: Callable[[AsyncDelete], Awaitable[int]]
) -> int:
    import aiohttp  # type: ignore[import-not-found,unused-ignore]  # a peer

    connector = aiohttp.TCPConnector(limit=workers)
    async with aiohttp.ClientSession(headers=_headers(token), connector=connector) as session:

        async def delete(run_uid: str) -> object:
            async with session.delete(f"{host}/rest/Job/{run_uid}") as response:
                return await response.json()

        return await delete_all(delete)


BULK = {
    BASE: _in_threads(urllib3_manager),
    OURS: _tator_bulk,
    AIOHTTP: _aiohttp_gather,
    "aiohttp, 32 tasks": _aiohttp_tasks,
    "httpx": _in_threads(httpx),
    "requests": _in_threads(requests),
    "openapi-generator client": _in_threads(openapi_generator),
    "openapi-python-client client": _in_threads(openapi_python_client),
}

# Past one core, for a server that is faster than one interpreter.
BULK_AND_PROCESSES = {
    BASE: BULK[BASE],
    OURS: BULK[OURS],
    OURS_IN_PROCESSES: _tator_processes,
    **BULK,
}


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
