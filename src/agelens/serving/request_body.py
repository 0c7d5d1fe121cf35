"""Request bodies: counted while they arrive, kept in memory, never written to a disk."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Self

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from agelens.serving.metrics import Metrics
from agelens.serving.problems import Problem
from agelens.serving.schema import UrlsModel
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import Fetcher

RAW = "application/octet-stream"
FORM = "multipart/form-data"
JSON = "application/json"
DRAIN_BYTES = 64_000_000  # of a refused body that are read and dropped, so that the
DRAIN_SECONDS = 5.0  # client sees the answer rather than a broken connection


@dataclass(frozen=True, slots=True, eq=False)
class Upload:
    """One picture as it came."""

    name: str  # what the client calls it, or its URL; "" for a raw body
    data: bytes
    problem: Problem | None = None  # where it could not be fetched


@dataclass(slots=True)
class Room:
    """The bytes of all requests held at once."""

    limit: int
    metrics: Metrics
    held: int = 0

    def change(self, more: int) -> None:
        """Take more bytes, or give some back. Raises Problem 429 where there is no room."""
        if more > 0 and self.held + more > self.limit:
            raise Problem(
                429,
                "busy",
                "the service holds as many pictures as it may: try again in 1 s",
                {"held_bytes": self.held},
                retry_after=1,
            )
        self.held += more
        self.metrics.held.set(self.held)


@dataclass(slots=True)
class Intake:
    """Reads one request's body and holds its bytes; a context manager that lets go of them."""

    request: Request
    settings: Settings
    room: Room
    fetcher: Fetcher | None = None  # None: URLs are not fetched
    taken: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.room.change(-self.taken)
        self.taken = 0

    async def read(self) -> list[Upload]:
        """Give the pictures of a multipart or raw body, or those that a JSON body names.

        Raises Problem: 400 for a body that is cut off or malformed, 408 for one that
        comes too slowly, 413 for too many bytes or pictures, 415 for another content
        type, 422 for no picture, 429 where too much is held already. What keeps one
        URL of several from being fetched stands in its Upload.
        """
        kind = self.request.headers.get("content-type", RAW).partition(";")[0].strip().lower()
        if kind == JSON and self.fetcher is not None:
            take = self._named
        elif kind == FORM:
            take = self._files
        elif kind == RAW or kind.startswith("image/"):
            take = self._raw
        else:
            off = "; this service fetches no URLs" if kind == JSON else ""
            raise Problem(
                415,
                "unsupported_media_type",
                f"content type {kind[:100]!r}: expected {FORM} with files, "
                f"or a picture as image/* or {RAW}{off}",
            )
        if int(self._announced()) > self.settings.request_bytes:
            raise self._too_large()
        try:
            async with asyncio.timeout(self.settings.upload_seconds):
                uploads = await take()
        except TimeoutError:
            raise Problem(
                408,
                "upload_too_slow",
                f"the body did not arrive within {self.settings.upload_seconds:g} s",
                headers={"Connection": "close"},
            ) from None
        except ClientDisconnect:
            raise Problem(400, "cut_off", "the body ended early") from None
        if not uploads:
            raise Problem(
                422, "no_picture", "no picture in the request: send files, or a picture as body"
            )
        return uploads

    def _announced(self) -> str:
        length = self.request.headers.get("content-length", "0")
        return length if length.isascii() and length.isdigit() and len(length) < 19 else "0"

    def _too_large(self) -> Problem:
        limit = self.settings.request_bytes
        return Problem(
            413,
            "request_too_large",
            f"body of more than {limit:,} bytes: send smaller or fewer pictures at once",
            {"limit": limit},
        )

    def _count(self, size: int) -> None:
        """Note bytes before they are kept. Raises Problem where they are too many."""
        if self.taken + size > self.settings.request_bytes:
            raise self._too_large()
        self.room.change(size)
        self.taken += size

    async def _counted(self) -> AsyncGenerator[bytes, None]:
        async for chunk in self.request.stream():
            self._count(len(chunk))
            yield chunk

    async def _raw(self) -> list[Upload]:
        data = b"".join([chunk async for chunk in self._counted()])
        return [Upload("", data)] if data else []

    async def _files(self) -> list[Upload]:
        most = self.settings.pictures
        parser = _InMemory(
            self.request.headers, self._counted(), max_files=most + 1, max_fields=100
        )
        try:
            form = await parser.parse()
        except MultiPartException as error:
            if "Too many files" in error.message:
                raise self._too_many(f"more than {most}") from None
            raise Problem(400, "bad_multipart", f"malformed body: {error.message}") from None
        try:
            files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
            if len(files) > most:
                raise self._too_many(str(len(files)))
            return [Upload(file.filename or "", await file.read()) for file in files]
        finally:
            await form.close()

    async def _named(self) -> list[Upload]:
        assert self.fetcher is not None  # noqa: S101  (or nobody comes here)
        body = b"".join([chunk async for chunk in self._counted()])
        try:
            urls = UrlsModel.model_validate_json(body).urls
        except ValidationError:
            message = 'the JSON body: expected {"urls": ["https://...", ...]}'
            raise Problem(422, "invalid", message) from None
        if len(urls) > self.settings.pictures:
            raise self._too_many(str(len(urls)))
        found = await self.fetcher.fetch(urls, self._count)
        return [
            Upload(url, b"", one) if isinstance(one, Problem) else Upload(url, one)
            for url, one in zip(urls, found, strict=True)
        ]

    def _too_many(self, count: str) -> Problem:
        limit = self.settings.pictures
        return Problem(
            413,
            "too_many_pictures",
            f"{count} pictures in one request: the limit is {limit}; send several requests",
            {"limit": limit},
        )


class _InMemory(MultiPartParser):
    """Starlette's parser moves files over 1 MB to the disk; ours are bounded and stay."""

    spool_max_size = 2**62


async def drain(request: Request) -> None:
    """Read and drop the rest of a refused body, up to a bound."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: read already
        return
