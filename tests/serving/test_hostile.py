"""The service stands hostile requests: each is answered, none by a fault of its own.

The first of the requests that benchmarks/fuzz_service.py sends in thousands.
"""

import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from served import metric, serving

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from hostile_requests import Attack, attacks, form, request, send

KINDS = 9
FORM = "multipart/form-data; boundary=b"


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[httpx.Client]:
    settings = {"longest": 320, "upload_seconds": 0.5, "pixels": 1_000_000}
    with serving(tiny_model, request_bytes=500_000, wait=60, **settings) as client:
        yield client


def test_attacks_are_varied_and_reproducible() -> None:
    drawn = list(attacks(3, 18))
    assert drawn == list(attacks(3, 18))
    assert drawn != list(attacks(4, 18))
    assert len({one.kind for one in drawn}) == KINDS


def test_every_attack_gets_a_response(client, astronaut_path, caplog) -> None:
    url = str(client.base_url)
    good = Attack("portrait", (request(form(astronaut_path.read_bytes()), FORM),))
    before = json.loads(send(url, good, 60).body)["pictures"]
    with caplog.at_level(logging.WARNING, "agelens"):
        for attack in attacks(2, 45):
            answer = send(url, attack, 60)
            if attack.leaves:
                continue
            assert 200 <= answer.status < 500, attack.parts[0][:300]
            if answer.body.startswith(b"{") and answer.status >= 400:
                error = json.loads(answer.body)["error"]
                assert set(error) == {"code", "message", "details"}
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert json.loads(send(url, good, 60).body)["pictures"] == before
    assert metric(client, "agelens_held_bytes") == 0
