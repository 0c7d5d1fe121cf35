"""Pictures that clients name by URL, fetched without becoming a way into the inner network.

Off unless `Settings.fetch` says so. A name is resolved once, all its addresses must be
public, and the connection goes to the address that was checked: a second look-up, which could
answer otherwise, never happens. Redirects go the same way. Proxies of the environment and
cookies are not used, and nothing of the client's request is sent along.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import httpcore

from agelens import __version__
from agelens.serving.problems import Problem
from agelens.serving.url_policy import Address, Target, address_of, is_public, parse, refused

REDIRECTS = 3
AT_ONCE = 4  # URLs of one request
MOVED = (301, 302, 303, 307, 308)


class Fetcher:
    """Gets pictures over http and https; `public` decides which addresses may be asked."""

    def __init__(self, seconds: float, public: Callable[[Address], bool] = is_public) -> None:
        self._seconds = seconds
        self._public = public
        self._tls = ssl.create_default_context()

    async def fetch(
        self, urls: Sequence[str], count: Callable[[int], None]
    ) -> list[bytes | Problem]:
        """Give for each URL the bytes of its picture, or what kept it away.

        `count` is told of bytes before they are kept, and raises Problem where they are too
        many. Problems of the URLs are 422: `url_refused` for one that must not be fetched,
        `url_failed` where nothing usable comes in time.
        """
        room = asyncio.Semaphore(AT_ONCE)

        async def one(url: str) -> bytes | Problem:
            try:
                async with asyncio.timeout(self._seconds), room:
                    return await self._follow(parse(url), count)
            except TimeoutError:
                return _failed(f"it did not arrive within {self._seconds:g} s")
            except Problem as problem:
                return problem

        return list(await asyncio.gather(*(one(url) for url in urls)))

    async def _follow(self, target: Target, count: Callable[[int], None]) -> bytes:
        for _ in range(REDIRECTS + 1):
            found = await self._get(target, count)
            if isinstance(found, bytes):
                return found
            target = found
        raise _failed(f"it is redirected more than {REDIRECTS} times")

    async def _get(self, target: Target, count: Callable[[int], None]) -> bytes | Target:
        """Ask once; give the body, or where it has moved."""
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
            ssl_context=self._tls, network_backend=_Guarded(self._public)
        )
        try:
            async with pool, pool.stream("GET", address, headers=headers) as answer:
                return await _take(target, answer, count)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            raise _failed("the host cannot be reached or does not speak HTTP") from None


async def _take(
    target: Target, answer: httpcore.Response, count: Callable[[int], None]
) -> bytes | Target:
    said = {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers
    }
    if answer.status in MOVED and "location" in said:
        return target.redirected(said["location"])
    if answer.status != 200:
        raise _failed(f"the host answers {answer.status}; expected 200")
    kind = said.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith("image/"):
        raise _failed("the host sends no picture: expected a content type image/*")
    if said.get("content-encoding", "identity").strip().lower() != "identity":
        raise _failed("the host compresses its answer, which was not asked for")
    chunks = []
    async for chunk in answer.aiter_stream():
        count(len(chunk))
        chunks.append(chunk)
    return b"".join(chunks)


def _failed(reason: str) -> Problem:
    return Problem(422, "url_failed", f"no picture from this URL: {reason}")


class _Guarded(httpcore.AsyncNetworkBackend):
    """Resolves, checks and connects in one step."""

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
        # The same words for a name that is unknown: they must not tell of names inside.
        if not addresses or not all(self._public(address_of(one)) for one in addresses):
            raise refused("its host does not lead to a public address")
        return await self._network.connect_tcp(
            addresses[0], port, timeout, local_address, socket_options
        )
