"""The state of one service: the model, loaded once, its batcher and its API keys."""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable

import numpy as np
from starlette.requests import Request

from agelens.errors import AgelensError
from agelens.inference.runtime import CHIP
from agelens.predictor import Predictor, load
from agelens.serving.batching import MicroBatcher
from agelens.serving.metrics import Metrics
from agelens.serving.problems import Problem
from agelens.serving.request_body import MemoryBudget
from agelens.serving.settings import Settings
from agelens.serving.url_fetch import UrlFetcher

log = logging.getLogger("agelens.serving")


class Service:
    """Loads the model, checks requests and stops; `failure` is why it could not start."""

    def __init__(
        self,
        settings: Settings,
        on_failure: Callable[[BaseException], None] | None = None,
        fetcher: UrlFetcher | None = None,
    ) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.budget = MemoryBudget(settings.held_bytes, self.metrics)
        self.fetcher = fetcher or UrlFetcher(settings.fetch_seconds) if settings.fetch else None
        self.predictor: Predictor | None = None
        self.failure: BaseException | None = None
        self._batcher: MicroBatcher | None = None
        self._on_failure = on_failure
        self._keys = [_digest(key) for key in settings.api_keys]

    async def start(self) -> None:
        """Load the model off the event loop; the service returns 503 meanwhile."""
        try:
            self.predictor = await asyncio.to_thread(_load, self.settings)
        except Exception as error:
            self.failure = error
            if not isinstance(error, AgelensError):
                log.exception("the model could not be loaded")
            if self._on_failure is not None:
                self._on_failure(error)
            return
        self._batcher = MicroBatcher(self.predictor, self.settings, self.metrics)
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
        if self._batcher is None:
            if self.failure is not None:
                raise Problem(503, "failed", "the model could not be loaded; see the log")
            raise Problem(
                503, "starting", "the model is being loaded: try again in 1 s", retry_after=1
            )
        return self._batcher

    @property
    def model_name(self) -> str:
        """The name in the model's card, or of its file; "" until it is loaded."""
        if self.predictor is None:
            return ""
        return str(self.predictor.card.get("name") or self.predictor.model.path.stem)

    def authenticate(self, request: Request) -> None:
        """Raise Problem 401 if keys are set and the request has none of them."""
        if not self._keys:
            return
        given = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        digest = _digest(given)
        # All keys are compared, so that the time does not show which one came close.
        if sum(hmac.compare_digest(digest, key) for key in self._keys) == 0:
            raise Problem(
                401,
                "unauthorized",
                "a wrong API key" if given else "no API key: send it as  Authorization: Bearer KEY",
                headers={"WWW-Authenticate": "Bearer"},
            )


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def _load(settings: Settings) -> Predictor:
    # One thread per batch: several batches in parallel use the cores better than one batch on
    # all of them, which leaves cores idle between its steps.
    predictor = load(
        settings.model, 1, flip=settings.flip, longest=settings.longest,
        gender_threshold=settings.gender_threshold, min_face=settings.min_face,
    )  # fmt: skip
    # The first run of a model takes longer than the others: no client should wait for it.
    predictor.predict(np.zeros((CHIP, CHIP, 3), np.uint8), chips=True)
    return predictor
