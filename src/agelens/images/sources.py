"""Find pictures and clips in files, folders, globs and standard input, and read any input.

Clips are told from pictures by their first bytes, and if these are unclear by their ending.
"""

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from agelens.errors import BadPicture, SourceError
from agelens.images import decode
from agelens.images.decode import DEFAULT_LIMITS, Picture
from agelens.images.resample import shrink

# One picture: a path, encoded bytes, uint8 RGB (H, W, 3) or grey (H, W), or a PIL image
Input: TypeAlias = str | Path | bytes | NDArray[np.uint8] | Image.Image
STANDARD_INPUT = "-"
CLIP_SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv"}
    | {".webm", ".wmv"}
)
"""File endings of clips in a folder, in lower case."""
HEAD = 512  # bytes that `is_clip` needs
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"jpeg")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
_CLIPS = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3",
          b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")  # fmt: skip


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
    too.

    Raises SourceError at once if an input does not exist, a glob matches nothing, or no input is
    given, and during the iteration if the inputs contain no pictures.
    """
    given = [str(item) for item in inputs]
    if not given:
        raise SourceError("no input: expected a picture, a folder, a glob or - for standard input")
    paths: list[str] = []
    for item in given:
        if item == STANDARD_INPUT or os.path.lexists(item):
            paths.append(item)
        elif not glob.has_magic(item):
            raise SourceError(f"no such file or folder: {item!r}; check the path")
        elif matches := glob.glob(item, recursive=True):  # noqa: PTH207  (Path.glob: no absolute)
            paths += sorted(matches)
        else:
            raise SourceError(f"nothing matches {item!r}: check the pattern")
    return _walk(paths, given, clips)


def _walk(paths: list[str], given: list[str], clips: bool) -> Iterator[Source]:
    seen: set[str] = set()
    suffixes = decode.SUFFIXES | CLIP_SUFFIXES if clips else decode.SUFFIXES
    for path in paths:
        for name in _files_at(path, suffixes):
            key = name if name == STANDARD_INPUT else os.path.realpath(name)
            if key not in seen:
                seen.add(key)
                yield _source(name, clips)
    if not seen:
        endings = " ".join(sorted(suffixes))
        raise SourceError(f"no pictures in {', '.join(map(repr, given))}: looked for {endings}")


def _source(name: str, clips: bool) -> Source:
    if name == STANDARD_INPUT:
        data = sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1)
        if clips and is_clip(data[:HEAD], ""):
            raise SourceError("standard input holds a clip: expected a picture; name the file")
        return Source(name, data)
    head = b""
    if clips:
        with suppress(OSError), Path(name).open("rb") as stream:  # reported when it is decoded
            head = stream.read(HEAD)
    return Source(name, Path(name), clips and is_clip(head, Path(name).suffix))


def _files_at(path: str, suffixes: frozenset[str]) -> Iterator[str]:
    if path == STANDARD_INPUT or not Path(path).is_dir():
        yield path
        return
    for folder, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in suffixes:
                yield str(Path(folder) / name)


def is_clip(head: bytes, suffix: str) -> bool:
    """Tell whether a file is a clip by its first 512 bytes, and if unclear by its ending."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILLS
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip") or head.startswith(_CLIPS):
        return True
    # An MPEG transport stream has "G" every 188 bytes, or with time stamps every 192.
    if head[0:377:188] == b"GGG" or head[4:389:192] == b"GGG":
        return True
    return suffix.lower() in CLIP_SUFFIXES and not head.startswith(_PICTURES)


def is_one(given: object) -> bool:
    """Tell one picture from several: a list, another iterable, or one array (B, H, W, 3)."""
    if isinstance(given, np.ndarray):
        return given.ndim != 4
    single = (str, Path, bytes, bytearray, memoryview, Image.Image)
    return isinstance(given, single) or not isinstance(given, Iterable)


def read(given: Any) -> Picture:
    """Return the upright pixels of an input: RGB, uint8 (H, W, 3).

    Raises SourceError for a path without a file, BadPicture if it is not a picture,
    PictureTooLarge above the limits.
    """
    if isinstance(given, np.ndarray):
        return decode.from_array(given)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return decode.read(bytes(given))
    if isinstance(given, (str, Path)):
        if not os.path.lexists(given):  # unlike Path.exists, never raises
            raise SourceError(f"no such file: {str(given)!r}; check the path")
        if Path(given).is_dir():
            raise SourceError(
                f"{str(given)!r} is a folder: give its files as a list, or use  agelens predict"
            )
        return decode.read(given)
    if isinstance(given, Image.Image):
        return decode.from_pil(given)
    raise BadPicture(
        f"an input of type {type(given).__name__}: expected a path, bytes, "
        "a uint8 array (H, W, 3) or a PIL image"
    )


def as_chip(picture: Picture, side: int) -> Picture:
    """Resize an aligned square chip of any size to uint8 (side, side, 3).

    Raises BadPicture if it is not square.
    """
    height, width = picture.shape[:2]
    if height != width:
        raise BadPicture(
            f"chip of {width} x {height} pixels: expected a square, aligned to the UTKFace "
            "template; leave `chips` off to detect faces"
        )
    return shrink(picture, side, side)
