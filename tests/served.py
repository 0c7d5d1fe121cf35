"""The service in a thread of the test, on a real socket."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from agelens.serving.app import create_app
from agelens.serving.settings import Settings

GREY = b"P6 32 32 255\n" + b"\x80" * (32 * 32 * 3)


@contextmanager
def serving(
    model: Path, *, ready: bool = True, fetcher: Any = None, on_failure: Any = None, **settings: Any
) -> Iterator[httpx.Client]:
    """Serve a model on a free port, in a thread that ends as after SIGTERM; wait until `ready`."""
    checked = Settings(model=model, **{"threads": 1, "longest": 640, **settings})
    app = create_app(checked, fetcher=fetcher, on_failure=on_failure)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            client.headers["Connection"] = "close"
            if ready:
                wait_until(lambda: client.get("/v1/health/ready").status_code == 200)
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that a response is an error of the one form; return the error."""
    body = response.json()
    assert (response.status_code, body["error"]["code"]) == (status, code), body
    assert set(body) == {"error", "request_id"}
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["request_id"] == response.headers["x-request-id"]
    return body["error"]


def metric(client: httpx.Client, name: str) -> float:
    lines = client.get("/metrics").text.splitlines()
    return float(next((x.rpartition(" ")[2] for x in lines if x.startswith(f"{name} ")), 0))
