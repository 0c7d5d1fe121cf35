"""The clients of service.py, for locust: each sends one photo after another, as multipart.

The environment sets PHOTOS (a folder of JPEG files), RECORDS (where to write one line per request:
end in seconds since the epoch, milliseconds, status; 0 where no answer came), PACE (the requests of
one client per second) and REQUESTS (after how many answers with 200 to end before the time is up;
0: never). Without PACE a client sends its next photo as soon as it has an answer, and after 429
when Retry-After allows it. The photos go out in turn, so that all are sent equally often.
"""

import itertools
import os
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, constant_throughput, events, task
from locust.env import Environment

BOUNDARY = "photo-7f3a"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="photo.jpg"\r\n'
    "Content-Type: image/jpeg\r\n\r\n"
)
BODIES = itertools.cycle(
    HEAD.encode() + file.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()
    for file in sorted(Path(os.environ["PHOTOS"]).iterdir())
)
KIND = f"multipart/form-data; boundary={BOUNDARY}"
RECORDS = Path(os.environ["RECORDS"]).open("w")  # noqa: SIM115  (open until the end)
PACE = float(os.environ.get("PACE", 0))
REQUESTS = int(os.environ.get("REQUESTS", 0))
counted = itertools.count(1)


@events.init.add_listener
def begin(environment: Environment, **_: object) -> None:
    """End after REQUESTS answers, where it is set."""

    def count(response: object, **_: object) -> None:
        answered = getattr(response, "status_code", 0) == 200
        if answered and next(counted) == REQUESTS and environment.runner:
            gevent.spawn(environment.runner.quit)  # not by a client: it waits for them

    environment.events.request.add_listener(count)


@events.request.add_listener
def note(response_time: float, response: object, **_: object) -> None:
    """Keep one request."""
    status = getattr(response, "status_code", 0) or 0
    RECORDS.write(f"{time.time():.3f} {response_time:.1f} {status}\n")


@events.quitting.add_listener
def end(**_: object) -> None:
    """Write what is left, and leave the judging to service.py."""
    RECORDS.close()


class Client(FastHttpUser):
    """One client with one connection."""

    network_timeout = 60.0
    connection_timeout = 10.0
    if PACE:
        wait_time = constant_throughput(PACE)

    @task
    def send(self) -> None:
        """Send one photo."""
        with self.client.post(
            "/v1/predict", data=next(BODIES), headers={"Content-Type": KIND}, catch_response=True
        ) as answer:
            answer.success()  # service.py counts by status
            wait = (answer.headers or {}).get("Retry-After") if not PACE else None
        if wait:
            time.sleep(float(wait))
