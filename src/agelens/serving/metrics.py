"""What the service counts, in Prometheus' form; one registry for each app."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)


class Metrics:
    """Counters, gauges and histograms; names start with `agelens_`."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "agelens_requests", "Requests answered.", ["route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "agelens_request_seconds", "From the request's first line to its answer.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.pictures = Counter(
            "agelens_pictures", "Pictures worked on, by outcome.", ["outcome"], registry=registry
        )
        self.faces = Counter("agelens_faces", "Faces predicted.", registry=registry)
        self.batch = Histogram(
            "agelens_batch_pictures", "Pictures worked on together.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.waited = Histogram(
            "agelens_wait_seconds", "From acceptance of a picture to the start of its batch.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.queue = Gauge("agelens_queue_pictures", "Pictures that wait.", registry=registry)
        self.held = Gauge(
            "agelens_held_bytes", "Bytes of pictures held in memory.", registry=registry
        )
        self.ready = Gauge("agelens_ready", "1 once the model is loaded.", registry=registry)

    def text(self) -> tuple[bytes, str]:
        """Give the exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
