"""What the service allows and how it joins requests; checked when it is made."""

from dataclasses import dataclass, fields
from pathlib import Path

from agelens.errors import ConfigError

LEAST_KEY = 16  # characters: shorter keys can be guessed


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one service. Raises ConfigError for a value out of range."""

    model: str | Path | None = None  # as for `agelens.load`
    threads: int | None = None  # processor threads; None: all cores
    flip: bool | None = None  # average with the mirror image; None: as the model's card says
    longest: int = 1280  # long side in pixels at which faces are searched
    gender_threshold: float = 0.5  # probability from which a gender is given
    min_face: float = 0  # pixels: smaller faces are passed over

    request_bytes: int = 32_000_000  # of one request's body
    pictures: int = 32  # of one request
    pixels: int = 25_000_000  # of one picture; 75 MB as RGB
    faces: int = 200  # of one picture
    seconds: float = 30.0  # from the whole request to its answer
    upload_seconds: float = 60.0  # for a body to arrive

    queue: int = 128  # pictures that wait for the model
    wait: float = 0.6  # seconds that a request may be expected to wait for its turn
    held_bytes: int = 256_000_000  # of bodies that arrive, wait or are worked on
    batch: int = 16  # pictures that are worked on together
    batch_wait: float = 0.005  # seconds that the first picture of a batch waits for others

    api_keys: tuple[str, ...] = ()  # none: everyone may ask
    cors_origins: tuple[str, ...] = ()  # none: other sites' pages may not read answers
    page: bool = True  # the web page at /

    fetch: bool = False  # pictures that clients name by URL are fetched
    fetch_seconds: float = 10.0  # for the URLs of one request, with their redirects

    def __post_init__(self) -> None:
        """Check every number and key."""
        least = {"longest": 320, "request_bytes": 1000, "batch_wait": 0, "min_face": 0}
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                continue
            if field.name in least:
                if value < least[field.name]:
                    raise ConfigError(
                        f"{field.name} {value!r}: expected {least[field.name]} or more"
                    )
            elif not value > 0:
                raise ConfigError(f"{field.name} {value!r}: expected more than 0")
        if self.queue < self.pictures:
            raise ConfigError(
                f"queue {self.queue}: expected at least {self.pictures}, the pictures of "
                "one request; a full request could never be accepted"
            )
        if self.held_bytes < self.request_bytes:
            raise ConfigError(
                f"held_bytes {self.held_bytes:,}: expected at least request_bytes "
                f"({self.request_bytes:,}); a full request could never be accepted"
            )
        for key in self.api_keys:  # never shown: this message may be logged
            if len(key) < LEAST_KEY or not key.isascii() or not key.isprintable() or " " in key:
                raise ConfigError(
                    f"an API key of {len(key)} characters: expected {LEAST_KEY} or more "
                    "printable ASCII characters without spaces"
                )
        for origin in self.cors_origins:
            scheme, _, host = origin.partition("://")
            if scheme not in ("http", "https") or not host or "/" in host or "*" in host:
                raise ConfigError(
                    f"CORS origin {origin!r}: expected one site such as 'https://example.org'"
                )
