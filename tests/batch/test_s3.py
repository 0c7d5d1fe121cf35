import io
import itertools
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import polars as pl
import pytest

from agelens.batch import storage
from batches import chip, run_batch, write_shard

s3fs = pytest.importorskip("s3fs")
pytest.importorskip("flask")
pytest.importorskip("moto.server", reason="needs moto, flask and flask-cors")
pytestmark = pytest.mark.filterwarnings("ignore")  # moto's and botocore's own


class Store:
    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self._moto: WSGIApplication = DomainDispatcherApplication(create_backend_app)
        self.server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.disturb: Callable[[], str | None] = lambda: None
        self.asked: list[tuple[str, str]] = []
        Thread(target=self.server.serve_forever, daemon=True).start()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> object:
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if (status := self.disturb()) is not None:
            start(status, [("Content-Type", "text/plain")])
            return [b"disturbed"]
        return self._moto(environ, start)


@pytest.fixture
def s3(monkeypatch) -> Iterator[Store]:
    store = Store()
    reset = urllib.request.Request(f"{store.url}/moto-api/reset", method="POST")  # noqa: S310
    urllib.request.urlopen(reset).close()  # noqa: S310
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_DEFAULT_REGION", "us-east-1"), ("AWS_ENDPOINT_URL", store.url),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    storage._filesystem.cache_clear()
    storage.filesystem("s3://shelf")[0].mkdir("shelf")
    yield store
    store.server.shutdown()
    storage._filesystem.cache_clear()


def put(name: str, data: bytes) -> str:
    fs, path = storage.filesystem(f"s3://shelf/{name}")
    fs.pipe_file(path, data)
    return f"s3://shelf/{name}"


def rows(where: str) -> pl.DataFrame:
    fs, path = storage.filesystem(where)
    parts = [name for name in fs.ls(f"{path}/parts", detail=False) if name.endswith(".parquet")]
    return pl.concat(pl.read_parquet(io.BytesIO(fs.cat_file(part))) for part in parts)


def test_pictures_and_shards_in_a_bucket_answered_into_it(s3, tmp_path, tiny_model) -> None:
    named = [put(f"in/{n % 3}/{n:03}.png", chip(n)) for n in range(40)]
    named += [put("in/empty.jpg", b"")]
    shard = write_shard(tmp_path / "s.tar", ["a", "b"])
    place = put("in/s.tar", (tmp_path / "s.tar").read_bytes())
    named += [name.replace(str(tmp_path / "s.tar"), place) for name in shard]
    done = run_batch("s3://shelf/in", "s3://shelf/out", tiny_model, workers=1)
    assert sorted(rows("s3://shelf/out")["source"]) == sorted(named)
    assert (done.counts.pictures, done.counts.errors) == (43, 1)
    s3.asked.clear()
    assert run_batch("s3://shelf/in", "s3://shelf/out", tiny_model).counts.pictures == 43
    assert not [path for method, path in s3.asked if method == "PUT" and "/parts/" in path]


def test_failed_and_slow_requests_are_retried(s3, tmp_path, tiny_model, monkeypatch) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", (0.01,) * 4)
    named = [put(f"in/{n:03}.png", chip(n)) for n in range(12)]
    turn = itertools.count()

    def disturb() -> str | None:
        number = next(turn)
        if number % 11 == 4:
            time.sleep(0.2)
        if number % 5 == 2:
            return "503 Slow Down"
        return "500 Internal Server Error" if number % 7 == 3 else None

    s3.disturb = disturb
    done = run_batch("s3://shelf/in/*.png", str(tmp_path / "out"), tiny_model)
    table = pl.read_parquet(tmp_path / "out/parts/*.parquet")
    assert sorted(table["source"]) == named
    assert (done.counts.errors, done.deferred) == (0, {})


def test_an_object_that_vanished_has_a_row(s3: Store, tmp_path: Path, tiny_model: Path) -> None:
    put("in/a.png", chip(3))
    manifest = put("in/list.txt", b"a.png\ngone.png\n")
    done = run_batch(manifest, str(tmp_path / "out"), tiny_model)
    table = pl.read_parquet(tmp_path / "out/parts/*.parquet").sort("source")
    assert table["source"].to_list() == ["s3://shelf/in/a.png", "s3://shelf/in/gone.png"]
    assert (table["status"][1], done.counts.errors) == ("error", 1)
