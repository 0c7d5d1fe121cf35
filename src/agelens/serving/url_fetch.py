"""Fetch pictures that clients name by URL, protected against SSRF; off unless `Settings.fetch`.

A URL is refused for its spelling before its host is resolved, since `2130706433`, `0177.0.0.1` and
`127.1` are all 127.0.0.1 to a resolver. A host is resolved once, all its addresses must be public,
and the connection goes to the address that was checked, so DNS rebinding has no effect. Redirects
are checked in the same way. No proxies, no cookies, and nothing of the client's request is sent.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

import httpcore
from starlette.datastructures import Headers

from agelens import __version__
from agelens.serving.schema import Problem

Address = IPv4Address | IPv6Address

CONCURRENCY = 4  # URLs of one request
MAX_REDIRECTS, REDIRECTS = 3, (301, 302, 303, 307, 308)
MAX_URL_LENGTH = 2000  # characters
PORTS = {"http": 80, "https": 443}
# The only allocated part of IPv6; other addresses embed IPv4 or have a special meaning.
UNICAST = ip_network("2000::/3")
# Older Pythons call these global: protocol assignments, 6to4 relays, documentation.
SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def is_public(address: Address) -> bool:
    """Return whether an address is on the public internet.

    This excludes the addresses of this machine, of private, shared or local networks, of
    documentation and multicast, and IPv6 addresses that embed an IPv4 address (mapped, 6to4,
    Teredo, NAT64), since they lead wherever that one leads.
    """
    special = any(address.version == net.version and address in net for net in SPECIAL)
    if special or address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in UNICAST and address.sixtofour is None and address.teredo is None


@dataclass(frozen=True, slots=True)
class Target:
    """A URL parsed once, so that no second parser can read it differently."""

    scheme: str  # http or https
    host: str  # a name or an address, without brackets
    port: int
    path: str  # with the query
    url: str

    @classmethod
    def parse(cls, url: str) -> "Target":
        """Parse a URL. Raises Problem 422 for one that is not a plain http or https URL."""
        if len(url) > MAX_URL_LENGTH:
            raise _refused(f"it has {len(url)} characters; the limit is {MAX_URL_LENGTH}")
        _check_characters(url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _refused("it is malformed") from None
        if parts.scheme not in PORTS:
            raise _refused("expected http:// or https://")
        if "@" in parts.netloc:
            raise _refused("it carries a user name or password")
        if port == 0:
            raise _refused("port 0 is none")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, _host(parts), port or PORTS[parts.scheme], path, url)

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: str) -> "Target":
        """Return the target of a redirect. Raises Problem as `parse`, and for https to http."""
        _check_characters(location)
        to = Target.parse(urljoin(self.url, location))
        if self.scheme == "https" and to.scheme != "https":
            raise _refused("it is redirected from https to http")
        return to


def _check_characters(url: str) -> None:
    # urlsplit would silently drop some of these.
    if re.search(r"[^!-~]|\\", url):
        raise _refused("it has spaces, backslashes or characters that should be percent-encoded")


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    labels = host.removesuffix(".").split(".")
    if "[" in parts.netloc:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise _refused("its IPv6 address is malformed") from None
        if "%" in host:
            raise _refused("its IPv6 address names a network interface")
    elif NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise _refused("its address is not written as four decimal numbers") from None
    elif len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise _refused("it names no proper host")
    return host


class UrlFetcher:
    """Fetches pictures over http and https from addresses that `public` allows."""

    def __init__(self, seconds: float, public: Callable[[Address], bool] = is_public) -> None:
        self._seconds = seconds
        self._network = _GuardedBackend(public)
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
                    found: bytes | Target = Target.parse(url)
                    for _ in range(MAX_REDIRECTS + 1):
                        if isinstance(found, Target):
                            found = await self._get(found, reserve)
                    if isinstance(found, bytes):
                        return found
                    return _failed(f"it is redirected more than {MAX_REDIRECTS} times")
            except TimeoutError:
                return _failed(f"it did not arrive within {self._seconds:g} s")
            except Problem as problem:
                return problem

        return list(await asyncio.gather(*(one(url) for url in urls)))

    async def _get(self, target: Target, reserve: Callable[[int], None]) -> bytes | Target:
        url = httpcore.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        headers = [
            ("Host", target.authority), ("Accept", "image/*"), ("Accept-Encoding", "identity"),
            ("User-Agent", f"agelens/{__version__}"),
        ]  # fmt: skip
        pool = httpcore.AsyncConnectionPool(self._tls, network_backend=self._network)
        try:
            async with pool, pool.stream("GET", url, headers=headers) as response:
                sent = Headers(raw=[(name.lower(), value) for name, value in response.headers])
                if response.status in REDIRECTS and "location" in sent:
                    return target.redirected(sent["location"])
                if response.status != 200:
                    raise _failed(f"the host answers {response.status}; expected 200")
                if not sent.get("content-type", "").strip().lower().startswith("image/"):
                    raise _failed("the host sends no picture: expected a content type image/*")
                if sent.get("content-encoding", "identity").strip().lower() != "identity":
                    raise _failed("the host compresses its response, which was not requested")
                chunks = []
                async for chunk in response.aiter_stream():
                    reserve(len(chunk))
                    chunks.append(chunk)
                return b"".join(chunks)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            raise _failed("the host cannot be reached or does not speak HTTP") from None


class _GuardedBackend(httpcore.AnyIOBackend):
    """A network backend that resolves, checks and connects in one step."""

    def __init__(self, public: Callable[[Address], bool]) -> None:
        self._public = public

    async def connect_tcp(
        self, host: str, port: int, *args: Any, **settings: Any
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of a host, if all of them are public."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found = []
        addresses = [str(entry[4][0]) for entry in found]
        public = [self._public(ip_address(one.partition("%")[0])) for one in addresses]
        # The same message for an unknown name, so that it does not reveal internal names.
        if not addresses or not all(public):
            raise _refused("its host does not lead to a public address")
        return await super().connect_tcp(addresses[0], port, *args, **settings)


def _refused(reason: str) -> Problem:
    return Problem(422, "url_refused", f"this URL is not fetched: {reason}")


def _failed(reason: str) -> Problem:
    return Problem(422, "url_failed", f"no picture from this URL: {reason}")
