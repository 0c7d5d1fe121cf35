"""Find pictures and clips in files, folders, globs and standard input, lazily."""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agelens.errors import SourceError
from agelens.images.decode import DEFAULT_LIMITS, SUFFIXES, Picture
from agelens.images.media_type import HEAD, is_clip
from agelens.images.media_type import SUFFIXES as CLIP_SUFFIXES

STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """A picture that has not been read yet, or a clip."""

    name: str  # as shown to the user: the path, or "-"
    data: Path | bytes | Picture
    clip: bool = False  # whether the file is a video


def find(inputs: Iterable[str | Path], *, clips: bool = False) -> Iterator[Source]:
    """Find the pictures in files, folders, globs and `-`, each once, in order.

    A folder is searched with its subfolders, sorted by name, for the usual endings of pictures;
    hidden files and folders are skipped. A glob may contain `**`. A file named directly is used
    whatever its ending. `-` reads one picture from standard input. With `clips` videos are found
    too, recognised by their first bytes, then by their ending.

    Raises SourceError at once if an input does not exist, a glob matches nothing, or no input is
    given, and during the iteration if the inputs contain no pictures.
    """
    given = [str(item) for item in inputs]
    if not given:
        raise SourceError("no input: expected a picture, a folder, a glob or - for standard input")
    paths = [path for item in given for path in _expand(item)]
    return _walk(paths, given, clips)


def _expand(item: str) -> list[str]:
    if item == STANDARD_INPUT or os.path.lexists(item):
        return [item]
    if glob.has_magic(item):
        matches = sorted(glob.glob(item, recursive=True))  # noqa: PTH207  (Path.glob: no absolute)
        if matches:
            return matches
        raise SourceError(f"nothing matches {item!r}: check the pattern")
    raise SourceError(f"no such file or folder: {item!r}; check the path")


def _walk(paths: list[str], given: list[str], clips: bool) -> Iterator[Source]:
    seen: set[str] = set()
    suffixes = SUFFIXES | CLIP_SUFFIXES if clips else SUFFIXES
    for path in paths:
        for source in _sources(path, suffixes, clips):
            key = os.path.realpath(source.name) if isinstance(source.data, Path) else source.name
            if key not in seen:
                seen.add(key)
                yield source
    if not seen:
        endings = " ".join(sorted(suffixes))
        raise SourceError(f"no pictures in {', '.join(map(repr, given))}: looked for {endings}")


def _sources(path: str, suffixes: frozenset[str], clips: bool) -> Iterator[Source]:
    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1)
        if clips and is_clip(data[:HEAD], ""):
            raise SourceError("standard input holds a clip: expected a picture; name the file")
        yield Source(STANDARD_INPUT, data)
    elif not Path(path).is_dir():
        yield Source(path, Path(path), clips and _is_clip_file(Path(path)))
    else:
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                    file = Path(folder) / name
                    yield Source(str(file), file, clips and _is_clip_file(file))


def _is_clip_file(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return is_clip(stream.read(HEAD), file.suffix)
    except OSError:  # reported when it is read
        return is_clip(b"", file.suffix)
