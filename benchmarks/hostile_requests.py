"""Hostile requests for the service, drawn by a seeded generator; see fuzz_service.py.

Each is written byte by byte for the socket, since no HTTP library would send most of them.
"""

import io
import itertools
import random
import socket
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

PORTRAIT = Path(__file__).resolve().parents[1] / "examples/pictures/astronaut.jpg"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
NAMES = (
    "a.jpg", "../../etc/passwd", "a\x00.jpg", "x" * 5000, "", "a;b=c.jpg", 'q".jpg',
    "\u202egpj.exe", "<script>alert(1)</script>", "%s%n%x", "con", "a\tb.jpg", "ä.jpg",
)  # fmt: skip
KINDS = (
    "image/jpeg", "image/png", "image/*", "image/svg+xml", "application/octet-stream", "",
    "text/html", "application/json", "application/x-www-form-urlencoded", "multipart/mixed",
    "multipart/form-data", "image/jpeg; charset=utf-16", "IMAGE/JPEG", "a" * 3000, "\xff\xfe", "/",
)  # fmt: skip
ENDS = "Host: a\r\nConnection: close\r\n"
Pictures = dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Attack:
    """One request: its bytes in parts, with a pause before each part but the first."""

    kind: str
    parts: tuple[bytes, ...]
    pause: float = 0.0  # seconds
    leaves: bool = False  # hangs up without waiting for an answer


def attacks(seed: int, count: int) -> Iterator[Attack]:
    """Return `count` attacks, the kinds in turn; the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311  (to be drawn again)
    with Image.open(PORTRAIT) as portrait:
        face = portrait.crop((128, 0, 384, 256)).resize((96, 96))
    pictures = {name: _encoded(face, name) for name in FORMATS}
    for kind, make in itertools.islice(itertools.cycle(_MAKERS), count):
        made = make(dice, pictures)
        yield made if isinstance(made, Attack) else Attack(kind, (made,))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service sent back."""

    status: int  # 0 where the connection was closed without an answer
    body: bytes
    seconds: float


def send(url: str, attack: Attack, limit: float) -> Answer:
    """Send one request over a plain socket and read its answer, waiting at most `limit` seconds."""
    at, began = urlsplit(url), time.monotonic()
    status, body = 0, b""
    with (
        socket.create_connection((at.hostname or "", at.port or 80), timeout=limit) as line,
        closing(HTTPResponse(line)) as response,
    ):
        with suppress(OSError):  # refused before all of it was sent: the answer may still wait
            for number, part in enumerate(attack.parts):
                time.sleep(attack.pause if number else 0)
                line.sendall(part)
        if not attack.leaves:
            with suppress(OSError, HTTPException):
                response.begin()
                status = response.status
                body = response.read()
    return Answer(status, body, time.monotonic() - began)


def request(
    body: bytes, kind: str = "image/jpeg", more: bytes = b"", path: str = "/v1/predict"
) -> bytes:
    """Return a well-formed POST around a body."""
    head = f"POST {path} HTTP/1.1\r\n{ENDS}Content-Length: {len(body)}\r\n"
    typed = f"Content-Type: {kind}\r\n" if kind else ""
    return head.encode() + typed.encode("latin-1", "replace") + more + b"\r\n" + body


def form(body: bytes, name: str = "a.jpg", boundary: str = "b") -> bytes:
    """Return a multipart body of one file."""
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="f"; filename="{name}"\r\n\r\n'
    return head.encode("utf-8", "replace") + body + f"\r\n--{boundary}--\r\n".encode()


def _encoded(picture: Image.Image, name: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, name)
    return file.getvalue()


def _mutated(dice: random.Random, pictures: Pictures) -> bytes:
    data = bytearray(pictures[dice.choice(FORMATS)])
    numbers = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    for _ in range(dice.choice((1, 1, 2, 5, 30))):
        at = dice.randrange(len(data) if dice.random() < 0.5 else min(200, len(data)))
        match dice.randrange(6):
            case 0:
                data[at] ^= 1 << dice.randrange(8)
            case 1:
                data[at] = dice.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                data[at : at + 4] = struct.pack(dice.choice("<>") + "I", dice.choice(numbers))
            case 3:
                del data[at : at + dice.randrange(1, 64)]
            case 4:
                data[at:at] = data[at : at + dice.randrange(1, 64)]
            case 5:
                data[at:at] = dice.randbytes(dice.randrange(1, 64))
        if len(data) < 2:
            break
    if dice.random() < 0.2:
        del data[dice.randrange(len(data)) :]
    return request(bytes(data), dice.choice(KINDS[:5]))


def _chunk(name: bytes, data: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(name + data))
    return struct.pack(">I", len(data)) + name + data + crc


