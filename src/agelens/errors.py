"""All errors that agelens raises on purpose.

AgelensError
├── MissingExtra          a package of an optional extra is not installed
├── SourceError           an input that cannot be found or opened
│   └── SourceUnreachable a store that does not answer
├── PictureError          bytes that are not a usable picture
│   ├── BadPicture        cannot be decoded
│   └── PictureTooLarge   over the pixel or byte limit
├── BadClip               a video without a usable frame
├── ModelError            a model that is unknown, unreadable or not of agelens
├── DatasetError          labels, archives and data set folders
│   ├── BadLabel          a file name that carries no readable age and gender
│   └── ArchiveRefused    an archive member that must not be extracted
├── ConfigError           a recipe with an unknown key or a value out of range
├── TrainingError         a run that cannot start or continue
└── BatchError            a batch run that cannot start or continue

Messages say what failed, with its value, what was expected, and what to do. `exit_code` is the
exit code of the command line: 2 for wrong usage, 1 for other failures.
"""

import copyreg
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar


class AgelensError(Exception):
    """The base class: `except AgelensError` catches everything raised on purpose."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Callable[..., object], tuple[type, str]]:
        # By its message, since constructors differ; process pools pickle errors too.
        return copyreg.__newobj__, (type(self), str(self))  # type: ignore[attr-defined]


class MissingExtra(AgelensError):
    """A feature that needs a package of an optional extra."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed: "
            f"run  pip install 'agelens[{extra}]'"
        )


def require(extra: str, *packages: str) -> None:
    """Raise MissingExtra for the first of the packages that is not installed."""
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(package, extra)


class SourceError(AgelensError):
    """An input that cannot be found or opened."""

    exit_code = 2


class SourceUnreachable(SourceError):
    """A store that does not answer at the moment."""

    exit_code = 1


class PictureError(AgelensError):
    """Bytes that are not a usable picture."""


class BadPicture(PictureError):
    """A picture that cannot be decoded."""


class PictureTooLarge(PictureError):
    """A picture above the limit of pixels or bytes."""


class BadClip(AgelensError):
    """A file that is not a video, is damaged from the start, or has too large frames."""


class ModelError(AgelensError):
    """A model that is unknown, unreadable, or not an agelens model."""

    exit_code = 2


class DatasetError(AgelensError):
    """A problem with labels, archives or a data set folder."""


class BadLabel(DatasetError):
    """A file name that carries no readable age and gender."""

    def __init__(self, path: Path, found: str = "") -> None:
        super().__init__(
            f"no age and gender in {path.name!r}: {found or 'expected AGE_GENDER_RACE_TIME.jpg'}; "
            "rename the file or leave it out"
        )


class ArchiveRefused(DatasetError):
    """An archive with a member that must not be extracted."""


class ConfigError(AgelensError):
    """A recipe with an unknown key, a wrong type, or a value out of range."""

    exit_code = 2


class TrainingError(AgelensError):
    """A training run that cannot start or continue."""


class BatchError(AgelensError):
    """A batch run that cannot start or continue."""
