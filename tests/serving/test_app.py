import json
import logging
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import httpx
import pytest

import agelens
from agelens.errors import ConfigError
from agelens.serving.settings import Settings
from hostile_requests import Attack, attacks, form, request, send
from served import GREY, metric, problem, serving, wait_until

KEY = "a-key-of-thirty-characters-xyz"


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx.Client]:
    limits = {"request_bytes": 3_000_000, "pictures": 4, "pixels": 2_000_000}
    with serving(tiny_model, cors_origins=("https://shown.example",), **limits) as client:
        yield client


def test_the_service_predicts_as_the_library(client, tiny_model, astronaut_path, group_path):
    predictor = agelens.load(tiny_model, threads=1, longest=640)
    files = [("files", (p.name, p.read_bytes())) for p in (group_path, astronaut_path)]
    body = client.post("/v1/predict", files=files).json()
    assert body["model"] == "tiny"
    assert [p["file"] for p in body["pictures"]] == ["group.jpg", "astronaut.jpg"]
    assert [(p["width"], p["height"]) for p in body["pictures"]] == [(1600, 1067), (512, 512)]
    for picture, path in zip(body["pictures"], (group_path, astronaut_path), strict=True):
        assert picture["faces"] == [one.to_dict() for one in predictor.predict(path)]
        assert picture["error"] is None
    assert len(body["pictures"][0]["faces"]) >= 7


@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream", None])
def test_a_raw_body_and_the_optional_distribution(client, astronaut_path, kind) -> None:
    headers = {"Content-Type": kind} if kind else {}
    sent = {"content": astronaut_path.read_bytes(), "headers": headers}
    (picture,) = client.post("/v1/predict", **sent).json()["pictures"]
    assert (picture["file"], len(picture["faces"])) == ("", 1)
    assert "age_probabilities" not in picture["faces"][0]
    answer = client.post("/v1/predict?distribution=true", **sent)
    (face,) = answer.json()["pictures"][0]["faces"]
    assert len(face["age_probabilities"]) == 117
    assert sum(face["age_probabilities"]) == pytest.approx(1, abs=0.001)
    error = problem(client.post("/v1/predict?distribution=perhaps"), 422, "invalid")
    assert error["details"]["errors"][0]["where"] == "query.distribution"


def test_bad_pictures_and_those_without_a_face_do_not_affect_others(client, astronaut_path) -> None:
    contents = (b"no picture", astronaut_path.read_bytes(), GREY)
    answer = client.post("/v1/predict", files=[("f", ("a.jpg", data)) for data in contents])
    bad, good, empty = answer.json()["pictures"]
    assert (bad["error"]["code"], empty["error"]) == ("bad_picture", None)
    assert [len(one["faces"]) for one in (bad, good, empty)] == [0, 1, 0]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"content": b"no picture"}, 422, "bad_picture"),
        ({"content": b"\xff\xd8\xff\xe0" + bytes(500)}, 422, "bad_picture"),
        ({"content": b""}, 422, "no_picture"),
        ({"files": {"f": ("a.jpg", b"")}}, 422, "bad_picture"),
        ({"content": b"P6 60000 60000 255\n" + bytes(99)}, 413, "picture_too_large"),
        ({"content": bytes(3_000_001)}, 413, "request_too_large"),
        ({"files": [("f", (str(i), b"x")) for i in range(5)]}, 413, "too_many_pictures"),
        ({"files": [("f", (str(i), b"x")) for i in range(9)]}, 413, "too_many_pictures"),
        ({"json": {"url": "http://127.0.0.1/"}}, 415, "unsupported_media_type"),
        *(({"content": b"x", "headers": {"Content-Type": kind}}, 400, "bad_multipart")
          for kind in ("multipart/form-data", "multipart/form-data; boundary=b")),
    ],
)  # fmt: skip
def test_invalid_requests_get_their_error(client, request_, status, code) -> None:
    assert problem(client.post("/v1/predict", **request_), status, code)["message"]


def test_a_body_without_a_length_is_counted_as_it_arrives(client) -> None:
    chunks = (bytes(100_000) for _ in range(40))
    problem(client.post("/v1/predict", content=chunks), 413, "request_too_large")
    assert metric(client, "agelens_held_bytes") == 0


def test_models_health_and_unknown_routes(client) -> None:
    problem(client.get("/v1/nothing"), 404, "not_found")
    problem(client.get("/v1/predict"), 405, "method_not_allowed")
    body = client.get("/v1/models").json()
    assert body["models"] == [{"name": "tiny", "default": True, "card": {"name": "tiny"}}]
    assert body["limits"]["request_bytes"] == 3_000_000
    assert client.get("/v1/health/live").json() == {"status": "live"}


def test_metrics_count_faces_and_batches(client, astronaut_path) -> None:
    names = ("agelens_faces_total", "agelens_batch_pictures_count")
    before = [metric(client, name) for name in names]
    client.post("/v1/predict", content=astronaut_path.read_bytes())
    assert [metric(client, name) for name in names] == [value + 1 for value in before]
    client.get("/tried/at/random")
    text = client.get("/metrics").text
    assert "random" not in text and 'route="other",status="404"' in text


def test_openapi_describes_bodies_and_errors(client) -> None:
    body = client.get("/openapi.json").json()
    predict = body["paths"]["/v1/predict"]["post"]
    assert set(predict["requestBody"]["content"]) == {
        "multipart/form-data", "image/*", "application/octet-stream",
    }  # fmt: skip
    assert {"200", "401", "413", "415", "422", "429", "503"} <= set(predict["responses"])
    for name in ("FaceModel", "AnswerModel"):
        assert body["components"]["schemas"][name]["example"]
    for status, answer in predict["responses"].items():
        if status != "200":
            example = answer["content"]["application/json"]["example"]
            assert set(example["error"]) == {"code", "message", "details"}


