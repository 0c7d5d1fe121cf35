import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from agelens.cli.serve import _read_keys
from agelens.errors import SourceError
from served import wait_until


def test_a_user_mistake_is_one_line(agelens, tiny_model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.onnx"
    bad.write_bytes(b"no model")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, message in (
            (["--model", "nowhere"], "no model 'nowhere'"),
            (["--model", bad, "--port", "0"], "cannot load"),
            (["--model", tiny_model, "--port", port], f"cannot listen on 127.0.0.1 port {port}"),
            (["--model", tiny_model, "--queue", "2"], "queue 2: expected at least 32"),
        ):
            done = agelens("serve", *words)
            assert done.returncode == 2 and message in done.stderr, done.stderr


def test_it_serves_and_stops_cleanly(tiny_model: Path, tmp_path: Path) -> None:
    words = ["--model", str(tiny_model), "--port", "0", "--threads", "1"]
    log = tmp_path / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "agelens", "serve", *words], stderr=stream,
            env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
    try:
        wait_until(lambda: "ready: model tiny" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        url = log.read_text().split("agelens on ")[1].split()[0]
        answer = httpx.get(f"{url}v1/models", timeout=60, trust_env=False)
        assert answer.json()["models"][0]["name"] == "tiny"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    lines = log.read_text().splitlines()
    assert not any("Traceback" in line for line in lines)
    logged = [line.split(" ", 1)[1] for line in lines[1:]]  # without the time
    assert logged[0] == "INFO ready: model tiny"
    assert re.fullmatch(r"INFO GET /v1/models 200 \d+ ms [0-9a-f]{32}", logged[1])


def test_keys_come_from_a_file_and_the_environment(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "keys"
    file.write_text("# ours\nfirst-key\n\n  second-key \n")
    monkeypatch.setenv("AGELENS_API_KEYS", "third,fourth")
    assert _read_keys(file) == ("third", "fourth", "first-key", "second-key")
    monkeypatch.delenv("AGELENS_API_KEYS")
    assert _read_keys(None) == ()
    file.write_text("# none\n")
    with pytest.raises(SourceError, match="holds no key"):
        _read_keys(file)
    with pytest.raises(SourceError, match="cannot read"):
        _read_keys(tmp_path / "missing")
