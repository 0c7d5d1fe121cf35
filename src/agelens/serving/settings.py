"""The settings of a service: model, limits, batching and access; checked when created."""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from agelens.errors import ConfigError

MINIMUM = {"longest": 320, "request_bytes": 1000, "batch_wait": 0, "min_face": 0}  # others: over 0


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service. Raises ConfigError for a value out of range."""

    model: str | Path | None = None  # as for `agelens.load`
    threads: int | None = None  # processor threads; None: all cores
    flip: bool | None = None  # average with the mirror image; None: set by the model's card
    longest: int = 1280  # long side in pixels for face detection
    gender_threshold: float = 0.5  # minimum probability to give a gender
    min_face: float = 0  # pixels: smaller faces are ignored
    keep_doubtful: bool = False  # keep detections that are probably no faces

    request_bytes: int = 32_000_000  # of one request's body
    pictures: int = 32  # of one request
    pixels: int = 25_000_000  # of one picture; 75 MB as RGB
    faces: int = 200  # of one picture
    seconds: float = 30.0  # from the whole request to its answer
    upload_seconds: float = 60.0  # for a body to arrive

    queue: int = 128  # pictures waiting for the model
    wait: float = 0.6  # expected seconds in the queue; a request that would wait longer is rejected
    held_bytes: int = 256_000_000  # of all request bodies in memory
    batch: int = 16  # pictures in one batch
    batch_wait: float = 0.005  # seconds to wait for more pictures of a batch

    api_keys: tuple[str, ...] = ()  # none: open to all
    cors_origins: tuple[str, ...] = ()  # none: pages of other sites cannot read responses
    page: bool = True  # the web page at /

    fetch: bool = False  # fetch pictures that clients name by URL
    fetch_seconds: float = 10.0  # for all URLs of one request, with their redirects

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            least = MINIMUM.get(name)
            if number and not (value > 0 if least is None else value >= least):
                expected = "more than 0" if least is None else f"{least} or more"
                raise ConfigError(f"{name} {value!r}: expected {expected}")
        for name, other in (("queue", "pictures"), ("held_bytes", "request_bytes")):
            value, least = getattr(self, name), getattr(self, other)
            if value < least:
                raise ConfigError(
                    f"{name} {value:,}: expected at least {least:,}, the {other} of one request; "
                    "a full request could never be accepted"
                )
        for key in self.api_keys:  # the message may be logged: it does not show the key
            if not re.fullmatch(r"[!-~]{16,}", key):
                raise ConfigError(
                    f"an API key of {len(key)} characters: expected 16 or more printable ASCII "
                    "characters without spaces"
                )
        for origin in self.cors_origins:
            if not re.fullmatch(r"https?://[^/*]+", origin):
                raise ConfigError(
                    f"CORS origin {origin!r}: expected one site such as 'https://example.org'"
                )
