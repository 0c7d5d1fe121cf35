"""Tell clips from pictures by their first bytes."""

SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv"}
    | {".webm", ".wmv"}
)
"""File endings of clips in a folder, in lower case."""
HEAD = 512
"""Number of bytes that `is_clip` needs."""
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"mif1", b"jpeg")
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")


def is_clip(head: bytes, suffix: str) -> bool:
    """Tell whether a file is a clip by its first 512 bytes, and if unclear by its ending."""
    if head[4:8] == b"ftyp":
        return head[8:12] not in _STILLS
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free", b"skip"):
        return True
    known = (b"\x1aE\xdf\xa3", b"FLV\x01", b"OggS", b"\0\0\x01\xba", b"\0\0\x01\xb3")
    if head.startswith((*known, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11")):  # the last: WMV
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"AVI "
    if head[0:1] == head[188:189] == head[376:377] == b"G" or (
        head[4:5] == head[196:197] == head[388:389] == b"G"
    ):
        return True  # MPEG transport stream
    return suffix.lower() in SUFFIXES and not head.startswith(_PICTURES)