def _png(wide: int, high: int, *chunks: bytes) -> bytes:
    head = struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0)
    parts = (b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", head), *chunks, _chunk(b"IEND", b""))
    return b"".join(parts)


def _bomb(dice: random.Random, pictures: Pictures) -> bytes:
    zeros = zlib.compress(bytes(8_000_000), 9)
    wide, high = dice.choice(((50_000, 50_000), (2**31 - 1, 1), (1, 2**31 - 1), (3000, 3000)))
    jpeg = bytearray(pictures["JPEG"])
    at = jpeg.find(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xdc\xff\xdc"
    bombs: tuple[Callable[[], bytes], ...] = (  # only the drawn one is made: some draw numbers
        lambda: _png(wide, high, _chunk(b"IDAT", zeros)),
        lambda: _png(1500, 1500, _chunk(b"IDAT", zeros)),
        lambda: _png(8, 8, _chunk(b"zTXt", b"k\0\0" + zeros), _chunk(b"IDAT", zeros[:50])),
        lambda: _png(8, 8, _chunk(b"iCCP", b"k\0\0" + zeros), _chunk(b"IDAT", zeros[:50])),
        lambda: _png(8, 8, *[_chunk(b"tEXt", b"k\0v")] * 3000),
        lambda: bytes(jpeg),
        lambda: b"GIF89a\xff\xff\xff\xff\xf0\0\0" + bytes(2000),
        lambda: b"P6 60000 60000 255\n" + bytes(500),
        lambda: b"P5 " + b"9" * 5000 + b" 1 255\n",
        lambda: b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff",
        lambda: b"BM" + struct.pack("<IHHIIiiHH", 60, 0, 0, 54, 40, 2**31 - 1, -(2**31), 1, 24),
        lambda: b"II*\0\x08\0\0\0\xff\xff" + dice.randbytes(4000),
        lambda: b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIII", 256, 4, 2**32 - 1, 8, 8),
        lambda: pictures["GIF"][:-1] * 40,
    )  # fmt: skip
    return request(dice.choice(bombs)(), dice.choice(KINDS[:3]))


def _wrong_type(dice: random.Random, pictures: Pictures) -> bytes:
    bodies = (
        b"", b"{}", b'{"urls": ["http://127.0.0.1/"]}', b"[" * 5000, b"<svg/>", b"%PDF-1.7",
        b"PK\x03\x04", dice.randbytes(2000), pictures["JPEG"], "größe".encode("utf-16"),
    )  # fmt: skip
    return request(dice.choice(bodies), dice.choice(KINDS))


def _huge_header(dice: random.Random, pictures: Pictures) -> bytes:
    headers = (
        b"X-Filler: " + b"a" * dice.choice((1000, 30_000, 63_000, 70_000, 500_000)) + b"\r\n",
        b"".join(b"X-%d: a\r\n" % n for n in range(dice.choice((90, 900, 9000)))),
        b"Cookie: " + b"a=b; " * 5000 + b"\r\n",
        b"Authorization: Bearer " + b"k" * 20_000 + b"\r\n",
        b"a" * 20_000 + b": b\r\n",
    )
    more = dice.choice(headers)
    path = dice.choice(("/v1/predict", "/v1/predict?distribution=" + "1" * 20_000))
    return request(pictures["JPEG"], "image/jpeg", more, path)


def _polyglot(dice: random.Random, pictures: Pictures) -> bytes:
    jpeg, png, gif = (pictures[name] for name in ("JPEG", "PNG", "GIF"))
    script = b"<script>alert(document.domain)</script>"
    body = dice.choice((
        jpeg + b"PK\x03\x04" + dice.randbytes(300) + b"PK\x05\x06" + bytes(18),
        jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(script) + 2) + script + jpeg[2:],
        b"GIF89a/*" + bytes(8) + b"*/=1;" + script, gif + script,
        png + b"<?php system($_GET[0]); ?>", b"%PDF-1.7\n" + jpeg, b"#!/bin/sh\n" + png,
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='x'>" + jpeg,
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><svg>&b;</svg>",
        b"%!PS-Adobe-3.0\n(x) run\n" + jpeg, jpeg + png,
    ))  # fmt: skip
    if dice.random() < 0.5:
        return request(form(body, dice.choice(NAMES)), "multipart/form-data; boundary=b")
    return request(body, dice.choice(KINDS[:5]))


def _slow(dice: random.Random, pictures: Pictures) -> Attack:
    sent = request(pictures["JPEG"])
    if (how := dice.randrange(4)) == 0:  # in pieces, but whole
        size = len(sent) // dice.randrange(3, 8) + 1
        parts = tuple(sent[at : at + size] for at in range(0, len(sent), size))
        return Attack("slow", parts, pause=0.05)
    cut = dice.randrange(len(sent) - len(pictures["JPEG"]), len(sent))
    if how == 1:  # never ends
        return Attack("slow", (sent[:cut],))
    if how == 2:  # drips for longer than it may
        return Attack("slow", (sent[:cut], *[b"a"] * 8), pause=0.5)
    return Attack("slow", (sent[:cut],), leaves=True)


def _bad_multipart(dice: random.Random, pictures: Pictures) -> bytes:
    good = form(pictures["JPEG"], dice.choice(NAMES))
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n'
    bodies = (
        good, good.replace(b"\r\n", b"\n"), good[: dice.randrange(len(good))],
        good.replace(b"--b--", b"--b"), good + good, good + dice.randbytes(200),
        b"--b\r\n\r\n" + pictures["JPEG"] + b"\r\n--b--\r\n",
        b"--b\r\nContent-Disposition\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        head + b"X: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n",
        head + b"X: a\r\n" * 3000 + b"\r\nx\r\n--b--\r\n",
        (head + b"\r\nx\r\n") * dice.choice((5, 40, 2000)) + b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\nv\r\n' * 200 + b"--b--\r\n",
        head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + good + b"\r\n--b--\r\n",
        head + b"Content-Transfer-Encoding: base64\r\n\r\n!!!\r\n--b--\r\n",
        b"--b--\r\n", b"\r\n" * 5000, b"-" * 100_000,
    )  # fmt: skip
    body = dice.choice(bodies)
    odd = ("", "; boundary=", "; boundary=c", '; boundary="b"', "; boundary=" + "b" * 5000)
    kind = dice.choice(("; boundary=b",) * 6 + odd + ("; charset=nothing; boundary=b",))
    return request(body, f"multipart/form-data{kind}")


def _odd_http(dice: random.Random, pictures: Pictures) -> Attack:
    jpeg, ends = pictures["JPEG"], ENDS.encode()
    three = b"Content-Length: 3\r\n"
    posts = (  # headers and body of a POST
        (b"Content-Length: -1", jpeg), (b"Content-Length: 1e3", jpeg),
        (b"Content-Length: %d" % 10**30, b""), (b"Content-Length: 99999999", b""),
        (b"Content-Length: 5", jpeg), (b"Content-Length: 5\r\nContent-Length: 6", jpeg),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\nabcde\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"zz\r\nabc\r\n0\r\n\r\n"),
        (b"Transfer-Encoding: chunked", b"ffffffffffffffff\r\nabc"),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 3", b"abc"),
        (b"Content-Encoding: gzip\r\nContent-Length: 3", b"abc"),
        (b"Expect: 100-continue\r\nContent-Length: 50000000", b""),
        (three + b"X-Request-ID: a\r\n b", b"abc"),
        (three + b"X-Request-ID: \x00\xff", b"abc"),
        (three + b"X-API-Key: \xff\xfe\xfd", b"abc"),
        (three + b"Upgrade: h2c\r\nConnection: Upgrade", b"abc"),
        (three + b"Range: bytes=0-99999999999\r\nIf-Match: *", b"abc"),
        (b"Content-Length : 3", b"abc"),
        (b"Origin: null\r\nAccess-Control-Request-Method: \x01\r\nContent-Length: 3", b"abc"),
    )  # fmt: skip
    raw = (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(500),
        dice.randbytes(dice.randrange(1, 3000)) + b"\r\n\r\n",
    )  # fmt: skip
    targets = (
        b"BREW /v1/predict", b"OPTIONS *", b"GET http://elsewhere.example/",
        b"GET /page/..%2f..%2fapp.py", b"GET /page/%00", b"GET /" + b"a/" * 20_000,
    )  # fmt: skip
    query = dice.choice(("%ff", "true&distribution=false", "[]", "1" * 9, "\u00e9", "null", ""))
    sent = (
        *(b"POST /v1/predict HTTP/1.1\r\n%s%s\r\n\r\n%s" % (ends, *post) for post in posts),
        *raw,
        *(b"%s HTTP/1.1\r\n%s\r\n" % (target, ends) for target in targets),
        b"GET /v1/models HTTP/1.1\r\nHost: " + b"a" * 30_000 + b"\r\nConnection: close\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nConnection: close\r\n\r\n",
        b"HEAD /v1/predict HTTP/1.1\r\n%s\r\n" % ends,
        request(jpeg, path=f"/v1/predict?distribution={query}".encode().decode("latin-1")),
    )
    return Attack("odd http", (dice.choice(sent),))


def _noise(dice: random.Random, pictures: Pictures) -> bytes:
    """Noise that decodes, of awkward sizes."""
    side = dice.choice((1, 2, 3, 31, 33, 150))
    noise = np.frombuffer(dice.randbytes(side * side * 3), np.uint8).reshape(side, side, 3)
    return request(_encoded(Image.fromarray(noise), dice.choice(("PNG", "WEBP", "JPEG"))))


_MAKERS: tuple[tuple[str, Callable[[random.Random, Pictures], bytes | Attack]], ...] = (
    ("mutated", _mutated), ("bomb", _bomb), ("mutated", _mutated), ("wrong type", _wrong_type),
    ("huge header", _huge_header), ("polyglot", _polyglot), ("slow", _slow),
    ("bad multipart", _bad_multipart), ("odd http", _odd_http), ("noise", _noise),
)  # fmt: skip