def test_request_ids_and_cors(client) -> None:
    def answered(name: str, **headers: str) -> str | None:
        return client.get("/v1/health/live", headers=headers).headers.get(name)

    assert answered("x-request-id", **{"X-Request-ID": "mine-1"}) == "mine-1"
    assert len(answered("x-request-id", **{"X-Request-ID": "a b\t{}"})) == 32
    allowed = "access-control-allow-origin"
    assert answered(allowed, Origin="https://shown.example") == "https://shown.example"
    assert answered(allowed, Origin="https://other.example") is None


def test_nothing_of_a_picture_or_a_query_is_logged(client, astronaut_path, caplog) -> None:
    with caplog.at_level(logging.DEBUG, "agelens"):
        files = {"f": ("secret-name.jpg", astronaut_path.read_bytes())}
        client.post("/v1/predict?note=secret-query", files=files)
        # lines are written after their answers, so one of the server's start may come late
        wait_until(lambda: "POST /v1/predict" in caplog.text)
    lines = "\n".join(one.getMessage() for one in caplog.records)
    assert "POST /v1/predict 200" in lines and "secret" not in lines


def test_large_files_stay_in_memory(client, monkeypatch) -> None:
    refuse = Mock(side_effect=AssertionError("a temporary file was made"))
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refuse)
    grey = b"P6 800 800 255\n" + b"\x80" * (800 * 800 * 3)
    assert client.post("/v1/predict", files={"f": ("large.ppm", grey)}).status_code == 200


def test_api_keys(tiny_model, astronaut_path) -> None:
    with serving(tiny_model, api_keys=(KEY, KEY + "2")) as client:
        data = astronaut_path.read_bytes()
        for headers in ({}, {"X-API-Key": KEY[:-1]}, {"Authorization": f"Basic {KEY}"}):
            answer = client.post("/v1/predict", content=data, headers=headers)
            assert KEY[:-1] not in problem(answer, 401, "unauthorized")["message"]
        problem(client.get("/v1/models"), 401, "unauthorized")
        for headers in ({"X-API-Key": KEY}, {"Authorization": f"Bearer {KEY}2"}):
            assert client.post("/v1/predict", content=data, headers=headers).status_code == 200
        assert client.get("/").status_code == 200


def test_faces_are_limited_and_the_page_disabled_on_request(tiny_model, group_path) -> None:
    with serving(tiny_model, faces=2, page=False) as client:
        answer = client.post("/v1/predict", content=group_path.read_bytes())
        assert problem(answer, 422, "too_many_faces")["details"]["limit"] == 2
        assert client.get("/").status_code == 404


def test_a_slow_upload_times_out(tiny_model) -> None:
    with serving(tiny_model, upload_seconds=0.5) as client:
        url = client.base_url
        head = b"POST /v1/predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc"
        for waits in (True, False):
            with socket.create_connection((url.host, url.port), timeout=30) as raw:
                raw.sendall(head)
                assert not waits or raw.recv(100).startswith(b"HTTP/1.1 408")
        assert client.get("/v1/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        *(({name: value}, f"{name} {value}") for name, value in (
            ("pictures", 0), ("seconds", -1.0), ("seconds", float("nan")), ("batch_wait", -0.1),
            ("longest", 100), ("wait", 0), ("fetch_seconds", 0.0))),
        ({"queue": 8, "pictures": 9}, "queue 8"),
        ({"held_bytes": 5000, "request_bytes": 5001}, "held_bytes"),
        ({"cors_origins": ("*",)}, "origin '*'"),
        ({"cors_origins": ("https://a.example/path",)}, "origin"),
    ],
)  # fmt: skip
def test_values_out_of_range(given, message) -> None:
    with pytest.raises(ConfigError, match=message.replace("*", r"\*")):
        Settings(**given)


@pytest.mark.parametrize("key", ["short", "with a space in the middle", "schlüssel-mit-umlauten"])
def test_keys_are_checked_and_not_shown(key) -> None:
    with pytest.raises(ConfigError) as error:
        Settings(api_keys=(key,))
    assert key not in str(error.value)
    assert (Settings().api_keys, Settings(batch_wait=0).batch_wait) == ((), 0)  # allowed


def test_every_attack_gets_a_response(tiny_model, astronaut_path, caplog) -> None:
    """The first of the requests that benchmarks/fuzz_service.py sends in thousands."""
    drawn = list(attacks(2, 45))
    assert drawn == list(attacks(2, 45)) != list(attacks(3, 45))
    assert len({one.kind for one in drawn}) == 9
    limits = {"longest": 320, "upload_seconds": 0.5, "pixels": 1_000_000, "request_bytes": 500_000}
    with serving(tiny_model, wait=60, **limits) as client:
        url, kind = str(client.base_url), "multipart/form-data; boundary=b"
        good = Attack("portrait", (request(form(astronaut_path.read_bytes()), kind),))
        before = json.loads(send(url, good, 60).body)["pictures"]
        with caplog.at_level(logging.WARNING, "agelens"):
            for attack in drawn:
                answer = send(url, attack, 60)
                if attack.leaves:
                    continue
                assert 200 <= answer.status < 500, attack.parts[0][:300]
                if answer.body.startswith(b"{") and answer.status >= 400:
                    assert set(json.loads(answer.body)["error"]) == {"code", "message", "details"}
        assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
        assert json.loads(send(url, good, 60).body)["pictures"] == before
        assert metric(client, "agelens_held_bytes") == 0
