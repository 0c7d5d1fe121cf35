"""Sends the bytes of one request and reads its answer, over a plain socket."""

import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from hostile import Attack


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int  # 0 where the connection was closed without an answer
    body: bytes
    seconds: float


def ask(url: str, attack: Attack, limit: float) -> Answer:
    """Send one request and read to the end of its answer, at most `limit` seconds."""
    at = urlsplit(url)
    began = time.monotonic()
    with socket.create_connection((at.hostname or "", at.port or 80), timeout=limit) as line:
        try:
            for number, part in enumerate(attack.parts):
                if number and attack.pause:
                    time.sleep(attack.pause)
                line.sendall(part)
        except OSError:  # refused before all of it was sent: the answer may wait all the same
            pass
        received = b"" if attack.leaves else _read(line, began + limit)
    final = received
    while final.startswith(b"HTTP/1.1 1"):  # 100 Continue
        final = final.partition(b"\r\n\r\n")[2]
    head, _, body = final.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
    return Answer(status, body, time.monotonic() - began)


def _read(line: socket.socket, end: float) -> bytes:
    received = b""
    try:
        while (left := end - time.monotonic()) > 0:
            line.settimeout(left)
            more = line.recv(65536)
            if not more:
                break
            received += more
            if _whole(received):
                break
    except OSError:
        pass
    return received


def _whole(received: bytes) -> bool:
    """Tell whether an answer has arrived: connections may be kept open."""
    head, ended, body = received.partition(b"\r\n\r\n")
    if not ended or head.startswith(b"HTTP/1.1 1"):
        return False
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return len(body) >= int(value)
    return False
