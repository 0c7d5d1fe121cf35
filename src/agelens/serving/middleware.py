"""What surrounds every request: a request id, a log line, metrics and security headers."""

import logging
import re
from time import monotonic
from typing import Any, TypeVar
from uuid import uuid4

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.serving.schema import internal_error

Kind = TypeVar("Kind", Counter, Gauge, Histogram)

log = logging.getLogger("agelens.serving")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """The Prometheus metrics of one app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()

        def metric(kind: type[Kind], name: str, about: str, *labels: str, **more: Any) -> Kind:
            return kind(f"agelens_{name}", about, labels, registry=self.registry, **more)

        self.requests = metric(Counter, "requests", "Requests answered.", "route", "status")
        times = {"buckets": SECONDS}
        self.seconds = metric(
            Histogram, "request_seconds", "Duration of a request.", "route", **times
        )
        self.pictures = metric(Counter, "pictures", "Pictures processed.", "outcome")
        self.faces = metric(Counter, "faces", "Faces predicted.")
        self.batch = metric(
            Histogram, "batch_pictures", "Pictures in one batch.", buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self.waited = metric(Histogram, "wait_seconds", "Time of a picture in the queue.", **times)
        self.queue = metric(Gauge, "queue_pictures", "Pictures in the queue.")
        self.held = metric(Gauge, "held_bytes", "Bytes of pictures in memory.")
        self.ready = metric(Gauge, "ready", "1 once the model is loaded.")


class RequestMiddleware:
    """The outermost ASGI middleware; it logs nothing of a query or a body."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = monotonic()
        request_id = Headers(scope=scope).get("x-request-id", "")
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", request_id):  # none, or a harmful one
            request_id = uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception:
            log.exception("request failed", extra={"request_id": request_id})
            if status:  # too late for an error response: let the server cut the connection
                raise
            await internal_error().response(request_id)(scope, receive, send_with_headers)
        finally:
            # the route as the code has it, so that paths tried at random count as one
            route = str(getattr(scope.get("route"), "path", "other"))
            method = scope["method"] if scope["method"] in METHODS else "OTHER"
            seconds = monotonic() - start
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            log.info(
                "%s %s %d %.0f ms %s", method, route, status, seconds * 1000, request_id,
                extra={"request_id": request_id, "route": route, "status": status,
                       "milliseconds": round(seconds * 1000, 1)},
            )  # fmt: skip
