"""Around every request: an id, a log line without its content, counts, and safe headers."""

import logging
import re
from time import monotonic
from typing import Any
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.serving.metrics import Metrics
from agelens.serving.problems import internal

log = logging.getLogger("agelens.serving")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


class Envelope:
    """The outermost ASGI layer; nothing of a query or a body reaches the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = monotonic()
        request_id = _id(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0

        async def outward(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                headers.setdefault("Cache-Control", "no-store")
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self._app(scope, receive, outward)
        except Exception:
            log.exception("request failed", extra={"request_id": request_id})
            if status:  # too late for an answer: let the server cut the connection
                raise
            await internal().response(request_id)(scope, receive, outward)
        finally:
            route = _route(scope)
            took = monotonic() - start
            self._metrics.requests.labels(route, str(status)).inc()
            self._metrics.seconds.labels(route).observe(took)
            log.info(
                "%s %s %d %.0f ms %s", _method(scope), route, status, took * 1000, request_id,
                extra={"request_id": request_id, "route": route, "status": status,
                       "milliseconds": round(took * 1000, 1)},
            )  # fmt: skip


def _id(given: str) -> str:
    """Take the client's id where it is harmless, or make one."""
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid4().hex


def _route(scope: Scope) -> str:
    """Give the route as it is written in the code, so that paths tried at random count as one."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "other"))


def _method(scope: Scope) -> str:
    method = str(scope["method"])
    return method if method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS") else "OTHER"
