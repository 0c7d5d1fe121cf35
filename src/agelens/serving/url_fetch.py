"""Fetch pictures that clients name by URL, with protection against SSRF.

This is off unless `Settings.fetch` is set. A host name is resolved once, all its addresses must
be public, and the connection goes to the address that was checked, so DNS rebinding has no
effect. Redirects are checked in the same way. Proxies and cookies are not used, and no part of
the client's request is forwarded.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from agelens import __version__
from agelens.serving.problems import Problem
from agelens.serving.url_policy import Address, Target, address_of, is_public, parse, refusal

MAX_REDIRECTS = 3
CONCURRENCY = 4  # URLs of one request
REDIRECTS = (301, 302, 303, 307, 308)


class UrlFetcher:
    """Fetches pictures over http and https from addresses that `public` allows."""

    def __init__(self, seconds: float, public: Callable[[Address], bool] = is_public) -> None:
        self._seconds = seconds
        self._public = public
        self._tls = ssl.create_default_context()

    async def fetch(
        self, urls: Sequence[str], reserve: Callable[[int], None]
    ) -> list[bytes | Problem]:
        """Return for each URL the bytes of its picture, or the problem.

        `reserve` is called with the size of each chunk before it is kept, and raises Problem if
        there are too many bytes. Problems of URLs are 422: `url_refused` for one that must not be
        fetched, `url_failed` if no picture arrives in time.
        """
        semaphore = asyncio.Semaphore(CONCURRENCY)

        async def one(url: str) -> bytes | Problem:
            try:
                async with asyncio.timeout(self._seconds), semaphore:
                    return await self._follow(parse(url), reserve)
            except TimeoutError:
                return _failed(f"it did not arrive within {self._seconds:g} s")
            except Problem as problem:
                return problem

        return list(await asyncio.gather(*(one(url) for url in urls)))

    async def _follow(self, target: Target, reserve: Callable[[int], None]) -> bytes:
        for _ in range(MAX_REDIRECTS + 1):
            found = await self._get(target, reserve)
            if isinstance(found, bytes):
                return found
            target = found
        raise _failed(f"it is redirected more than {MAX_REDIRECTS} times")

    async def _get(self, target: Target, reserve: Callable[[int], None]) -> bytes | Target:
        """Send one request; return the body, or the target of a redirect."""
        address = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        headers: dict[bytes | str, bytes | str] = {
            "Host": target.authority,
            "Accept": "image/*",
            "Accept-Encoding": "identity",
            "User-Agent": f"agelens/{__version__}",
        }
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls, network_backend=_GuardedBackend(self._public)
        )
        try:
            async with pool, pool.stream("GET", address, headers=headers) as response:
                return await _read(target, response, reserve)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            raise _failed("the host cannot be reached or does not speak HTTP") from None


async def _read(
    target: Target, response: httpcore.Response, reserve: Callable[[int], None]
) -> bytes | Target:
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
    }
    if response.status in REDIRECTS and "location" in headers:
        return target.redirected(headers["location"])
    if response.status != 200:
        raise _failed(f"the host answers {response.status}; expected 200")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise _failed("the host sends no picture: expected a content type image/*")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise _failed("the host compresses its response, which was not requested")
    chunks = []
    async for chunk in response.aiter_stream():
        reserve(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _failed(reason: str) -> Problem:
    return Problem(422, "url_failed", f"no picture from this URL: {reason}")


class _GuardedBackend(httpcore.AsyncNetworkBackend):
    """A network backend that resolves, checks and connects in one step."""

    def __init__(self, public: Callable[[Address], bool]) -> None:
        self._public = public
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host, if all of them are public."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = [str(entry[4][0]) for entry in found]
        # The same message for an unknown name, so that it does not reveal internal names.
        if not addresses or not all(self._public(address_of(one)) for one in addresses):
            raise refusal("its host does not lead to a public address")
        return await self._network.connect_tcp(
            addresses[0], port, timeout, local_address, socket_options
        )
