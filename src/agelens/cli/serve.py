"""`agelens serve`: serve predictions over HTTP, with a web page."""

import logging
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from agelens.cli import console, options
from agelens.errors import ConfigError, SourceError, require

if TYPE_CHECKING:
    from agelens.serving.settings import Settings

LOOPBACK = ("127.0.0.1", "::1", "localhost")


def serve(
    *,
    host: Annotated[
        str, Option(help="Address to listen on; 0.0.0.0 for all interfaces.")
    ] = "127.0.0.1",
    port: Annotated[
        int, Option("--port", "-p", min=0, max=65535, help="Port; 0 picks a free one.")
    ] = 8000,
    threads: options.Threads = None,
    max_bytes: Annotated[int, Option(min=1000, help="Maximum bytes per request.")] = 32_000_000,
    max_pictures: Annotated[int, Option(min=1, help="Maximum pictures per request.")] = 32,
    max_pixels: Annotated[int, Option(min=1, help="Maximum pixels per picture.")] = 25_000_000,
    max_faces: Annotated[int, Option(min=1, help="Maximum faces per picture.")] = 200,
    seconds: Annotated[float, Option(min=0.1, help="Timeout of a response.")] = 30.0,
    upload_seconds: Annotated[float, Option(min=0.1, help="Timeout of an upload.")] = 60.0,
    queue: Annotated[
        int, Option(min=1, help="Maximum pictures in the queue; more are rejected (429).")
    ] = 128,
    max_wait: Annotated[
        float, Option(min=0.01, help="Maximum seconds in the queue, expected; else 429.")
    ] = 0.6,
    batch_wait: Annotated[
        float, Option(min=0, help="Milliseconds to wait for more pictures of a batch.")
    ] = 5.0,
    api_keys: Annotated[
        Path | None, Option(help="File of API keys, one per line (default: no key needed).")
    ] = None,
    cors_origin: Annotated[list[str] | None, Option(
        help="Allowed CORS origin, such as https://a.example (repeatable).",
    )] = None,
    page: Annotated[bool, Option(help="Serve the web page at /.")] = True,
    fetch: Annotated[bool, Option(help="Fetch pictures by URL, public hosts only.")] = False,
    prediction: options.ModelOptions,
) -> None:  # fmt: skip
    """Serve predictions over HTTP, with a web page at /.

    Pictures are neither stored nor logged. On Ctrl-C or SIGTERM the service finishes the accepted
    requests and exits. API keys can also be set in AGELENS_API_KEYS, separated by commas.

    [bold]Examples[/]

      agelens serve --port 8000
      curl -F files=@photo.jpg http://127.0.0.1:8000/v1/predict
      agelens serve --host 0.0.0.0 --api-keys keys.txt --json-logs
    """
    require("serve", "fastapi", "uvicorn", "prometheus_client", "python_multipart", "httpcore")
    from agelens.inference.runtime import locate
    from agelens.serving.settings import Settings

    locate(prediction.model)  # a wrong name ends the command before the socket is opened
    settings = Settings(
        **asdict(prediction), threads=threads,
        request_bytes=max_bytes, pictures=max_pictures, pixels=max_pixels, faces=max_faces,
        seconds=seconds, upload_seconds=upload_seconds, queue=queue, wait=max_wait,
        held_bytes=max(256_000_000, 2 * max_bytes), batch_wait=batch_wait / 1000,
        api_keys=_read_keys(api_keys), cors_origins=tuple(cors_origin or ()), page=page,
        fetch=fetch,
    )  # fmt: skip
    with _listen(host, port) as listener:
        _run(settings, listener, host)


def _read_keys(file: Path | None) -> tuple[str, ...]:
    lines = os.environ.get("AGELENS_API_KEYS", "").split(",")
    if file is not None:
        try:
            lines += file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise SourceError(
                f"cannot read --api-keys {str(file)!r}: {reason}; expected one key per line"
            ) from error
    keys = tuple(line.strip() for line in lines if line.strip() and line.strip()[0] != "#")
    if file is not None and not keys:
        raise SourceError(f"--api-keys {str(file)!r} holds no key: expected one per line")
    return keys


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM, 0, socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=1024)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --host or --port"
        ) from error


def _run(settings: "Settings", listener: socket.socket, host: str) -> None:
    import uvicorn

    from agelens.serving.app import create_app

    failures: list[BaseException] = []

    def on_failure(error: BaseException) -> None:
        failures.append(error)
        server.should_exit = True

    app = create_app(settings, on_failure=on_failure)
    logging.basicConfig(format="%(message)s", handlers=[console.LogLines()], level="WARNING")
    logging.getLogger("agelens.serving").setLevel(logging.INFO)  # one line per request
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, lifespan="on",
        timeout_graceful_shutdown=round(settings.seconds + settings.upload_seconds) + 1,
        timeout_keep_alive=30, h11_max_incomplete_event_size=64_000,
    )  # fmt: skip
    server = uvicorn.Server(config)
    shown = f"[{host}]" if ":" in host else host
    console.note(f"agelens on http://{shown}:{listener.getsockname()[1]}/  (Ctrl-C stops it)")
    if host not in LOOPBACK and not settings.api_keys:
        console.warn("anyone who reaches this address can use the service: see --api-keys")
    # uvicorn raises its signals again after a clean stop; that is no failure here.
    with console.on_signals(lambda *_: None):
        server.run(sockets=[listener])
    if failures:
        raise failures[0]
