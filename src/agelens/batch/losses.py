"""Where workers have ended, and which pictures are not touched any more."""

from collections import Counter

from agelens.errors import BatchError

MOST_ENDS = 2  # of workers at one picture
MOST_LOST = 20  # workers in one unit: then the run stops


class Losses:
    """The ends of workers in one run, counted by unit and by picture."""

    def __init__(self) -> None:
        self.deadly: dict[str, str] = {}
        """Pictures at which workers have ended twice, and why."""
        self._at: Counter[str] = Counter()
        self._in: Counter[int] = Counter()

    def note(self, unit: int, name: str | None, why: str) -> None:
        """Take note of an end, at a picture where it is known at which.

        Raises BatchError where there are too many in one unit.
        """
        self._in[unit] += 1
        if self._in[unit] >= MOST_LOST:
            raise BatchError(
                f"{MOST_LOST} workers ended in unit {unit}, the last one: {why}; what is "
                "committed stays"
            )
        if name is not None:
            self._at[name] += 1
            if self._at[name] >= MOST_ENDS:
                self.deadly[name] = f"the process that read this picture ended twice: {why}"
