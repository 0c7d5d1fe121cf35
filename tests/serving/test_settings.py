"""Settings that could not work are refused with a reason."""

import pytest

from agelens.errors import ConfigError
from agelens.serving.settings import Settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pictures": 0}, "pictures 0"),
        ({"seconds": -1.0}, "seconds -1.0"),
        ({"seconds": float("nan")}, "seconds nan"),
        ({"batch_wait": -0.1}, "batch_wait -0.1"),
        ({"longest": 100}, "longest 100"),
        ({"wait": 0}, "wait 0"),
        ({"fetch_seconds": 0.0}, "fetch_seconds 0.0"),
        ({"queue": 8, "pictures": 9}, "queue 8"),
        ({"held_bytes": 5000, "request_bytes": 5001}, "held_bytes"),
        ({"cors_origins": ("*",)}, "origin '*'"),
        ({"cors_origins": ("https://a.example/path",)}, "origin"),
    ],
)
def test_values_out_of_range(given, message) -> None:
    with pytest.raises(ConfigError, match=message.replace("*", r"\*")):
        Settings(**given)


@pytest.mark.parametrize("key", ["short", "with a space in the middle", "schlüssel-mit-umlauten"])
def test_keys_are_checked_and_not_shown(key) -> None:
    with pytest.raises(ConfigError) as error:
        Settings(api_keys=(key,))
    assert key not in str(error.value)


def test_the_defaults_are_allowed() -> None:
    assert Settings().api_keys == ()
    assert Settings(batch_wait=0).batch_wait == 0
