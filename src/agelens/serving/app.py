"""The FastAPI app: its routes, and what every error looks like."""

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
from agelens.serving.batching import Outcome
from agelens.serving.middleware import Envelope
from agelens.serving.problems import CODES, Problem
from agelens.serving.request_body import Intake, Upload, drain
from agelens.serving.service import Service
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import Fetcher

ABOUT = """Age and gender of every person in a picture, with honest doubt.

Ages are years; `age_interval` is meant to hold the true age 9 times in 10. Gender is the
appearance label of the training data and says nothing about how a person identifies.
Pictures are neither stored nor logged. Errors are `{error: {code, message, details},
request_id}`."""
LIMITS = ("request_bytes", "pictures", "pixels", "faces", "seconds")


def create_app(
    settings: Settings | None = None,
    *,
    on_failure: Callable[[BaseException], None] | None = None,
    fetcher: Fetcher | None = None,
) -> FastAPI:
    """Make the service. The model is loaded when it starts; until then it answers 503.

    `on_failure` is told when the model cannot be loaded. `fetcher` gets the pictures that
    clients name by URL, where the settings allow it (None: one for public addresses only).
    Raises nothing by itself.
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
        docs_url=None, redoc_url=None,  # both load scripts from elsewhere
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
    app.add_middleware(Envelope, metrics=service.metrics)
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
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
            bool, Query(description="also give the probability of each age, 0 to 116")
        ] = False,
    ) -> Response:
        """Find the faces of one or more pictures and predict the age and gender of each.

        Where several pictures were sent and some failed, those carry `error` and the
        status is 200; where all failed the status is that of the first.
        """
        with Intake(request, service.settings, service.room, service.fetcher) as intake:
            try:
                service.admit(request)
                batcher = service.batcher
                batcher.check()
                uploads = await intake.read()
            except Problem as problem:
                # Not from a client that is too slow, or waits for leave to send.
                if problem.status != 408 and "expect" not in request.headers:
                    await drain(request)
                raise
            usable = [upload.data for upload in uploads if upload.problem is None]
            answered = iter(await batcher.answer(usable))
            outcomes = [
                next(answered) if upload.problem is None else Outcome([], 0, 0, upload.problem)
                for upload in uploads
            ]
        return _answer(request, service, uploads, outcomes, distribution)

    def admit(request: Request) -> None:
        service.admit(request)

    @app.get(
        "/v1/models",
        response_model=schema.ModelsModel,
        responses=schema.failures(401, 503),
        dependencies=[Depends(admit)],
        tags=["service"],
    )
    async def models() -> Response:
        """Give the model with its card, and the limits of a request."""
        _ = service.batcher  # 503 while starting
        assert service.predictor is not None  # noqa: S101  (there is a batcher)
        card = dict(service.predictor.card)
        model = {"name": service.model_name, "default": True, "card": card}
        every = asdict(service.settings)
        return JSONResponse({"models": [model], "limits": {name: every[name] for name in LIMITS}})

    @app.get("/v1/health/live", response_model=schema.StateModel, tags=["service"])
    async def live() -> Response:
        """Say that the process answers."""
        return JSONResponse({"status": "live"})

    @app.get(
        "/v1/health/ready",
        response_model=schema.StateModel,
        responses=schema.failures(503),
        tags=["service"],
    )
    async def ready() -> Response:
        """Say whether the model is loaded."""
        _ = service.batcher
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", response_class=Response, tags=["service"])
    async def metrics() -> Response:
        """Give the counts in Prometheus' text form."""
        text, kind = service.metrics.text()
        return Response(text, headers={"Content-Type": kind})


def _answer(
    request: Request,
    service: Service,
    uploads: list[Upload],
    outcomes: list[Outcome],
    distribution: bool,
) -> Response:
    problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    pictures = []
    for upload, outcome in zip(uploads, outcomes, strict=True):
        faces = [one.to_dict(distribution=distribution) for one in outcome.predictions]
        problem = outcome.problem
        kind = problem.code if problem else ("faces" if faces else "no_face")
        service.metrics.pictures.labels(kind).inc()
        service.metrics.faces.inc(len(faces))
        pictures.append(
            {
                "file": upload.name,
                "width": outcome.width,
                "height": outcome.height,
                "faces": faces,
                "error": problem.value() if problem else None,
            }
        )
    if len(problems) == len(outcomes):
        first = problems[0]
        details = first.details if len(outcomes) == 1 else {**first.details, "pictures": pictures}
        raise Problem(first.status, first.code, first.message, details, headers=first.headers)
    body = {
        "request_id": request.state.request_id,
        "model": service.model_name,
        "pictures": pictures,
    }
    return JSONResponse(body)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101  (registered for it)
    return error.response(request.state.request_id)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = CODES.get(error.status_code, "http_error")
    headers = dict(error.headers or {})
    problem = Problem(error.status_code, code, str(error.detail), headers=headers)
    return problem.response(request.state.request_id)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    # Not the whole error: it repeats what was sent.
    wrong: list[dict[str, Any]] = [
        {"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()
    ]
    message = "; ".join(f"{one['where']}: {one['message']}" for one in wrong)
    return Problem(422, "invalid", message, {"errors": wrong}).response(request.state.request_id)
