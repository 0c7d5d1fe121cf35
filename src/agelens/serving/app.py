"""The FastAPI app: its routes and its error responses."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse, Response

from agelens import __version__
from agelens.serving import schema, static_files
from agelens.serving.batching import PictureResult
from agelens.serving.middleware import RequestMiddleware
from agelens.serving.problems import CODES, Problem
from agelens.serving.request_body import BodyReader, Upload, drain
from agelens.serving.service import Service
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import UrlFetcher

ABOUT = """Age and gender of every person in a picture, with a measure of uncertainty.

Ages are years; `age_interval` is meant to hold the true age 9 times in 10. Gender is the
appearance label of the training data and says nothing about how a person identifies.
Pictures are neither stored nor logged. Errors are `{error: {code, message, details},
request_id}`."""
LIMITS = ("request_bytes", "pictures", "pixels", "faces", "seconds")


def create_app(
    settings: Settings | None = None,
    *,
    on_failure: Callable[[BaseException], None] | None = None,
    fetcher: UrlFetcher | None = None,
) -> FastAPI:
    """Create the service, which loads the model at its start and returns 503 until then.

    Calls `on_failure` if the model cannot be loaded. `fetcher` fetches the pictures that clients
    name by URL, if the settings allow it (None: one for public addresses only). Raises nothing by
    itself.
    """
    settings = settings or Settings()
    service = Service(settings, on_failure, fetcher)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(service.start())
        yield
        await loading
        await service.stop()

    app = FastAPI(
        title="agelens", version=__version__, description=ABOUT, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # both load scripts from other hosts
    )  # fmt: skip
    app.state.service = service
    _add_routes(app, service)
    if settings.page:
        app.router.routes.extend(static_files.routes())
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
            expose_headers=["Retry-After", "X-Request-ID"],
        )
    app.add_middleware(RequestMiddleware, metrics=service.metrics)
    for kind in (Problem, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _error_response)
    return app


def _add_routes(app: FastAPI, service: Service) -> None:
    @app.post(
        "/v1/predict",
        response_model=schema.AnswerModel,
        responses=schema.failures(400, 401, 408, 413, 415, 422, 429, 500, 503),
        openapi_extra=schema.predict_body(service.settings.fetch),
        tags=["predict"],
    )
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
            usable = [upload.data for upload in uploads if upload.problem is None]
            predicted = iter(await batcher.predict(usable))
            results = [
                next(predicted) if upload.problem is None else PictureResult.failed(upload.problem)
                for upload in uploads
            ]
        return _predict_response(request, service, uploads, results, distribution)

    def authenticate(request: Request) -> None:
        service.authenticate(request)

    @app.get(
        "/v1/models",
        response_model=schema.ModelsModel,
        responses=schema.failures(401, 503),
        dependencies=[Depends(authenticate)],
        tags=["service"],
    )
    async def models() -> Response:
        """Return the model with its card, and the limits of a request."""
        _ = service.batcher  # 503 while starting
        assert service.predictor is not None  # noqa: S101  (there is a batcher)
        card = dict(service.predictor.card)
        model = {"name": service.model_name, "default": True, "card": card}
        settings = asdict(service.settings)
        limits = {name: settings[name] for name in LIMITS}
        return JSONResponse({"models": [model], "limits": limits})

    @app.get("/v1/health/live", response_model=schema.StateModel, tags=["service"])
    async def live() -> Response:
        """Return 200 while the process responds."""
        return JSONResponse({"status": "live"})

    @app.get(
        "/v1/health/ready",
        response_model=schema.StateModel,
        responses=schema.failures(503),
        tags=["service"],
    )
    async def ready() -> Response:
        """Return 200 once the model is loaded, 503 before."""
        _ = service.batcher
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=Response, tags=["service"])
    async def metrics() -> Response:
        """Return the metrics in Prometheus' text format."""
        text, kind = service.metrics.text()
        return Response(text, headers={"Content-Type": kind})


def _predict_response(
    request: Request, service: Service, uploads: list[Upload], results: list[PictureResult],
    distribution: bool,
) -> Response:  # fmt: skip
    pictures = []
    for upload, result in zip(uploads, results, strict=True):
        faces = [one.to_dict(distribution=distribution) for one in result.predictions]
        problem = result.problem
        outcome = problem.code if problem else ("faces" if faces else "no_face")
        service.metrics.pictures.labels(outcome).inc()
        service.metrics.faces.inc(len(faces))
        pictures.append(
            {
                "file": upload.name, "width": result.width, "height": result.height,
                "faces": faces, "error": problem.to_dict() if problem else None,
            }
        )  # fmt: skip
    first = results[0].problem
    if first is not None and all(result.problem is not None for result in results):
        details = first.details if len(results) == 1 else {**first.details, "pictures": pictures}
        raise Problem(first.status, first.code, first.message, details, headers=first.headers)
    request_id = request.state.request_id
    return JSONResponse(
        {"request_id": request_id, "model": service.model_name, "pictures": pictures}
    )


async def _error_response(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        code = CODES.get(error.status_code, "http_error")
        headers = dict(error.headers or {})
        error = Problem(error.status_code, code, str(error.detail), headers=headers)
    elif isinstance(error, RequestValidationError):
        # Without the input, which the error repeats.
        errors: list[dict[str, Any]] = [
            {"where": ".".join(map(str, one["loc"])), "message": one["msg"]}
            for one in error.errors()
        ]
        message = "; ".join(f"{one['where']}: {one['message']}" for one in errors)
        error = Problem(422, "invalid", message, {"errors": errors})
    assert isinstance(error, Problem)  # noqa: S101  (registered for these three)
    return error.response(request.state.request_id)
