import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agelens.serving.schema import Problem
from agelens.serving.url_fetch import Target, UrlFetcher, is_public
from served import metric, problem, serving

HOME = ip_address("127.0.0.1")
PUBLIC = ["8.8.8.8", "93.184.215.14", "172.32.0.1", "2606:4700:4700::1111", "2a00:1450::1"]
NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255",  # noqa: S104
    "192.168.0.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
    "64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1",
    "fc00::1", "fd12::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
]  # fmt: skip


def test_only_internet_addresses_are_public() -> None:
    assert [one for one in (*PUBLIC, *NOT_PUBLIC) if is_public(ip_address(one))] == PUBLIC


@given(st.ip_addresses(v=4))
def test_an_address_inside_another_is_never_public(address) -> None:
    for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(ip_address(form))


REFUSED = {
    "http": ("ftp://example.org/a.jpg", "file:///etc/passwd", "//example.org/a.jpg",
             "example.org/a.jpg", ""),
    "host": ("http:///a.jpg",),
    "user name": ("http://user@example.org/", "http://user:secret@example.org/",
                  "http://example.org@127.0.0.1/"),
    "four decimal": ("http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
                     "http://127.1/", "http://127.0.0.0x1/", "http://134744072/",
                     "http://1.2.3.4.5/"),
    "malformed|interface": ("http://[::1/", "http://[fe80::1%25eth0]/", "http://[v1.x]/",
                            "http://example.org:99999/"),
    "port 0": ("http://example.org:0/",),
    "spaces": ("http://exa mple.org/", "http://example.org/\r\nHost: inner"),
    "backslashes": ("http://example.org\\@127.0.0.1/",),
    "characters": ("http://ⓔxample.org/",),
    "proper host": ("http://example..org/", "http://-example.org/", "http://a*b.org/",
                    "http://" + "a" * 64 + ".org/"),
    "characters; the limit": ("http://example.org/" + "a" * 2000,),
}  # fmt: skip


@pytest.mark.parametrize(("why", "url"), [(why, url) for why in REFUSED for url in REFUSED[why]])
def test_unusual_urls_are_refused_before_any_lookup(why, url) -> None:
    with pytest.raises(Problem, match=why) as caught:
        Target.parse(url)
    assert (caught.value.status, caught.value.code) == (422, "url_refused")


def test_plain_urls_are_parsed() -> None:
    assert Target.parse("https://Example.org:8443/a/b.jpg?x=1&y=2#part") == Target(
        "https", "example.org", 8443, "/a/b.jpg?x=1&y=2",
        "https://Example.org:8443/a/b.jpg?x=1&y=2#part",
    )  # fmt: skip
    assert Target.parse("http://example.org").path == "/"
    assert Target.parse("http://example.org:80/").authority == "example.org"
    assert Target.parse("http://[2606:4700::1]:81/").authority == "[2606:4700::1]:81"
    assert Target.parse("http://8.8.8.8/").host == "8.8.8.8"


def test_a_redirect_is_checked_like_a_url() -> None:
    start = Target.parse("https://example.org/a/b.jpg")
    assert start.redirected("../c.jpg").url == "https://example.org/c.jpg"
    assert start.redirected("//other.example/x").host == "other.example"
    for location in ("file:///etc/passwd", "http://example.org/", "https://2130706433/", "\x00"):
        with pytest.raises(Problem):
            start.redirected(location)


@given(st.text(max_size=40) | st.builds("http://{}/".format, st.text(max_size=40)))
def test_any_text_is_parsed_or_refused(text) -> None:
    try:
        target = Target.parse(text)
    except Problem as problem:
        assert problem.code == "url_refused"
    else:
        assert target.scheme in ("http", "https") and target.host.isascii()
        assert 0 < target.port < 65536


