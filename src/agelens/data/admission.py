"""Which files of a source become samples: each is taken, rejected, or a copy of one taken."""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from agelens.data.import_journal import Entry, Journal
from agelens.data.integrity import Verified, verify_picture
from agelens.data.readers.reader import Labelled
from agelens.errors import PictureError

_THREADS = 2
_WAITING_FILES = 64
_WAITING_BYTES = 2**27  # read but not yet settled


@dataclass(frozen=True, slots=True)
class _Waiting:
    number: int
    picture: Labelled
    outcome: Future[Verified] | str  # a reason where no look at the pixels is needed


def admit(pictures: Iterable[Labelled], journal: Journal) -> Iterator[int]:
    """Verify the pictures on a few threads, and store and record them in their order.

    Those that the journal knows are passed over. Yields how many are done after each.
    """
    taken = {_place(entry.file): entry for entry in journal.entries.values() if entry.file}
    queue: deque[_Waiting] = deque()
    held = 0
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
    try:
        for number, picture in enumerate(pictures):
            if number in journal.entries:
                continue
            outcome = picture.problem or pool.submit(verify_picture, picture.content)
            queue.append(_Waiting(number, picture, outcome))
            held += len(picture.content)
            while len(queue) > _WAITING_FILES or held > _WAITING_BYTES:
                held -= len(queue[0].picture.content)
                _settle(queue.popleft(), journal, taken)
                yield len(journal.entries)
        while queue:
            _settle(queue.popleft(), journal, taken)
            yield len(journal.entries)
    finally:
        pool.shutdown(cancel_futures=True)


def _place(file: str) -> str:
    return file.casefold()  # some file systems know no upper and lower case


def _settle(waiting: _Waiting, journal: Journal, taken: dict[str, Entry]) -> None:
    number, picture, outcome = waiting.number, waiting.picture, waiting.outcome
    name, file, label = picture.name, picture.file, picture.label
    if isinstance(outcome, str) or label is None:
        journal.add(Entry(number, name, reason=str(outcome)))
        return
    first = taken.get(_place(file))
    if first is not None:
        same = first.sha256 == hashlib.sha256(picture.content).hexdigest()
        if same and first.file == file:
            journal.add(Entry(number, name, copy_of=first.name))
        else:
            journal.add(Entry(number, name, reason=f"its name is taken by {first.name!r}"))
        return
    try:
        found = outcome.result()
    except PictureError as error:
        journal.add(Entry(number, name, reason=str(error)))
        return
    size = len(picture.content)
    entry = Entry(
        number, name, file, found.width, found.height, size, found.sha256,
        age=label.age, gender=label.gender and str(label.gender), race=label.race,
        age_low=label.age_low, age_high=label.age_high, subject=picture.subject,
    )  # fmt: skip
    journal.add(entry, picture.content)
    taken[_place(file)] = entry
