from types import SimpleNamespace

from agelens.batch.ledger import Part, Totals
from agelens.batch.progress import Committed, Counts, Deferred, Predicted, Progress, WorkerLost


def part(unit: int) -> Part:
    return Part(unit, 0, True, 50, faces=100, errors=1, rows=0, seconds={"detect": 2})


def begin(done: int = 0, shards: int = 0) -> tuple[Progress, SimpleNamespace]:
    totals, clock = Totals(10, 0 if shards else 500, shards), SimpleNamespace(now=100.0)
    parts = [part(unit) for unit in range(done)]
    return Progress(totals, parts, "local", 2, lambda: clock.now), clock


def test_pictures_count_before_they_are_committed_and_once() -> None:
    progress, clock = begin()
    for _ in range(50):
        progress.update(Predicted("a", 1, 2, 0))
    progress.update(Predicted("b", 1, 0, 1))
    clock.now += 10
    assert progress.counts == Counts(51, 100, 1)
    assert progress.speed == (5.1, 10)
    progress.update(Committed("a", part(0), 900))
    assert progress.counts == Counts(51, 100, 2)
    assert (progress.parts, progress.units_done, progress.seconds) == (1, 1, {"detect": 2})


def test_uncommitted_pictures_of_a_lost_worker_do_not_count() -> None:
    progress, _ = begin()
    progress.update(Predicted("a", 7, 7, 7, memory=321.4))
    assert progress.to_dict("running")["memory_mb"] == {"a": 321}
    progress.update(WorkerLost("a", "signal SIGKILL"))
    status = progress.to_dict("running")
    assert (status["pictures"], status["workers_lost"], status["memory_mb"]) == (0, 1, {})
    assert status["last_loss"] == "signal SIGKILL"
    progress.update(Predicted("b", 7, 7, 7))
    progress.update(Deferred("b", 3, "503"))
    assert (progress.counts.pictures, progress.deferred) == (0, {3: "503"})


def test_time_left_uses_the_speed_of_this_run() -> None:
    progress, clock = begin(done=4)
    assert (progress.seconds_left, progress.share) == (None, 0.4)
    clock.now += 60
    progress.update(Committed("a", part(4), 900))  # an engine that reports only parts
    progress.update(Committed("a", part(5), 900))
    assert (progress.share, round(progress.seconds_left or 0)) == (0.6, 120)
    assert progress.speed == (100 / 60, 200 / 60)


def test_speed_is_that_of_the_last_half_minute() -> None:
    progress, clock = begin()
    for pictures in (1000, 10, 10, 10):
        clock.now += 20
        progress.update(Predicted("a", pictures, 0, 0))
    assert progress.speed[0] < 2


def test_with_shards_the_share_is_of_units() -> None:
    progress, _ = begin(shards=10)
    progress.update(Committed("a", part(0), 900))
    assert (progress.share, progress.to_dict("running")["pictures_in_all"]) == (0.1, None)
