"""The service as a FastAPI app: the model that it loads, its routes and its error responses."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated

import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from agelens import __version__
from agelens.errors import AgelensError
from agelens.inference.runtime import CHIP
from agelens.predictor import Predictor, load
from agelens.serving import schema
from agelens.serving.batching import MicroBatcher
from agelens.serving.middleware import Metrics, RequestMiddleware
from agelens.serving.request_body import BodyReader, MemoryBudget, drain
from agelens.serving.schema import Problem
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import UrlFetcher

log = logging.getLogger("agelens.serving")

ABOUT = """Age and gender of every person in a picture, with a measure of uncertainty.

Ages are years; `age_interval` is meant to hold the true age 9 times in 10. Gender is the
appearance label of the training data and says nothing about how a person identifies.
Pictures are neither stored nor logged. Errors are `{error: {code, message, details},
request_id}`."""
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 422: "invalid"}
TYPES = {
    ".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"
}  # fmt: skip
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; media-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Service:
    """The state of one service: the model, loaded once, its batcher and its API keys."""

    def __init__(self, settings: Settings, fetcher: UrlFetcher | None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.budget = MemoryBudget(settings.held_bytes, self.metrics)
        self.fetcher = fetcher or UrlFetcher(settings.fetch_seconds) if settings.fetch else None
        self._failed = False
        self._batcher: MicroBatcher | None = None
        self._keys = [_digest(key) for key in settings.api_keys]

    async def start(self, on_failure: Callable[[BaseException], None] | None) -> None:
        """Load the model off the event loop; the service returns 503 meanwhile."""
        try:
            predictor = await asyncio.to_thread(_load, self.settings)
        except Exception as error:
            self._failed = True
            if not isinstance(error, AgelensError):
                log.exception("the model could not be loaded")
            if on_failure is not None:
                on_failure(error)
            return
        self._batcher = MicroBatcher(predictor, self.settings, self.metrics)
        self.metrics.ready.set(1)
        log.info("ready: model %s", self.model_name)

    async def stop(self) -> None:
        """Finish the accepted requests."""
        self.metrics.ready.set(0)
        if self._batcher is not None:
            await self._batcher.close()

    @property
    def batcher(self) -> MicroBatcher:
        """The batcher. Raises Problem 503 until the model is loaded."""
        if self._failed:
            raise Problem(503, "failed", "the model could not be loaded; see the log")
        if self._batcher is None:
            message = "the model is being loaded: try again in 1 s"
            raise Problem(503, "starting", message, Retry_After="1")
        return self._batcher

    @property
    def model_name(self) -> str:
        """The name in the model's card, or of its file. Raises Problem 503 as `batcher`."""
        predictor = self.batcher.predictor
        return str(predictor.card.get("name") or predictor.model.path.stem)

    def authenticate(self, request: Request) -> None:
        """Raise Problem 401 if keys are set and the request has none of them."""
        if not self._keys:
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else ""
        given = request.headers.get("x-api-key", "") or given
        digest = _digest(given)
        # All keys are compared, so that the time does not show which one came close.
        if sum(hmac.compare_digest(digest, key) for key in self._keys) == 0:
            missing = "no API key: send it as  Authorization: Bearer KEY"
            message = "a wrong API key" if given else missing
            raise Problem(401, "unauthorized", message, WWW_Authenticate="Bearer")


def create_app(
    settings: Settings | None = None, *,
    on_failure: Callable[[BaseException], None] | None = None, fetcher: UrlFetcher | None = None,
) -> FastAPI:  # fmt: skip
    """Create the service, which loads the model at its start and returns 503 until then.

    Calls `on_failure` if the model cannot be loaded. `fetcher` fetches the pictures that clients
    name by URL, if the settings allow it (None: one for public addresses only).
    """
    settings = settings or Settings()
    service = Service(settings, fetcher)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.start(on_failure))
        yield
        await loading
        await service.stop()

    app = FastAPI(
        title="agelens", version=__version__, description=ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # both load scripts from other hosts
    )  # fmt: skip
    _add_routes(app, service)
    if settings.page:
        for file in (resources.files("agelens.serving") / "page").iterdir():
            if kind := TYPES.get(Path(file.name).suffix):
                _add_file(app, file.name, file.read_bytes(), kind)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )  # fmt: skip
    app.add_middleware(RequestMiddleware, metrics=service.metrics)
    for error in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(error, _error_response)
    return app


