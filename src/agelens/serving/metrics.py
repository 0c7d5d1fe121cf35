"""The Prometheus metrics of the service, with one registry for each app."""

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
            "agelens_request_seconds", "Duration of a request.", ["route"],
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.pictures = Counter(
            "agelens_pictures", "Pictures processed.", ["outcome"], registry=registry
        )
        self.faces = Counter("agelens_faces", "Faces predicted.", registry=registry)
        self.batch = Histogram(
            "agelens_batch_pictures", "Pictures in one batch.",
            buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry,
        )  # fmt: skip
        self.waited = Histogram(
            "agelens_wait_seconds", "Time of a picture in the queue.",
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self.queue = Gauge("agelens_queue_pictures", "Pictures in the queue.", registry=registry)
        self.held = Gauge("agelens_held_bytes", "Bytes of pictures in memory.", registry=registry)
        self.ready = Gauge("agelens_ready", "1 once the model is loaded.", registry=registry)

    def text(self) -> tuple[bytes, str]:
        """Return the metrics as text, with the content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST
