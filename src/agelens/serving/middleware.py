"""Middleware around every request: a request id, a log line, metrics and security headers."""

import logging
import re
from time import monotonic
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agelens.serving.metrics import Metrics
from agelens.serving.problems import internal_error

log = logging.getLogger("agelens.serving")

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


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
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
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


def _request_id(given: str) -> str:
    """Return the client's id if it is harmless, otherwise a new one."""
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid4().hex
