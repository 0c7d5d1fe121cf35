"""The policy for URLs that are fetched for a client: their spelling, and their addresses.

A URL is refused for its spelling before its host is resolved, and for its address when it is
connected to. Only plain spellings pass: a host that ends in a number must be an ordinary
IPv4 address, since `2130706433`, `0177.0.0.1` and `127.1` are all 127.0.0.1 to a resolver.
"""

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urljoin, urlsplit

from agelens.serving.problems import Problem

Address = IPv4Address | IPv6Address

MAX_URL_LENGTH = 2000  # characters
PORTS = {"http": 80, "https": 443}
# The only allocated part of IPv6; other addresses embed IPv4 or have a special meaning.
UNICAST = ip_network("2000::/3")
# Older Pythons call these global: protocol assignments, 6to4 relays, documentation.
SPECIAL = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """A URL parsed once, so that no second parser can read it differently."""

    scheme: str  # http or https
    host: str  # a name or an address, without brackets
    port: int
    path: str  # with the query
    url: str

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def redirected(self, location: str) -> "Target":
        """Return the target of a redirect. Raises Problem as `parse`, and for https to http."""
        _check_characters(location)
        to = parse(urljoin(self.url, location))
        if self.scheme == "https" and to.scheme != "https":
            raise refusal("it is redirected from https to http")
        return to


def refusal(reason: str) -> Problem:
    """Return the problem for a URL that is not fetched."""
    return Problem(422, "url_refused", f"this URL is not fetched: {reason}")


def parse(url: str) -> Target:
    """Parse a URL. Raises Problem 422 for one that is not a plain http or https URL."""
    if len(url) > MAX_URL_LENGTH:
        raise refusal(f"it has {len(url)} characters; the limit is {MAX_URL_LENGTH}")
    _check_characters(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refusal("it is malformed") from None
    if parts.scheme not in PORTS:
        raise refusal("expected http:// or https://")
    if "@" in parts.netloc:
        raise refusal("it carries a user name or password")
    if port == 0:
        raise refusal("port 0 is none")
    host = _host(parts)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, host, port or PORTS[parts.scheme], path, url)


def _check_characters(url: str) -> None:
    # urlsplit would silently drop some of these.
    if re.search(r"[^!-~]|\\", url):
        raise refusal("it has spaces, backslashes or characters that should be percent-encoded")


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if "[" in parts.netloc:
        try:
            IPv6Address(host)
        except AddressValueError:
            raise refusal("its IPv6 address is malformed") from None
        if "%" in host:
            raise refusal("its IPv6 address names a network interface")
        return host
    labels = host.removesuffix(".").split(".")
    if NUMBER.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError:
            raise refusal("its address is not written as four decimal numbers") from None
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise refusal("it names no proper host")
    return host


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


def address_of(text: str) -> Address:
    """Parse an address from the resolver."""
    return ip_address(text.partition("%")[0])
