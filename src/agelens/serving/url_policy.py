"""Which URLs may be fetched for a client: how they are written, and where they lead.

A URL is refused for its spelling before anything is looked up, and for its address when it is
connected to. Only plain spellings pass: a host that ends in a number must be an ordinary
IPv4 address, since `2130706433`, `0177.0.0.1` and `127.1` are all 127.0.0.1 to a resolver.
"""

import re
from dataclasses import dataclass
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from urllib.parse import SplitResult, urljoin, urlsplit

from agelens.serving.problems import Problem

Address = IPv4Address | IPv6Address

LONGEST_URL = 2000  # characters
PORTS = {"http": 80, "https": 443}
# Of IPv6 only this part is given out; the rest embeds or means something else.
UNICAST = IPv6Network("2000::/3")
# Older Pythons call these global: protocol assignments, 6to4 relays, documentation.
SPECIAL = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("3fff::/20"))
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart once, so that no second parser can read it otherwise."""

    scheme: str  # http or https
    host: str  # a name or an address, without brackets
    port: int
    path: str  # with the query
    url: str

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: str) -> "Target":
        """Give where a redirect leads. Raises Problem as `parse` does, and for one to http."""
        _check_spelling(location)
        to = parse(urljoin(self.url, location))
        if self.scheme == "https" and to.scheme != "https":
            raise refused("it is redirected from https to http")
        return to


def refused(reason: str) -> Problem:
    """Give the error for a URL that is not fetched."""
    return Problem(422, "url_refused", f"this URL is not fetched: {reason}")


def parse(url: str) -> Target:
    """Take a URL apart. Raises Problem 422 for one that is not plainly http or https."""
    if len(url) > LONGEST_URL:
        raise refused(f"it has {len(url)} characters; the limit is {LONGEST_URL}")
    _check_spelling(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused("it is malformed") from None
    if parts.scheme not in PORTS:
        raise refused("expected http:// or https://")
    if "@" in parts.netloc:
        raise refused("it carries a user name or password")
    if port == 0:
        raise refused("port 0 is none")
    host = _host(parts)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path, url)


def _check_spelling(url: str) -> None:
    # The parser would drop some of these in silence.
    if re.search(r"[^!-~]|\\", url):
        raise refused("it has spaces, backslashes or characters that should be percent-encoded")


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise refused("its IPv6 address is malformed") from None
        if "%" in host:
            raise refused("its IPv6 address names a network interface")
        return host
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise refused("its address is not written as four decimal numbers") from None
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise refused("it names no proper host")
    return host


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the open internet.

    Not those of this machine, of private, shared or local networks, of documentation or
    multicast; nor IPv6 addresses with an IPv4 address inside (mapped, 6to4, Teredo, NAT64),
    which lead to wherever that one leads.
    """
    special = any(address.version == net.version and address in net for net in SPECIAL)
    if special or address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return True
    return address in UNICAST and address.sixtofour is None and address.teredo is None


def address_of(text: str) -> Address:
    """Read an address as the resolver gives it."""
    return ip_address(text.partition("%")[0])
