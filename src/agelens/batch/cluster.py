"""Connect to a Ray cluster, or start Ray on this machine, without its messages."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from agelens.errors import BatchError

_STORE_BYTES = 200_000_000  # of a Ray started here: only messages and small models go there
_VARIABLES = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1"}
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # no usage statistics are sent
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # the working folder is not sent to the machines
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # errors come as exceptions
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # otherwise it warns of a change to come
    "RAY_worker_niceness": "0",  # as fast as processes of the local engine
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths stay valid
}


@contextmanager
def connected(address: str | None, cores: int | None) -> Iterator[None]:
    """Connect to the Ray cluster at `address`, unless this process is connected already.

    None is RAY_ADDRESS, or else a Ray with `cores` (None: all) that runs here for the time being.
    Standard output is discarded meanwhile: Ray prints messages about lost actors there. Raises
    BatchError if Ray does not respond or stops the work.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import ray

    own = not ray.is_initialized()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        try:
            if own:
                _connect(address or os.environ.get("RAY_ADDRESS") or "local", cores)
            yield
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise BatchError(
                f"Ray ended the run: {last_line(error)}; run the same command again: committed "
                "work is kept"
            ) from error
        finally:
            if own:
                ray.shutdown()


def last_line(error: Exception) -> str:
    """Return the last line of an error of Ray, which follows its tracebacks."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


def _connect(where: str, cores: int | None) -> None:
    import ray

    settings: dict[str, Any] = {}
    hint = "expected HOST:PORT of a cluster's head, or auto on one of its machines"
    if where == "local":
        settings = {"num_cpus": cores, "include_dashboard": False}
        settings["object_store_memory"] = _STORE_BYTES
        hint = "run the same command again, or work without Ray"
    try:
        with _no_stderr():  # Ray prints its log level there
            ray.init(
                where, log_to_driver=False, logging_level=logging.CRITICAL,
                runtime_env={"env_vars": _VARIABLES}, **settings,
            )  # fmt: skip
    except Exception as error:  # Ray raises many kinds, even a bare Exception
        raise BatchError(
            f"Ray does not start or respond ({where}): {last_line(error)}; {hint}"
        ) from error


@contextmanager
def _no_stderr() -> Iterator[None]:
    """Discard standard error, also that of code outside Python."""
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
