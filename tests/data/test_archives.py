import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agelens.data.archives import Limits, archive_kind, read_archive, safe_name
from agelens.errors import AgelensError, ArchiveRefused, DatasetError, SourceError
from labelled import write_any

FILES = {"a.jpg": b"first", "deep/er/b.jpg": b"second" * 5_000, "empty.txt": b""}
KINDS = ["set.tar", "set.tar.gz", "set.zip"]
CALM = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize(
    ("file", "kind"),
    [("a.tar", "tar"), ("a.tar.gz", "tar.gz"), ("a.tgz", "tar.gz"), ("a.zip", "zip")],
)
def test_reads_files_in_order_whatever_the_name(tmp_path: Path, file: str, kind: str) -> None:
    path = write_any(tmp_path / file, FILES).rename(tmp_path / "download")
    assert (archive_kind(path), list(read_archive(path))) == (kind, list(FILES.items()))
    at_the_limits = Limits(files=3, member_bytes=30_000, total_bytes=50_000)
    assert dict(read_archive(path, at_the_limits)) == FILES


def header(name: str, kind: bytes, size: int = 0) -> bytes:
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, size, "target"
    return member.tobuf(tarfile.GNU_FORMAT)


def refused(path: Path, why: str, limits: Limits | None = None) -> str:
    with pytest.raises(ArchiveRefused, match=why) as refusal:
        list(read_archive(path, limits))
    return str(refusal.value)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\xff\xd8\xff\xe0" + b"x" * 600])
def test_other_files_are_no_archives(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "set.tar.gz"
    with pytest.raises(SourceError, match="No such file"):
        list(read_archive(path))
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"is not an archive: expected a .tar.gz"):
        list(read_archive(path))


def test_empty_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.mkdir("folder")
    (tmp_path / "a.tar").write_bytes(header("folder", tarfile.DIRTYPE) + bytes(1024))
    zipfile.ZipFile(tmp_path / "none.zip", "w").close()
    for path in sorted(tmp_path.iterdir()):
        assert list(read_archive(path)) == []


@pytest.mark.parametrize("file", KINDS)
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../out.jpg", "leaves the folder"), ("a/../../out.jpg", "leaves the folder"),
        ("a\\..\\..\\out.jpg", "leaves the folder"), ("..", "leaves the folder"),
        ("/etc/out.jpg", "absolute"), ("\\\\host\\out.jpg", "absolute"),
        ("C:\\out.jpg", "absolute"), ("c:out.jpg", "absolute"),
    ],
)  # fmt: skip
def test_refuses_paths_that_lead_elsewhere(tmp_path: Path, file: str, name: str, why: str) -> None:
    path = write_any(tmp_path / file, {"good.jpg": b"x", name: b"evil"})
    assert repr(name) in refused(path, why)


@given(st.text())
def test_safe_names_stay_inside(name: str) -> None:
    try:
        safe = safe_name(name)
    except ArchiveRefused:
        return
    place = Path("/a/b")
    assert (place / safe).is_relative_to(place)
    assert ".." not in (place / safe).parts
    assert "\\" not in safe


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "is a link to 'target'"), (tarfile.LNKTYPE, "is a link to 'target'"),
        (tarfile.CHRTYPE, "device or a pipe"), (tarfile.BLKTYPE, "device or a pipe"),
        (tarfile.FIFOTYPE, "device or a pipe"),
        (tarfile.GNUTYPE_SPARSE, "neither a plain file nor a folder"),
        (b"Z", "neither a plain file nor a folder"),
        (stat.S_IFLNK, "is a link"), (stat.S_IFCHR, "is a device"), (stat.S_IFIFO, "or a pipe"),
    ],
)  # fmt: skip
def test_refuses_members_that_are_no_files(tmp_path: Path, kind: bytes | int, why: str) -> None:
    path = tmp_path / "set"
    if isinstance(kind, bytes):
        path.write_bytes(header("odd.jpg", kind) + bytes(1024))
    else:
        member = zipfile.ZipInfo("odd.jpg")
        member.external_attr = (kind | 0o777) << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "/etc/passwd")
    refused(path, f"'odd.jpg' .*{why}")


