"""One predictor in many hands: threads, event loops, forked and spawned processes, pickles."""

import asyncio
import multiprocessing
import os
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agelens import errors
from agelens.predictor import Predictor, load
from agelens.results import Prediction

FORKS = hasattr(os, "fork")


@pytest.fixture(scope="module")
def tiny(tiny_model) -> Predictor:
    return load(tiny_model, threads=1, flip=True, longest=640, gender_threshold=0.6, min_face=5)


def unpickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  (its own bytes)


def as_json(predictions: list[Prediction]) -> list[str]:
    return [one.to_json(distribution=True) for one in predictions]


def predict_json(predictor: Predictor, picture: object) -> list[str]:
    return as_json(predictor.predict(picture))


@pytest.fixture
def chips(drawn_chip) -> list[np.ndarray]:
    return [drawn_chip(brightness) for brightness in range(60, 220, 10)]


def test_many_threads_get_what_one_gets(tiny: Predictor, chips, astronaut_path: Path) -> None:
    photo = predict_json(tiny, astronaut_path)
    alone = [as_json(one) for one in tiny.predict(chips, chips=True)]
    assert len({str(one) for one in alone}) == len(chips)
    together = threading.Barrier(8)

    def hammer(start: int) -> list[tuple[int, list[str]]]:
        together.wait(60)
        order = [(start + k) % len(chips) for k in range(len(chips))]
        seen = [(k, as_json(tiny.predict([chips[k]], chips=True)[0])) for k in order]
        if start < 2:  # a whole photo among them
            assert predict_json(tiny, astronaut_path) == photo
        return seen

    with ThreadPoolExecutor(8) as pool:
        for seen in pool.map(hammer, range(8)):
            assert all(answer == alone[k] for k, answer in seen)


def test_a_pickled_predictor_keeps_its_settings_and_answers(tiny, astronaut_path) -> None:
    other = unpickled(tiny)
    for name in (
        "threads",
        "flip",
        "gender_threshold",
        "min_face",
        "max_faces",
        "keep_doubtful",
        "card",
    ):
        assert getattr(other, name) == getattr(tiny, name), name
    assert (other.longest, other.model.path) == (640, tiny.model.path)
    answers = unpickled(other.predict(astronaut_path))
    assert as_json(answers) == predict_json(tiny, astronaut_path)


def test_a_shipped_model_is_pickled_by_name() -> None:
    data = pickle.dumps(load("default", threads=1))
    assert b"default" in data and len(data) < 1000
    assert os.fsencode(Path(errors.__file__).parent) not in data


@pytest.mark.parametrize("way", [*(["fork"] if FORKS else []), "spawn"])
def test_a_process_pool_answers_alike(tiny: Predictor, astronaut_path: Path, way: str) -> None:
    here = predict_json(tiny, astronaut_path)
    with ProcessPoolExecutor(2, multiprocessing.get_context(way)) as pool:
        waiting = [pool.submit(predict_json, tiny, astronaut_path) for _ in range(2)]
        failing = pool.submit(predict_json, tiny, "no such file.jpg")
        assert all(one.result(120) == here for one in waiting)
        with pytest.raises(errors.SourceError, match=r"no such file\.jpg"):
            failing.result(120)


@pytest.mark.skipif(not FORKS, reason="this system does not fork")
def test_a_forked_process_uses_what_it_inherits(tiny_model, astronaut_path: Path) -> None:
    predictor = load(tiny_model, threads=2)  # its session has a thread that no child inherits
    here = predict_json(predictor, astronaut_path)
    session = predictor.model._session._session

    def child(pipe) -> None:
        pipe.send(
            (predict_json(predictor, astronaut_path), predictor.model._session._session is session)
        )
        pipe.close()

    near, far = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=child, args=(far,))
    process.start()
    assert near.poll(120)
    answer, kept = near.recv()
    process.join(60)
    assert (process.exitcode, answer, kept) == (0, here, False)
    assert predictor.model._session._session is session
    assert predict_json(predictor, astronaut_path) == here


def test_an_event_loop_goes_on_while_it_predicts(tiny: Predictor, astronaut_path: Path) -> None:
    async def predict_three() -> tuple[list[list[str]], int]:
        waiting = asyncio.gather(*(tiny.apredict(astronaut_path) for _ in range(3)))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0)
            turns += 1
        return [as_json(one) for one in waiting.result()], turns

    answers, turns = asyncio.run(predict_three())
    assert answers == [predict_json(tiny, astronaut_path)] * 3
    assert turns > 20  # a blocked loop turns a few times around each call


def test_apredict_takes_several_and_raises_as_predict_does(tiny: Predictor, chips) -> None:
    answers = asyncio.run(tiny.apredict(chips[:3], chips=True))
    assert list(map(as_json, answers)) == list(map(as_json, tiny.predict(chips[:3], chips=True)))
    with pytest.raises(errors.SourceError):
        asyncio.run(tiny.apredict("no such file.jpg"))


def test_errors_travel_between_processes() -> None:
    extra, label = errors.MissingExtra("polars", "data"), errors.BadLabel(Path("x.jpg"))
    for error in (extra, label, errors.PictureTooLarge("too large")):
        other = unpickled(error)
        assert (type(other), str(other)) == (type(error), str(error))
