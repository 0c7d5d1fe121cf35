"""What do stragglers and lost machines cost a run of many units on many workers?

    python benchmarks/scale_simulation.py [--seconds-per-picture S] [--pictures N]

Simulates the hand-out of units to workers, one event after another: a unit takes a time that
varies (log-normal), some workers are slow throughout, workers die at a rate and come back after
a while, and what a dead worker had not committed is done again. Gives, for each number of
workers, the time against the ideal (all work evenly shared, nothing lost), and writes
results/scale_simulation.json. The seconds per picture come of results/batch.json, or are given.
"""

import heapq
import json
import random
import sys
from dataclasses import asdict, dataclass
from statistics import fmean

import record

BATCH = record.RESULTS / "batch.json"


@dataclass(frozen=True)
class World:
    """What goes wrong, and how often."""

    unit: int = 1000  # pictures
    spread: float = 0.3  # sigma of the logarithm of a unit's time
    slow_share: float = 0.02  # of workers, that take `slow_factor` times as long
    slow_factor: float = 3.0
    days_between_deaths: float = 2.0  # of one worker, on average
    minutes_until_back: float = 5.0


WORLDS = {
    "nothing goes wrong": World(slow_share=0, days_between_deaths=1e9),
    "stragglers": World(days_between_deaths=1e9),
    "stragglers and deaths": World(),
    "spot machines": World(days_between_deaths=0.25),
    "stragglers and deaths, units of 10,000": World(unit=10_000),
}


def main() -> None:
    """Simulate worlds and sizes, print and write."""
    parser = record.parser(__doc__, pictures=100_000_000, seeds=5)
    parser.add_argument("--seconds-per-picture", type=float, default=None)
    given = parser.parse_args()
    each = given.seconds_per_picture or measured_seconds_per_picture()
    rows = []
    for name, world in WORLDS.items():
        for workers in (8, 64, 512, 4096):
            over, twice = zip(*(
                simulate(given.pictures, workers, each, world, seed) for seed in range(given.seeds)
            ), strict=True)  # fmt: skip
            hours = round(given.pictures * each / workers / 3600, 2)
            rows.append({
                "world": name, "workers": workers, "hours_ideal": hours,
                "over_ideal": round(fmean(over), 3), "done_twice": round(fmean(twice), 5),
            })  # fmt: skip
            print(json.dumps(rows[-1]))
    worlds = {name: asdict(world) for name, world in WORLDS.items()}
    about = {"seconds_per_picture": round(each, 5), "pictures": given.pictures}
    record.write(given, {**about, "worlds": worlds, "rows": rows})


def measured_seconds_per_picture() -> float:
    """Take the time of one worker that batch.py measured."""
    if not BATCH.is_file():
        sys.exit("no batch.json: run  python benchmarks/batch.py,  or give --seconds-per-picture")
    runs = json.loads(BATCH.read_text("utf-8"))["runs"]
    one = next(run for run in runs if run["engine"] == "local-1")
    return sum(one["seconds_by_stage"].values()) / float(one["pictures"])


def simulate(
    pictures: int, workers: int, seconds_per_picture: float, world: World, seed: int
) -> tuple[float, float]:
    """Run the hand-out once; return the time over the ideal, and the share of work done twice."""
    chance = random.Random(seed)  # noqa: S311  (a simulation)
    units = -(-pictures // world.unit)
    mean = world.unit * seconds_per_picture
    shift = -(world.spread**2) / 2  # so that the mean of the log-normal is 1
    slow = [chance.random() < world.slow_share for _ in range(workers)]
    free = [(0.0, worker) for worker in range(workers)]  # a heap, as all are equal
    death = 1 / (world.days_between_deaths * 86400)
    waiting, end, work, lost = units, 0.0, 0.0, 0.0
    again: list[float] = []  # when units of dead workers are handed out again
    while waiting or again:
        now, worker = heapq.heappop(free)
        if waiting:
            waiting -= 1
        else:
            now = max(now, heapq.heappop(again))
        pace = world.slow_factor if slow[worker] else 1.0
        takes = mean * pace * chance.lognormvariate(shift, world.spread)
        dies = chance.expovariate(death)
        if dies < takes:
            lost += dies
            heapq.heappush(again, now + dies)
            heapq.heappush(free, (now + dies + 60 * world.minutes_until_back, worker))
            continue
        work += takes
        end = max(end, now + takes)
        heapq.heappush(free, (now + takes, worker))
    return end / (units * mean / workers), lost / (work + lost)


if __name__ == "__main__":
    main()
