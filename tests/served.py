"""The service in a thread of the test, on a real socket."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn


@contextmanager
def running(app, ready: bool = True) -> Iterator[httpx.Client]:
    """Serve on a free port in a thread; end as after SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            client.headers["Connection"] = "close"
            end = time.monotonic() + 60
            while ready and client.get("/v1/health/ready").status_code != 200:
                assert time.monotonic() < end
                time.sleep(0.02)
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        listener.close()
        assert not thread.is_alive()
