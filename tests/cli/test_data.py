from pathlib import Path

import pytest

from agelens.data.importer import import_dataset
from agelens.data.labels import UTKFACE_TERMS
from labelled import drawn, faces, write_any, write_folder


def test_import_prints_a_summary_and_the_terms_once(agelens, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    files = faces(12) | {"notes.txt": b"x"}
    source = write_any(tmp_path / "s.zip", {"a/" + name: data for name, data in files.items()})
    first = agelens("data", "import", source, tmp_path / "d")
    assert first.returncode == 0
    lines = {
        cells[0].strip(): cells[1].strip()
        for line in first.stdout.splitlines()
        if len(cells := line.strip("│┃ ").replace("┃", "│").split("│")) == 2
    }
    assert lines["recognised"] == "UTKFace file names (12 files; folders: a)"
    assert lines["samples"] == "12"
    assert lines["rejects"] == "1 (see rejects.csv)"
    assert lines["ages"] == "0 to 11 years, mean 5.5"
    assert lines["female"] == lines["male"] == "6"
    assert sum(map(int, lines["folds 0 to 9"].split())) == 12
    assert " ".join(first.stderr.split()).count(UTKFACE_TERMS) == 1

    second = agelens("data", "import", source, tmp_path / "d")
    assert second.returncode == 0
    assert "complete already; nothing to do" in second.stderr
    assert UTKFACE_TERMS not in second.stderr


def test_import_continues_an_earlier_run(agelens, tmp_path: Path) -> None:
    source = write_folder(tmp_path / "s", faces(6))

    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "import" and done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_dataset(source, tmp_path / "d", report=stop)
    done = agelens("data", "import", source, tmp_path / "d")
    assert done.returncode == 0 and "continued an earlier run: 4 files were done" in done.stderr


def test_import_errors_are_one_line(agelens, tmp_path) -> None:
    write_any(tmp_path / "s.tgz", {"../x.jpg": drawn(1)})
    for name, code, message in (("s.tgz", 1, "'../x.jpg'"), ("none", 2, "no such file or folder")):
        done = agelens("data", "import", tmp_path / name, tmp_path / "d")
        assert (done.returncode, done.stderr.count("\n")) == (code, 1)
        assert message in done.stderr
