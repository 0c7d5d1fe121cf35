"""Read request bodies: counted while they arrive, kept in memory, never written to disk."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Self

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from agelens.results import Prediction
from agelens.serving.middleware import Metrics
from agelens.serving.schema import Problem, UrlsModel
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import UrlFetcher

RAW = "application/octet-stream"
FORM = "multipart/form-data"
JSON = "application/json"
DRAIN_BYTES = 64_000_000  # of a rejected body that are read and discarded, so that the
DRAIN_SECONDS = 5.0  # client sees the response and not a broken connection


@dataclass(slots=True, eq=False)
class Upload:
    """One picture of a request, and its answer: predictions or a problem."""

    name: str  # the client's file name, or the URL; "" for a raw body
    data: bytes  # encoded
    problem: Problem | None = None
    predictions: list[Prediction] = field(default_factory=list)  # largest face first
    width: int = 0  # pixels of the upright picture; 0 if it could not be read
    height: int = 0

    def to_dict(self, *, distribution: bool) -> dict[str, Any]:
        """Return the answer as plain values for JSON, as `schema.PictureModel` describes."""
        return {
            "file": self.name, "width": self.width, "height": self.height,
            "faces": [one.to_dict(distribution=distribution) for one in self.predictions],
            "error": None if self.problem is None else self.problem.to_dict(),
        }  # fmt: skip


@dataclass(slots=True)
class MemoryBudget:
    """The bytes of all requests in memory at once."""

    limit: int
    metrics: Metrics
    held: int = 0

    def reserve(self, size: int) -> None:
        """Reserve bytes. Raises Problem 429 if there is no room."""
        if self.held + size > self.limit:
            message = "the service holds as many pictures as it may: try again in 1 s"
            raise Problem(429, "busy", message, {"held_bytes": self.held}, Retry_After="1")
        self.release(-size)

    def release(self, size: int) -> None:
        """Release reserved bytes."""
        self.held -= size
        self.metrics.held.set(self.held)


@dataclass(slots=True)
class BodyReader:
    """Reads one request's body and reserves its bytes; a context manager that releases them."""

    request: Request
    settings: Settings
    budget: MemoryBudget
    fetcher: UrlFetcher | None = None  # None: URLs are not fetched
    reserved: int = field(default=0, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.budget.release(self.reserved)
        self.reserved = 0

    async def read(self) -> list[Upload]:
        """Return the pictures of a multipart or raw body, or those that a JSON body names.

        Raises Problem: 400 for a body that is cut off or malformed, 408 for one that is too slow,
        413 for too many bytes or pictures, 415 for another content type, 422 for no picture, 429
        if too much is in memory already. The Upload of a URL that cannot be fetched has the
        problem.
        """
        kind = self.request.headers.get("content-type", RAW).partition(";")[0].strip().lower()
        if kind == JSON and self.fetcher is not None:
            read = self._read_urls(self.fetcher)
        elif kind == FORM:
            read = self._read_form()
        elif kind == RAW or kind.startswith("image/"):
            read = self._read_raw()
        else:
            note = "; this service fetches no URLs" if kind == JSON else ""
            expected = f"expected {FORM} with files, or a picture as image/* or {RAW}{note}"
            message = f"content type {kind[:100]!r}: {expected}"
            raise Problem(415, "unsupported_media_type", message)
        try:
            async with asyncio.timeout(self.settings.upload_seconds):
                uploads = await read
        except TimeoutError:
            message = f"the body did not arrive within {self.settings.upload_seconds:g} s"
            raise Problem(408, "upload_too_slow", message, Connection="close") from None
        except ClientDisconnect:
            raise Problem(400, "cut_off", "the body ended early") from None
        if not uploads:
            message = "no picture in the request: send files, or a picture as body"
            raise Problem(422, "no_picture", message)
        return uploads

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        length = self.request.headers.get("content-length", "")
        if length.isascii() and length.isdigit():
            self._check_size(int(length[:19]))
        async for chunk in self.request.stream():
            self._reserve(len(chunk))
            yield chunk

    def _reserve(self, size: int) -> None:
        self._check_size(self.reserved + size)
        self.budget.reserve(size)
        self.reserved += size

    def _check_size(self, size: int) -> None:
        if size > (limit := self.settings.request_bytes):
            message = f"body of more than {limit:,} bytes: send smaller or fewer pictures at once"
            raise Problem(413, "request_too_large", message, {"limit": limit})

    async def _read_raw(self) -> list[Upload]:
        data = b"".join([chunk async for chunk in self._chunks()])
        return [Upload("", data)] if data else []

    async def _read_form(self) -> list[Upload]:
        most = self.settings.pictures
        chunks = self._chunks()
        parser = MultiPartParser(self.request.headers, chunks, max_files=most + 1, max_fields=100)
        parser.spool_max_size = 2**62  # the default writes files over 1 MB to disk
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

    async def _read_urls(self, fetcher: UrlFetcher) -> list[Upload]:
        body = b"".join([chunk async for chunk in self._chunks()])
        try:
            urls = UrlsModel.model_validate_json(body).urls
        except ValidationError:
            message = 'the JSON body: expected {"urls": ["https://...", ...]}'
            raise Problem(422, "invalid", message) from None
        if len(urls) > self.settings.pictures:
            raise self._too_many(str(len(urls)))
        found = await fetcher.fetch(urls, self._reserve)
        return [
            Upload(url, b"", one) if isinstance(one, Problem) else Upload(url, one)
            for url, one in zip(urls, found, strict=True)
        ]

    def _too_many(self, count: str) -> Problem:
        limit = self.settings.pictures
        message = f"{count} pictures in one request: the limit is {limit}; send several requests"
        return Problem(413, "too_many_pictures", message, {"limit": limit})


async def drain(request: Request) -> None:
    """Read and discard the rest of a rejected body, up to a limit."""
    left = DRAIN_BYTES
    with suppress(TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: read already
        async with asyncio.timeout(DRAIN_SECONDS):
            async for chunk in request.stream():
                left -= len(chunk)
                if left < 0:
                    return
