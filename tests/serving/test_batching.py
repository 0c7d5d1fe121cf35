import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import agelens
from agelens.errors import ModelError
from served import GREY, metric, problem, serving, wait_until


class Service:
    def __init__(self, model: Path) -> None:
        self._predictor = agelens.load(model, threads=1)
        self.card, self.model = self._predictor.card, self._predictor.model
        self.go, self.entered = threading.Event(), threading.Event()
        self.batches: list[int] = []
        self.failing = False
        self.client: httpx.Client
        self._threads = ThreadPoolExecutor()

    def predict(self, pictures, **kwargs):
        pictures = list(pictures)
        self.entered.set()
        assert self.go.wait(60)
        self.batches.append(len(pictures))
        if self.failing and any(p.shape == (512, 512, 3) for p in pictures):
            raise RuntimeError("broken")
        return self._predictor.predict(pictures, **kwargs)

    def post(self, content: bytes = GREY, files: list | None = None) -> "Future[httpx.Response]":
        body = {"files": files} if files else {"content": content}
        url = self.client.base_url.join("/v1/predict")
        return self._threads.submit(httpx.post, url, timeout=60, trust_env=False, **body)

    def post_first(self) -> "Future[httpx.Response]":
        first = self.post()
        assert self.entered.wait(60)
        return first

    def waits(self, pictures: int) -> None:
        wait_until(lambda: metric(self.client, "agelens_queue_pictures") == pictures)


@pytest.fixture
def serve(tiny_model: Path, monkeypatch: pytest.MonkeyPatch):
    @contextmanager
    def serve(**settings) -> Iterator[Service]:
        service = Service(tiny_model)
        monkeypatch.setattr("agelens.serving.app._load", lambda _: service)
        with serving(tiny_model, **settings) as service.client:
            yield service

    return serve


def test_requests_are_batched_and_rejected_when_the_queue_is_full(serve, monkeypatch) -> None:
    monkeypatch.setattr("agelens.serving.batching.MAX_BATCH_SECONDS", 60)  # the first is slow
    with serve(queue=3, pictures=3) as service:
        responses = [service.post_first(), *(service.post() for _ in range(3))]
        service.waits(3)
        busy = service.client.post("/v1/predict", content=GREY)
        problem(busy, 429, "busy")
        assert int(busy.headers["retry-after"]) >= 1
        service.go.set()
        assert [response.result(60).status_code for response in responses] == [200] * 4
    assert service.batches == [1, 3]


def test_a_request_that_would_wait_too_long_is_rejected(serve) -> None:
    with serve(wait=0.01) as service:
        responses = [service.post_first(), service.post()]  # nobody waits yet: accepted
        service.waits(1)
        problem(service.client.post("/v1/predict", content=GREY), 429, "busy")
        service.go.set()
        assert [response.result(60).status_code for response in responses] == [200] * 2


def test_threads_share_the_waiting_pictures(serve, monkeypatch) -> None:
    monkeypatch.setattr("agelens.serving.batching.MAX_BATCH_SECONDS", 60)
    with serve(threads=2) as service:
        response = service.post(files=[("f", (str(i), GREY)) for i in range(8)])
        # One takes half of them, the other half of the rest, and none is done yet.
        service.waits(2)
        service.go.set()
        assert response.result(60).status_code == 200
    assert sum(service.batches) == 8 and sorted(service.batches)[-2:] == [2, 4]


def test_a_slow_prediction_times_out(serve) -> None:
    with serve(seconds=0.6) as service:
        late = service.client.post("/v1/predict", content=GREY)
        assert problem(late, 503, "timeout") and late.headers["retry-after"]
        service.go.set()
        wait_until(lambda: service.client.post("/v1/predict", content=GREY).status_code == 200)


def test_stopping_finishes_what_was_accepted(serve) -> None:
    with serve() as service:
        response = service.post_first()
        threading.Timer(0.3, service.go.set).start()  # after the end was asked for
    assert response.result(60).status_code == 200


def test_an_error_in_one_picture_does_not_affect_others(serve, astronaut_path) -> None:
    portrait = astronaut_path.read_bytes()
    with serve(batch_wait=0.3, longest=320) as service:
        service.failing = True
        service.go.set()
        files = [("f", ("a", GREY)), ("f", ("b", portrait))]
        good, bad = service.client.post("/v1/predict", files=files).json()["pictures"]
        problem(service.client.post("/v1/predict", content=portrait), 500, "internal")
    assert (good["error"], bad["error"]["code"]) == (None, "internal")
    assert "broken" not in json.dumps(bad)


def test_starting_answers_503(tiny_model, monkeypatch) -> None:
    go, predictor = threading.Event(), agelens.load(tiny_model, threads=1)
    monkeypatch.setattr("agelens.serving.app._load", lambda _: go.wait(60) and predictor)
    with serving(tiny_model, ready=False) as client:
        wait_until(lambda: client.get("/v1/health/live").status_code == 200)
        for early in (client.get("/v1/health/ready"), client.post("/v1/predict", content=GREY)):
            problem(early, 503, "starting")
            assert early.headers["retry-after"] == "1"
        go.set()
        wait_until(lambda: client.get("/v1/health/ready").status_code == 200)


def test_a_model_that_cannot_be_loaded_is_reported(tmp_path) -> None:
    failures: list[BaseException] = []
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with serving(tmp_path / "bad.onnx", ready=False, on_failure=failures.append) as client:
        wait_until(lambda: bool(failures))
        problem(client.get("/v1/health/ready"), 503, "failed")
    assert isinstance(failures[0], ModelError)
