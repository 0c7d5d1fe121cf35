"""The files of the web page, with headers that allow nothing from other hosts."""

from importlib import resources
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
POLICY = "; ".join(
    (
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob:",
        "connect-src 'self'", "media-src 'self' blob:", "base-uri 'none'", "form-action 'none'",
        "frame-ancestors 'none'",
    )
)  # fmt: skip
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """Return one route per file of the page: index.html at /, the others under /page/."""
    files = (resources.files("agelens.serving") / "page").iterdir()
    return [
        _route(file.name, file.read_bytes()) for file in files if Path(file.name).suffix in TYPES
    ]


def _route(name: str, content: bytes) -> Route:
    async def respond(_: Request) -> Response:
        return Response(content, headers=HEADERS, media_type=TYPES[Path(name).suffix])

    path = "/" if name == "index.html" else f"/page/{name}"
    return Route(path, respond, methods=["GET"], include_in_schema=False)
