"""Every error a caller can meet.

AgelensError
├── MissingExtra          a package of an optional extra is not installed
├── SourceError           an input that cannot be found or opened
│   └── SourceUnreachable a store that does not answer
├── PictureError          bytes that are not a usable picture
│   ├── BadPicture        cannot be decoded
│   └── PictureTooLarge   over the pixel or byte limit
├── BadClip               a video without a usable frame
├── ModelError            a model that is unknown, unreadable or not ours
├── DatasetError          labels, archives and dataset folders
│   ├── BadLabel          a file name that carries no readable age and gender
│   └── ArchiveRefused    an archive member that must not be extracted
├── ConfigError           a recipe with an unknown key or a value out of range
├── TrainingError         a run that cannot start or go on
└── BatchError            a batch run that cannot start or go on

Messages say what failed with its value, what was expected, and what to do.
`exit_code` is what the command line ends with: 2 for usage, 1 for the rest.
"""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar


class AgelensError(Exception):
    """The root: `except AgelensError` catches all that this package raises on purpose."""

    exit_code: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Callable[..., "AgelensError"], tuple[type, str]]:
        # By its message: some are made of other things, and a process pool pickles errors too.
        return _again, (type(self), str(self))


def _again(kind: type[AgelensError], message: str) -> AgelensError:
    error = kind.__new__(kind)
    error.args = (message,)
    return error


class MissingExtra(AgelensError):
    """A feature that needs a package which the base install leaves out."""

    exit_code = 2

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"this needs the package {package!r}, which is not installed: "
            f"run  pip install 'agelens[{extra}]'"
        )


class SourceError(AgelensError):
    """An input that cannot be found or opened."""

    exit_code = 2


class SourceUnreachable(SourceError):
    """A store that does not answer, though it may later."""

    exit_code = 1


class PictureError(AgelensError):
    """Bytes that are not a usable picture."""


class BadPicture(PictureError):
    """A picture that cannot be decoded."""


class PictureTooLarge(PictureError):
    """A picture over the limit of pixels or bytes."""


class BadClip(AgelensError):
    """A video that is none, is damaged from the start, or has frames over the limit."""


class ModelError(AgelensError):
    """A model that is unknown, unreadable, or not an agelens model."""

    exit_code = 2


class DatasetError(AgelensError):
    """Something wrong with labels, archives or a dataset folder."""


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
    """A training run that cannot start or cannot go on."""


class BatchError(AgelensError):
    """A batch run that cannot start or cannot go on."""