def test_refuses_encrypted_and_rare_zip_members(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("odd.jpg", b"x")
    refused(path, "'odd.jpg' is compressed by method 12")
    content = bytearray(write_any(path, {"odd.jpg": b"x"}).read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag "encrypted"
    path.write_bytes(content)
    refused(path, "'odd.jpg' is encrypted")


@pytest.mark.parametrize("file", KINDS)
@pytest.mark.parametrize(
    ("limits", "why"),
    [
        (Limits(files=3), "'d.jpg' is one more than the limit of 3 members"),
        (Limits(member_bytes=29_999), "'deep/er/b.jpg' is over the limit of 29,999 bytes"),
        (Limits(total_bytes=5_000), "'deep/er/b.jpg' takes the archive over the limit of 5,000"),
    ],
)
def test_limits_name_the_member(tmp_path: Path, file: str, limits: Limits, why: str) -> None:
    refused(write_any(tmp_path / file, FILES | {"d.jpg": b"x"}), why, limits)


@pytest.mark.parametrize("file", ["set.tar.gz", "set.zip"])
def test_refuses_what_swells(tmp_path: Path, file: str) -> None:
    files = {f"{place}.jpg": bytes(2_000_000) for place in range(10)}
    path = write_any(tmp_path / file, files)
    assert path.stat().st_size < 50_000
    limits = Limits(expansion=100, free_bytes=5_000_000)
    refused(path, "'2.jpg' takes the archive .* zip bomb", limits)


def test_zip_members_that_overlap_count_each_time(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jpg", bytes(900_000))
        archive.filelist *= 20  # the directory names the same bytes twenty times
    with pytest.raises(AgelensError, match=r"'a.jpg' takes the archive over|overlap"):
        list(read_archive(path, Limits(total_bytes=5_000_000)))


def test_refuses_a_header_that_swells(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    huge = 2**23
    with gzip.open(path, "wb") as file:
        file.write(header("good.jpg", tarfile.REGTYPE))
        file.write(header("pax", tarfile.XHDTYPE, huge) + bytes(huge) + bytes(1024))
    refused(path, "'good.jpg' is followed by a header of over")


@pytest.mark.parametrize("size", [-1, -512, -(2**60), None])
def test_negative_sizes_and_chained_headers_are_damage(tmp_path: Path, size: int | None) -> None:
    link = header("././@LongLink", tarfile.GNUTYPE_LONGNAME, 2) + b"x".ljust(512, b"\0")
    links = link * 900 if size is None else b""
    content = links + header("a.jpg", tarfile.REGTYPE, size or 0) + bytes(10_240)
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        list(read_archive(tmp_path / "a.tar"))


@pytest.mark.parametrize(
    ("file", "place", "match"),
    [
        ("a.zip", lambda content: content.index(b"PK\x01\x02") + 24, "damaged"),  # a smaller size
        ("a.tar.gz", lambda content: -8, "CRC"),  # behind the end of the tar
        ("a.tar", lambda content: 1024 + 150, "damaged"),  # the second header, not the end
    ],
)
def test_wrong_sizes_and_check_sums_are_damage(
    tmp_path: Path, file: str, place: Callable[[bytes], int], match: str
) -> None:
    path = write_any(tmp_path / file, FILES)
    content = bytearray(path.read_bytes())
    content[place(content)] ^= 4
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=match):
        list(read_archive(path))


@pytest.mark.parametrize("file", KINDS)
@CALM
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_cut_archive_is_never_taken_for_whole(tmp_path: Path, file: str, share: float) -> None:
    whole = write_any(tmp_path / file, FILES).read_bytes()
    if file.endswith(".tar"):
        whole = whole[: -(-len(whole.rstrip(b"\0")) // 512) * 512]  # without the end mark
    path = tmp_path / f"cut-{file}"
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DatasetError):
        list(read_archive(path))


@pytest.mark.parametrize("file", KINDS)
@CALM
@given(data=st.data())
def test_damage_never_is_another_error(tmp_path: Path, file: str, data: st.DataObject) -> None:
    content = bytearray(write_any(tmp_path / file, FILES).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"hurt-{file}"
    path.write_bytes(content)
    try:
        found = list(read_archive(path))
    except AgelensError:
        return
    assert all(safe_name(name) == name for name, _ in found)
    if file != "set.tar":  # which has check sums on its headers only
        assert {content for _, content in found} <= set(FILES.values())
