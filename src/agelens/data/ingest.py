"""Store the pictures of a source: each is stored, rejected, or a copy of one stored before."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agelens.data.journal import Journal
from agelens.data.readers.reader import Labelled
from agelens.data.source import Source
from agelens.errors import BadPicture, DatasetError, PictureError
from agelens.faces.prefetch import prefetch
from agelens.images import decode

MIN_SIDE = 16  # pixels
LIMITS = decode.Limits(pixels=64_000_000)
_THREADS = 2
_AHEAD = 64
_BYTES_AHEAD = 2**27  # read but not yet stored


@dataclass(frozen=True, slots=True)
class Entry:
    """The outcome of one file of the source; exactly one of `file`, `copy_of`, `reason` is set."""

    number: int  # place in the source, from 0; an archive may hold one name several times
    name: str  # path in the source
    file: str | None = None  # stored as images/<file>
    width: int = 0  # pixels
    height: int = 0  # pixels
    size: int = 0  # bytes
    sha256: str = ""
    copy_of: str | None = None  # the same name and bytes were stored before, from this path
    reason: str | None = None  # rejected
    age: int = 0  # years; of a sample, as in the data set's table
    gender: str | None = None
    race: str | None = None
    age_low: int | None = None
    age_high: int | None = None
    subject: str | None = None

    def is_stored(self, folder: Path) -> bool:
        """Return whether its picture, if it has one, stands whole in the folder."""
        try:
            return self.file is None or (folder / self.file).stat().st_size == self.size
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Verified:
    """A picture that decodes whole."""

    width: int  # pixels, upright
    height: int  # pixels, upright
    sha256: str  # of the file's bytes, 64 hex digits


def verify_picture(content: bytes) -> Verified:
    """Check the bytes of a picture file by decoding it to its last line.

    Raises BadPicture for what does not decode whole or has a side under 16 pixels, and
    PictureTooLarge for more than 64 million pixels, which is seen before it is decoded.
    """
    height, width = decode.read(content, LIMITS).shape[:2]
    if min(width, height) < MIN_SIDE:
        raise BadPicture(f"{width} x {height} pixels: expected at least {MIN_SIDE} on each side")
    return Verified(width, height, hashlib.sha256(content).hexdigest())


def open_journal(target: Path, source: Source) -> Journal[Entry]:
    """Start an import into a folder, or resume it.

    Raises DatasetError when the folder holds an import of another source.
    """

    def check(before: object) -> None:
        known = before if isinstance(before, dict) else {}
        if known.get("sha256") != source.sha256:
            raise DatasetError(
                f"{str(target)!r} holds an unfinished import of another source, "
                f"{known.get('name')!r}: choose another folder, or delete this one"
            )

    about = {"sha256": source.sha256, "name": source.path.name}
    return Journal(target / ".import", target / "images", Entry, about, check)


def ingest(pictures: Iterable[Labelled], journal: Journal[Entry]) -> Iterator[int]:
    """Verify pictures on a few threads, store and record them in their order.

    Those that the journal has are skipped. Yields how many are done after each.
    """
    stored = {_key(entry.file): entry for entry in journal.entries.values() if entry.file}
    new = (item for item in enumerate(pictures) if item[0] not in journal.entries)
    checked = prefetch(
        _check, new, _THREADS, "verify",
        ahead=_AHEAD, size=lambda item: len(item[1].content), max_size=_BYTES_AHEAD,
    )  # fmt: skip
    for number, picture, found in checked:
        entry = _entry(number, picture, found, stored.get(_key(picture.file)))
        if entry.file is None:
            journal.add(entry)
        else:
            journal.add(entry, {entry.file: picture.content})
            stored[_key(entry.file)] = entry
        yield len(journal.entries)


def _check(item: tuple[int, Labelled]) -> tuple[int, Labelled, Verified | str]:
    number, picture = item
    try:
        return number, picture, picture.problem or verify_picture(picture.content)
    except PictureError as error:
        return number, picture, str(error)


def _key(file: str) -> str:
    return file.casefold()  # some file systems do not distinguish upper and lower case


def _entry(number: int, picture: Labelled, found: Verified | str, first: Entry | None) -> Entry:
    name, label = picture.name, picture.label
    if picture.problem or label is None:
        return Entry(number, name, reason=picture.problem)
    if first is not None:
        same = first.sha256 == hashlib.sha256(picture.content).hexdigest()
        if same and first.file == picture.file:
            return Entry(number, name, copy_of=first.name)
        return Entry(number, name, reason=f"its name is taken by {first.name!r}")
    if isinstance(found, str):
        return Entry(number, name, reason=found)
    return Entry(
        number, name, picture.file, found.width, found.height, len(picture.content), found.sha256,
        age=label.age, gender=label.gender and str(label.gender), race=label.race,
        age_low=label.age_low, age_high=label.age_high, subject=picture.subject,
    )  # fmt: skip