class Site(http.server.BaseHTTPRequestHandler):
    picture: bytes
    asked: list[tuple[str, dict[str, str]]]
    go: threading.Event

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        port = self.server.server_address[1]
        jpeg = {"Content-Type": "image/jpeg"}
        status, headers, body = {
            "/moved": (302, {"Location": "/picture.jpg"}, b""),
            "/elsewhere": (302, {"Location": f"http://127.0.0.2:{port}/picture.jpg"}, b""),
            "/metadata": (302, {"Location": "http://169.254.169.254/latest/"}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/file": (302, {"Location": "file:///etc/passwd"}, b""),
            "/picture.jpg": (200, jpeg, self.picture),
            "/text": (200, {"Content-Type": "text/html"}, b"<h1>inside</h1>"),
            "/squeezed": (200, {"Content-Type": "image/png", "Content-Encoding": "gzip"}, b"\x1f"),
            "/endless": (200, jpeg | {"Transfer-Encoding": "chunked"}, b""),
            "/slow": (200, jpeg | {"Content-Length": "1000"}, b""),
            "/garbage": (None, {}, b"\x00\x01 no HTTP\r\n\r\n"),
        }.get(self.path, (404, jpeg, b""))
        if status is not None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
        self.wfile.write(body)
        while self.path == "/endless":
            self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        if self.path == "/slow":
            self.go.wait(60)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(astronaut_path: Path) -> Iterator[str]:
    Site.picture, Site.asked, Site.go = astronaut_path.read_bytes(), [], threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # a client that hangs up is no news here
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        Site.go.set()
        server.shutdown()
        thread.join()


def get(url: str, seconds: float = 60, most: int = 1_000_000, public=lambda a: a == HOME):
    sizes: list[int] = []

    def count(size: int) -> None:
        sizes.append(size)
        if sum(sizes) > most:
            raise Problem(413, "request_too_large", "too large")

    (found,) = asyncio.run(UrlFetcher(seconds, public).fetch([url], count))
    return found


@pytest.fixture
def name_server(monkeypatch):
    """Set what each look-up of a name gives: addresses, or none; return the list of names."""

    def answer(*answers: tuple[str, ...]) -> list[str]:
        asked: list[str] = []

        async def resolve(self, host, port, **_):
            asked.append(host)
            if not (addresses := answers[len(asked) - 1]):
                raise socket.gaierror(-2, "unknown")
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
        return asked

    return answer


def test_a_picture_is_fetched_and_nothing_of_the_client_is_sent_along(site) -> None:
    assert get(f"{site}/picture.jpg") == Site.picture
    ((_, headers),) = Site.asked
    assert headers["Host"] == site.removeprefix("http://")
    assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert get(f"{site}/moved") == Site.picture


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/elsewhere", "refused", "public address"), ("/metadata", "refused", "public address"),
        ("/file", "refused", "expected http"), ("/loop", "failed", "more than 3 times"),
        ("/text", "failed", "content type"), ("/squeezed", "failed", "compresses"),
        ("/missing", "failed", "404"), ("/garbage", "failed", "speak HTTP"),
    ],
)  # fmt: skip
def test_unusable_responses_are_problems(site, path, code, message) -> None:
    problem = get(site + path)
    assert (problem.status, problem.code) == (422, f"url_{code}") and message in problem.message


def test_size_and_time_are_bounded(site) -> None:
    assert get(f"{site}/endless").code == "request_too_large"
    assert "within 0.3 s" in get(f"{site}/slow", seconds=0.3).message


def test_the_default_policy_refuses_this_machine(site) -> None:
    port = site.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.2"):
        fetch = UrlFetcher(60).fetch([f"http://{host}:{port}/picture.jpg"], lambda _: None)
        assert asyncio.run(fetch)[0].code == "url_refused"
    assert Site.asked == []


def test_the_checked_address_is_the_one_connected_to(site, name_server) -> None:
    """A name server that answers a public address first and an inner one next gets nowhere."""
    asked = name_server(("127.0.0.1",), ("127.0.0.2",))
    port = site.rpartition(":")[2]
    assert get(f"http://rebinding.example:{port}/picture.jpg") == Site.picture
    assert asked == ["rebinding.example"]


def test_unknown_and_internal_names_get_the_same_message(site, name_server) -> None:
    """One internal address among several is too many."""
    inner = get("http://localhost/", public=lambda a: False)
    name_server(("127.0.0.1", "10.0.0.1"), ())
    for host in ("two.example", "nowhere.example"):
        assert get(f"http://{host}/picture.jpg").message == inner.message
    assert inner.code == "url_refused" and Site.asked == []


def test_the_service_fetches_urls_only_if_enabled(site, tiny_model) -> None:
    urls = {"urls": [f"{site}/picture.jpg", f"{site}/text", "http://10.0.0.1/x.jpg"]}
    with serving(tiny_model) as client:
        error = problem(client.post("/v1/predict", json=urls), 415, "unsupported_media_type")
        assert "fetches no URLs" in error["message"]
    assert Site.asked == []

    fetcher = UrlFetcher(60, lambda a: a == HOME)
    with serving(tiny_model, fetch=True, pictures=3, fetcher=fetcher) as client:
        answer = client.post("/v1/predict", json=urls)
        assert answer.status_code == 200
        good, text, inner = answer.json()["pictures"]
        assert (good["file"], len(good["faces"])) == (urls["urls"][0], 1)
        assert [p["error"]["code"] for p in (text, inner)] == ["url_failed", "url_refused"]
        inner, many = urls["urls"][2:], ["http://10.0.0.1/"] * 4
        for body, status, code in (
            *((body, 422, "invalid") for body in ({}, {"urls": "x"}, {"urls": [1]}, [], "x")),
            ({"urls": [], "more": 1}, 422, "invalid"),
            ({"urls": []}, 422, "no_picture"),
            ({"urls": many}, 413, "too_many_pictures"),
            ({"urls": inner}, 422, "url_refused"),
        ):
            problem(client.post("/v1/predict", json=body), status, code)
        assert "application/json" in str(client.get("/openapi.json").json()["paths"])
        assert metric(client, "agelens_held_bytes") == 0
