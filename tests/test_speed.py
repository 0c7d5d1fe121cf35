"""benchmarks/speed.py: what it makes of samples, and a worker that measures."""

import json
import subprocess
import sys

import speed


class Fake(dict):
    def take(self, name: str) -> speed.Sample:
        return {"seconds": self[name].pop(0), "cpu": 0.5, "peak_mb": 9.0}


def test_ratios_are_those_of_the_rounds_without_the_first() -> None:
    sides = {"now": Fake(a=[9, 3, 4, 5], b=[9, 1, 1, 2]), "before": Fake(a=[9, 8, 8, 8])}
    part = speed.Part({"a": ("take", "a")}, {"b": ("take", "b")}, (("a", "b"), ("a", "b", "b")))
    figures = speed.measure(part, sides, 3)
    medians = {title: found["wall"]["median"] for title, found in figures["ratios"].items()}
    assert medians == {"a / b": 3, "a less decoding / b": 2, "a / before": 0.5}
    assert figures["now"]["a"]["ms"]["median"] == 4000


def test_worker_times_a_task() -> None:
    task = json.dumps(["decode", str(speed.PORTRAIT), 2])
    done = subprocess.check_output([sys.executable, speed.WORKER, "1"], input=task, text=True)
    assert 0 < json.loads(done)["seconds"] < 1