def _add_file(app: FastAPI, name: str, content: bytes, kind: str) -> None:
    """Serve a file of the web page, with headers that allow nothing from other hosts."""

    async def file(_: Request) -> Response:
        return Response(content, headers=PAGE_HEADERS, media_type=kind)

    app.add_route("/" if name == "index.html" else f"/page/{name}", file, include_in_schema=False)


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict", response_model=schema.AnswerModel, tags=["predict"],
        responses=schema.failures(400, 401, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=schema.predict_body(service.settings.fetch),
    )  # fmt: skip
    async def predict(
        request: Request,
        distribution: Annotated[
            bool, Query(description="also return the probability of each age, 0 to 116")
        ] = False,
    ) -> Response:
        """Find the faces of one or more pictures and predict the age and gender of each.

        If some of several pictures fail, those carry `error` and the status is 200; if all fail,
        the status is that of the first.
        """
        with BodyReader(request, service.settings, service.budget, service.fetcher) as body:
            try:
                service.authenticate(request)
                batcher = service.batcher
                batcher.check_capacity()
                uploads = await body.read()
            except Problem as problem:
                # not from a client that is too slow, or waits for permission to send
                if problem.status != 408 and "expect" not in request.headers:
                    await drain(request)
                raise
            await batcher.predict(uploads)
        for one in uploads:
            outcome = "faces" if one.predictions else "no_face"
            service.metrics.pictures.labels(one.problem.code if one.problem else outcome).inc()
            service.metrics.faces.inc(len(one.predictions))
        answers = [one.to_dict(distribution=distribution) for one in uploads]
        first = uploads[0].problem
        if first is not None and all(one.problem is not None for one in uploads):
            details = first.details | ({"pictures": answers} if len(uploads) > 1 else {})
            raise Problem(first.status, first.code, first.message, details, **first.headers)
        about = {"request_id": request.state.request_id, "model": service.model_name}
        return JSONResponse(about | {"pictures": answers})

    @app.get("/v1/models", responses=schema.failures(401, 503), tags=["service"])
    async def models(request: Request) -> schema.ModelsModel:
        """Return the model with its card, and the limits of a request."""
        service.authenticate(request)
        card = dict(service.batcher.predictor.card)
        model = schema.ModelModel(name=service.model_name, default=True, card=card)
        limits = schema.LimitsModel.model_validate(service.settings, from_attributes=True)
        return schema.ModelsModel(models=[model], limits=limits)

    @app.get("/v1/health/live", tags=["service"])
    async def live() -> schema.StateModel:
        """Return 200 while the process responds."""
        return schema.StateModel(status="live")

    @app.get("/v1/health/ready", responses=schema.failures(503), tags=["service"])
    async def ready() -> schema.StateModel:
        """Return 200 once the model is loaded, 503 before."""
        _ = service.batcher
        return schema.StateModel(status="ready")

    @app.get("/metrics", response_class=Response, tags=["service"])
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        text = generate_latest(service.metrics.registry)
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "http_error")
        error = Problem(error.status_code, code, str(error.detail), {}, **(error.headers or {}))
    elif isinstance(error, RequestValidationError):
        # Without the input, which the error repeats.
        found = [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
        errors = [{"where": where, "message": message} for where, message in found]
        message = "; ".join(f"{one['where']}: {one['message']}" for one in errors)
        error = Problem(422, "invalid", message, {"errors": errors})
    assert isinstance(error, Problem)  # noqa: S101  (registered for these three)
    return error.response(request.state.request_id)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _load(settings: Settings) -> Predictor:
    # One thread per batch: several batches in parallel use the cores better than one batch on
    # all of them, which leaves cores idle between its steps.
    predictor = load(
        settings.model, 1, flip=settings.flip, longest=settings.longest,
        gender_threshold=settings.gender_threshold, min_face=settings.min_face,
        keep_doubtful=settings.keep_doubtful,
    )  # fmt: skip
    # The first run of a model takes longer than the others: no client should wait for it.
    predictor.predict(np.zeros((CHIP, CHIP, 3), np.uint8), chips=True)
    return predictor
