"""URLs are fetched only where they are plainly written and lead to the open internet."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.serving.problems import Problem
from agelens.serving.url_policy import Target, is_public, parse

NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",  # noqa: S104
    "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1",
    "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_internal_addresses_are_not_public(address) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
)
def test_internet_addresses_are_public(address) -> None:
    assert is_public(ip_address(address))


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_never_public(address) -> None:
    for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(ip_address(form))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("ftp://example.org/a.jpg", "http"),
        ("file:///etc/passwd", "http"),
        ("//example.org/a.jpg", "http"),
        ("example.org/a.jpg", "http"),
        ("", "http"),
        ("http:///a.jpg", "host"),
        ("http://user@example.org/", "user name"),
        ("http://user:secret@example.org/", "user name"),
        ("http://example.org@127.0.0.1/", "user name"),
        ("http://2130706433/", "four decimal"),
        ("http://0x7f000001/", "four decimal"),
        ("http://0177.0.0.1/", "four decimal"),
        ("http://127.1/", "four decimal"),
        ("http://127.0.0.0x1/", "four decimal"),
        ("http://134744072/", "four decimal"),
        ("http://1.2.3.4.5/", "four decimal"),
        ("http://[::1/", "malformed"),
        ("http://[fe80::1%25eth0]/", "malformed|interface"),
        ("http://[v1.x]/", "malformed"),
        ("http://example.org:99999/", "malformed"),
        ("http://example.org:0/", "port 0"),
        ("http://exa mple.org/", "spaces"),
        ("http://example.org\\@127.0.0.1/", "backslashes"),
        ("http://example.org/\r\nHost: inner", "spaces"),
        ("http://ⓔxample.org/", "characters"),
        ("http://example..org/", "proper host"),
        ("http://-example.org/", "proper host"),
        ("http://a*b.org/", "proper host"),
        ("http://" + "a" * 64 + ".org/", "proper host"),
        ("http://example.org/" + "a" * 2000, "characters; the limit"),
    ],
)
def test_unusual_urls_are_refused_before_any_lookup(url, why) -> None:
    with pytest.raises(Problem, match=why) as caught:
        parse(url)
    assert (caught.value.status, caught.value.code) == (422, "url_refused")


def test_plain_urls_are_parsed() -> None:
    assert parse("https://Example.org:8443/a/b.jpg?x=1&y=2#part") == Target(
        "https", "example.org", 8443, "/a/b.jpg?x=1&y=2",
        "https://Example.org:8443/a/b.jpg?x=1&y=2#part",
    )  # fmt: skip
    assert parse("http://example.org").path == "/"
    assert parse("http://example.org:80/").authority == "example.org"
    assert parse("http://[2606:4700::1]:81/").authority == "[2606:4700::1]:81"
    assert parse("http://8.8.8.8/").host == "8.8.8.8"


def test_a_redirect_is_checked_like_a_url() -> None:
    start = parse("https://example.org/a/b.jpg")
    assert start.redirected("../c.jpg").url == "https://example.org/c.jpg"
    assert start.redirected("//other.example/x").host == "other.example"
    for location in ("file:///etc/passwd", "http://example.org/", "https://2130706433/", "\x00"):
        with pytest.raises(Problem):
            start.redirected(location)


@given(st.text(max_size=40) | st.builds("http://{}/".format, st.text(max_size=40)))
def test_any_text_is_parsed_or_refused(text) -> None:
    try:
        target = parse(text)
    except Problem as problem:
        assert problem.code == "url_refused"
    else:
        assert target.scheme in ("http", "https")
        assert target.host.isascii()
        assert 0 < target.port < 65536
