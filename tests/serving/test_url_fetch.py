"""Pictures by URL, from a server on loopback: guarded, bounded, and off unless asked for."""

import asyncio
import http.server
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from agelens.serving.app import create_app
from agelens.serving.problems import Problem
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import UrlFetcher
from served import metric, problem, running

HOME = ip_address("127.0.0.1")


class Site(http.server.BaseHTTPRequestHandler):
    """Answers as its path says."""

    picture: bytes
    asked: list[tuple[str, dict[str, str]]]
    go: threading.Event

    def do_GET(self) -> None:
        self.asked.append((self.path, dict(self.headers)))
        port = self.server.server_address[1]
        moved = {
            "/moved": "/picture.jpg",
            "/elsewhere": f"http://127.0.0.2:{port}/picture.jpg",
            "/metadata": "http://169.254.169.254/latest/",
            "/loop": "/loop",
            "/file": "file:///etc/passwd",
        }
        if self.path in moved:
            self.answer(302, {"Location": moved[self.path]})
        elif self.path == "/picture.jpg":
            self.answer(200, {"Content-Type": "image/jpeg"}, self.picture)
        elif self.path == "/text":
            self.answer(200, {"Content-Type": "text/html"}, b"<h1>inside</h1>")
        elif self.path == "/squeezed":
            headers = {"Content-Type": "image/png", "Content-Encoding": "gzip"}
            self.answer(200, headers, b"\x1f\x8b")
        elif self.path == "/endless":
            self.answer(200, {"Content-Type": "image/jpeg", "Transfer-Encoding": "chunked"})
            while True:
                self.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        elif self.path == "/slow":
            self.answer(200, {"Content-Type": "image/jpeg", "Content-Length": "1000"})
            self.go.wait(60)
        elif self.path == "/garbage":
            self.wfile.write(b"\x00\x01 no HTTP\r\n\r\n")
        else:
            self.answer(404, {"Content-Type": "image/jpeg"})

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:  # a client that hangs up is no news here
        pass


@pytest.fixture
def site(astronaut_path: Path) -> Iterator[str]:
    Site.picture, Site.asked, Site.go = astronaut_path.read_bytes(), [], threading.Event()
    with Server(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        Site.go.set()
        server.shutdown()
        thread.join()


def get(url: str, seconds: float = 60, most: int = 1_000_000, public=lambda a: a == HOME):
    """Fetch one URL; the bytes, or the problem."""
    counted = 0

    def count(size: int) -> None:
        nonlocal counted
        counted += size
        if counted > most:
            raise Problem(413, "request_too_large", "too large")

    (found,) = asyncio.run(UrlFetcher(seconds, public).fetch([url], count))
    return found


def resolved(port: int, *addresses: str) -> list[tuple]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in addresses]


def test_a_picture_is_fetched_and_nothing_of_the_client_is_sent_along(site) -> None:
    assert get(f"{site}/picture.jpg") == Site.picture
    ((_, headers),) = Site.asked
    assert headers["Host"] == site.removeprefix("http://")
    assert set(headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
    assert get(f"{site}/moved") == Site.picture


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/elsewhere", "url_refused", "public address"),
        ("/metadata", "url_refused", "public address"),
        ("/file", "url_refused", "expected http"),
        ("/loop", "url_failed", "more than 3 times"),
        ("/text", "url_failed", "content type"),
        ("/squeezed", "url_failed", "compresses"),
        ("/missing", "url_failed", "404"),
        ("/garbage", "url_failed", "speak HTTP"),
    ],
)
def test_unusable_responses_are_problems(site, path, code, message) -> None:
    problem = get(site + path)
    assert (problem.status, problem.code) == (422, code)
    assert message in problem.message


def test_size_and_time_are_bounded(site) -> None:
    assert get(f"{site}/endless").code == "request_too_large"
    assert "within 0.3 s" in get(f"{site}/slow", seconds=0.3).message


def test_the_default_policy_refuses_this_machine(site) -> None:
    port = site.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.0.0.2"):
        problem = asyncio.run(
            UrlFetcher(60).fetch([f"http://{host}:{port}/picture.jpg"], lambda _: None)
        )[0]
        assert problem.code == "url_refused"
    assert Site.asked == []


def test_the_checked_address_is_the_one_connected_to(site, monkeypatch) -> None:
    """A name server that answers a public address first and an inner one next gets nowhere."""
    port = int(site.rpartition(":")[2])
    asked: list[str] = []

    async def resolve(self, host, port_, **_):
        asked.append(host)
        return resolved(port, "127.0.0.1" if len(asked) == 1 else "127.0.0.2")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    assert get(f"http://rebinding.example:{port}/picture.jpg") == Site.picture
    assert asked == ["rebinding.example"]


def test_one_internal_address_among_several_is_refused(site, monkeypatch) -> None:
    async def resolve(self, host, port, **_):
        return resolved(port, "127.0.0.1", "10.0.0.1")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    assert get("http://two.example/picture.jpg").code == "url_refused"
    assert Site.asked == []


def test_unknown_and_internal_names_get_the_same_message(monkeypatch) -> None:
    async def unknown(self, host, port, **_):
        raise socket.gaierror(-2, "unknown")

    inner = get("http://localhost/", public=lambda a: False)
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    assert get("http://nowhere.example/").message == inner.message


def test_the_service_fetches_urls_only_if_enabled(site, tiny_model) -> None:
    urls = {"urls": [f"{site}/picture.jpg", f"{site}/text", "http://10.0.0.1/x.jpg"]}
    with running(create_app(Settings(model=tiny_model, threads=1))) as client:
        error = problem(client.post("/v1/predict", json=urls), 415, "unsupported_media_type")
        assert "fetches no URLs" in error["message"]
    assert Site.asked == []

    settings = Settings(model=tiny_model, threads=1, fetch=True, pictures=3)
    fetcher = UrlFetcher(60, lambda a: a == HOME)
    with running(create_app(settings, fetcher=fetcher)) as client:
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
